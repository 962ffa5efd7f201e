//! Those who call from this process: clients, judges and a subscriber. Each calls again until it is known what came of a call,
//! and remembers what it was told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::world::{World, submission};
use crate::harness::{Answer, Block, approval_of, id_of, late};

const BATCH: u64 = 100;
/// How long keys and finished tasks are surely remembered where `World::remembers` does not hold, as `soak.rs` tells the
/// processes. On a busy machine a caller may come later than that.
const KEYS_KEPT: Duration = Duration::from_secs(2);
const TASKS_KEPT: Duration = Duration::from_secs(5);
/// No more than so many tasks are open when others are submitted.
const MOST_OPEN: u64 = 3_000;

/// Submits batch after batch, a `pace` apart; cancels some of them, and sends some again that it has long since sent.
pub async fn submit(world: Arc<World>, nth: usize, pace: Duration) {
    let mut random = Rng::with_seed(world.seed ^ (nth as u64 + 1));
    for batch in 0.. {
        let next = Instant::now() + pace;
        while !world.is_over.is_cancelled() && world.open().await > MOST_OPEN {
            late(pace).await;
        }
        if world.is_over.is_cancelled() {
            return;
        }
        let sent = Instant::now();
        let ids = send(&world, nth, batch, sent).await;
        if random.u8(..10) == 0 {
            let earlier = if world.remembers { random.u64(..=batch) } else { batch };
            send(&world, nth, earlier, sent).await;
            world.told.lock().unwrap().replays += BATCH as usize;
        }
        for id in ids.iter().filter(|_| random.u8(..50) == 0) {
            let answer = world.post("root", &format!("/tasks/{id}/cancel"), &json!({})).await;
            match answer.status {
                200 => drop(world.told.lock().unwrap().cancelled.insert(id.clone())),
                409 => {}
                404 if !world.remembers && sent.elapsed() >= TASKS_KEPT => {}
                _ => world.accuse(format!("cancel: {answer:?}")),
            }
        }
        late(next.saturating_duration_since(Instant::now())).await;
    }
}

/// Sends the batch of this number, which was first sent at `sent` or before, until every task of it is acknowledged: their
/// ids.
async fn send(world: &World, nth: usize, batch: u64, sent: Instant) -> Vec<String> {
    let numbers = batch * BATCH..(batch + 1) * BATCH;
    let keyed: Vec<_> = numbers.map(|number| (number, format!("{nth}-{number}"))).collect();
    let tasks: Vec<_> = keyed.iter().map(|(number, key)| submission(*number, key)).collect();
    loop {
        let answer =
            world.post("crew", "/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
        let results = answer["results"].as_array().unwrap();
        let mut ids = Vec::new();
        for ((_, key), result) in keyed.iter().zip(results) {
            match result["status"].as_u64().unwrap() {
                200 | 201 => {
                    let id = id_of(&result["task"]);
                    let known = world.told.lock().unwrap().accepted.insert(key.clone(), id.clone());
                    let is_remembered = world.remembers || sent.elapsed() < KEYS_KEPT;
                    if is_remembered && known.as_ref().is_some_and(|known| *known != id) {
                        world.accuse(format!("{key} is {id} and was {known:?}"));
                    }
                    ids.push(id);
                }
                503 => {}
                // Forgotten between the script that found its key and the look at it.
                404 if !world.remembers && sent.elapsed() >= TASKS_KEPT => {}
                _ => world.accuse(format!("submission: {result}")),
            }
        }
        if ids.len() == keyed.len() {
            return ids;
        }
    }
}

/// Decides on every pending approval: approves four in five, and of those one in four with another
/// payload.
pub async fn decide(world: Arc<World>, judge: &'static str) {
    while !world.is_drained.is_cancelled() {
        let pending =
            world.call(judge, Method::GET, "/approvals/pending?limit=50", None).await.accepted(200);
        for approval in pending["items"].as_array().unwrap() {
            let verb = if fastrand::u8(..5) == 0 { "reject" } else { "approve" };
            let path = format!("/approvals/{}/{verb}", approval_of(approval));
            // What was decided or cancelled since the list was read may have been removed.
            let is_gone = |answer: &Answer| {
                let (id, told) = (id_of(approval), world.told.lock().unwrap());
                let is_over = told.decided.contains_key(&id) || told.cancelled.contains(&id);
                answer.status == 404 && is_over
            };
            let mut body = json!({});
            if verb == "approve" && approval["kind"] == "gate" && fastrand::u8(..4) == 0 {
                let path = format!("/approvals/{}", approval_of(approval));
                let shown = world.call(judge, Method::GET, &path, None).await;
                if is_gone(&shown) {
                    continue;
                }
                let shown = shown.accepted(200);
                body["payload"] = shown["task"]["payload"].clone();
                body["payload"]["edited_by"] = judge.into();
            }
            let answer = world.post(judge, &path, &body).await;
            match answer.status {
                200 => drop(world.told.lock().unwrap().decided.insert(id_of(approval), verb)),
                409 => {}
                _ if is_gone(&answer) => {}
                _ => world.accuse(format!("{verb}: {answer:?}")),
            }
        }
        late(Duration::from_millis(100)).await;
    }
}

/// Reads every event, and goes on elsewhere whenever its stream ends.
pub async fn watch(world: Arc<World>) {
    let mut last = None;
    loop {
        let mut call = world.gateway("reader").await.call(Method::GET, "/events/stream");
        if let Some(last) = &last {
            call = call.header("last-event-id", last);
        }
        let Ok(mut response) = call.0.send().await else {
            late(Duration::from_millis(20)).await;
            continue;
        };
        if response.status() != 200 {
            late(Duration::from_millis(20)).await;
            continue;
        }
        let mut text = String::new();
        while let Ok(Some(bytes)) = response.chunk().await {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some(block) = Block::take(&mut text) {
                world.is_watched.store(true, Ordering::Relaxed);
                see(&world, &block);
                last = Some(block.id).filter(|id| !id.is_empty()).or(last);
            }
        }
    }
}

fn see(world: &World, block: &Block) {
    match block.event.as_str() {
        "" | "cut-off" | "stopping" | "error" => {}
        "gap" => world.accuse(format!("the subscriber was told of a gap: {block:?}")),
        _ => {
            let rest = block.data.split_once(r#""event_id":""#).unwrap().1;
            world.told.lock().unwrap().seen.push(rest.split('"').next().unwrap().to_owned());
        }
    }
}
