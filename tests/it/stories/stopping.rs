//! SIGTERM under load: nothing that was acknowledged is lost, no attempt is burnt, and the process ends well.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Client, Program, Redis, eventually};

/// What one client was told.
#[derive(Default)]
struct Told {
    accepted: BTreeSet<String>,
    /// What an agent holds and has not reported on.
    held: BTreeSet<String>,
    completed: BTreeSet<String>,
}

fn id(task: &Value) -> String {
    task["task_id"].as_str().unwrap().to_owned()
}

/// Submits until the gateway is gone.
async fn submit(crew: Client) -> Told {
    let mut told = Told::default();
    while let Some(answer) = crew.try_post("/tasks", &json!({"type": "faq", "payload": {}})).await {
        told.accepted.insert(id(&answer.accepted(201)));
    }
    told
}

/// Claims and completes until the gateway is gone.
async fn work(crew: Client) -> Told {
    let mut told = Told::default();
    let claim = json!({"worker": "w1", "max": 5, "wait_ms": 60_000});
    while let Some(answer) = crew.try_post("/agents/faq_agent/claim", &claim).await {
        let claimed = answer.accepted(200);
        for one in claimed["tasks"].as_array().unwrap() {
            let id = id(&one["task"]);
            told.held.insert(id.clone());
            let path = format!("/tasks/{id}/complete");
            if let Some(answer) = crew.try_post(&path, &json!({"attempt": one["attempt"]})).await {
                answer.accepted(200);
                told.held.remove(&id);
                told.completed.insert(id);
            }
        }
    }
    told
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_under_load_answers_what_it_took_and_burns_no_attempt() {
    let redis = Redis::start(false, &[]).await;
    let program = Program::over(redis.url());
    let (mut gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
    let crew = gateway.client("crew").await;
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(submit(crew.clone()));
        clients.spawn(work(crew.clone()));
    }
    let other = program.start(&["gateway"]);
    let reader = other.client("reader").await;
    eventually("the load is on", async || {
        let completed = reader.get("/stats").await.json()["by_status"]["completed"].as_u64().unwrap();
        if completed > 200 { Ok(()) } else { Err(completed) }
    })
    .await;

    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await, 0, "{}", gateway.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    let mut all = Told::default();
    while let Some(told) = clients.join_next().await {
        let told = told.unwrap();
        all.accepted.extend(told.accepted);
        all.held.extend(told.held);
        all.completed.extend(told.completed);
    }
    let (mut stored, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = reader.get(&format!("/tasks?limit=200{cursor}")).await.accepted(200);
        for task in page["items"].as_array().unwrap() {
            assert_eq!((&task["retry_count"], &task["lost_count"]), (&json!(0), &json!(0)), "{task}");
            if task["status"] == "in_progress" {
                assert!(all.held.contains(&id(task)), "leased to nobody: {task}");
            }
            if all.completed.contains(&id(task)) {
                assert_eq!(task["status"], "completed", "{task}");
            }
            stored.insert(id(task));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(all.accepted.is_subset(&stored), "lost: {:?}", all.accepted.difference(&stored).collect::<Vec<_>>());
    let (code, output, log) = program.run(&["doctor"]).await;
    assert_eq!(code, 0, "{output}{log}");
    worker.stop().await;
    other.stop().await;
}
