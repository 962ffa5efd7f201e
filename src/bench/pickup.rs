//! The time until a waiting agent has a task, under an open load: slow answers do not slow the load
//! down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::Error;
use super::figure::{Figure, percentile_ms};
use super::load::{self, AGENT, PAYLOAD_BYTES, check, side_by_side, within};
use super::setup::{Fleet, Setups};
use super::wire::{Claimed, Held, Submitted, Wire};

/// The number of submissions per second.
const RATE: u64 = 100;

/// How many agents claim: one must always wait while the others report.
const AGENTS: u64 = 4;

/// How many connections submit in turn: more than there are concurrent submissions.
const SUBMITTERS: u64 = 8;

/// How many tasks are not counted at the start: they load scripts and fill caches.
const WARM_UP: u64 = 20;

/// For each task, when one side sent its request and when it had the answer.
type Seen = HashMap<String, (Instant, Instant)>;

/// Measures `pickup_*` from the answer to the submission to the answer to the claim, and
/// `end_to_end_*` from the sending of the submission.
pub(super) async fn measure(setups: &Setups, seconds: u64) -> Result<(), Error> {
    let setup = setups.fleet().await?;
    let count = WARM_UP + RATE * seconds;
    let before = setup.usage().await?;
    let limit = Duration::from_secs(seconds + 30);
    let (submitted, claimed) = within(limit, "pickup", run(setup.fleet()?, count)).await?;
    let after = setup.usage().await?;
    setup.end().await?;
    let redis_us = after.since(&before, after.at, count).redis_us;
    check("claimed tasks", claimed.len() as u64, count)?;
    let mut order: Vec<_> = submitted.iter().collect();
    order.sort_by_key(|(_, (sent, _))| *sent);
    let mut pickup = Vec::new();
    let mut end_to_end = Vec::new();
    for (id, (sent, answered)) in order.into_iter().skip(WARM_UP as usize) {
        let Some((_, had)) = claimed.get(id) else { continue };
        // The agent can have the task before the submitter has its answer.
        pickup.push(had.saturating_duration_since(*answered));
        end_to_end.push(had.saturating_duration_since(*sent));
    }
    check("matched tasks", pickup.len() as u64, count - WARM_UP)?;
    for (name, mut times) in [("pickup", pickup), ("end_to_end", end_to_end)] {
        times.sort();
        for (suffix, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)] {
            let value = percentile_ms(&times, percent);
            Figure::new(format!("{name}_{suffix}"), value, "ms", times.len() as u64)
                .with_redis_us(redis_us)
                .with("a_second", RATE)
                .with("waiting_agents", AGENTS)
                .with("payload_bytes", PAYLOAD_BYTES)
                .report()?;
        }
    }
    Ok(())
}

async fn run(fleet: &Fleet, count: u64) -> Result<(Seen, Seen), Error> {
    let claimed = Arc::new(AtomicU64::new(0));
    let mut agents = Vec::new();
    for nth in 0..AGENTS {
        agents.push(work(fleet.connect().await?, nth, Arc::clone(&claimed), count));
    }
    let mut submitters = Vec::new();
    for nth in 0..SUBMITTERS {
        submitters.push(submit(fleet.connect().await?, nth, count));
    }
    let (submitted, claimed) = tokio::try_join!(side_by_side(submitters), side_by_side(agents))?;
    Ok((submitted.into_iter().flatten().collect(), claimed.into_iter().flatten().collect()))
}

/// Sends every [`SUBMITTERS`]th submission, each at its scheduled time.
async fn submit(mut wire: Wire, nth: u64, count: u64) -> Result<Seen, Error> {
    let mut seen = Seen::new();
    let body = load::submission();
    let start = tokio::time::Instant::now() + Duration::from_millis(200 + nth * 1_000 / RATE);
    let mut ticks =
        tokio::time::interval_at(start, Duration::from_millis(SUBMITTERS * 1_000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in (nth..count).step_by(SUBMITTERS as usize) {
        ticks.tick().await;
        let sent = Instant::now();
        let answer = wire.post("/tasks", &body).await?;
        let answered = Instant::now();
        let task: Submitted = serde_json::from_slice(answer)?;
        seen.insert(task.task_id, (sent, answered));
    }
    Ok(seen)
}

/// Waits for tasks, claims and completes them until all have been claimed.
async fn work(
    mut wire: Wire,
    nth: u64,
    claimed: Arc<AtomicU64>,
    count: u64,
) -> Result<Seen, Error> {
    let mut seen = Seen::new();
    let claim = format!("/agents/{AGENT}/claim");
    let body = format!(r#"{{"worker":"bench-{nth}","max":1,"wait_ms":1000}}"#);
    while claimed.load(Ordering::Relaxed) < count {
        let sent = Instant::now();
        let answer = wire.post(&claim, &body).await?;
        let had = Instant::now();
        let Claimed { tasks } = serde_json::from_slice(answer)?;
        for held in tasks {
            claimed.fetch_add(1, Ordering::Relaxed);
            let Held { task: Submitted { task_id }, attempt, lease } = held;
            let outcome =
                format!(r#"{{"attempt":{attempt},"lease":"{lease}","result":{{"ok":true}}}}"#);
            wire.post(&format!("/tasks/{task_id}/complete"), &outcome).await?;
            seen.insert(task_id, (sent, had));
        }
    }
    Ok(seen)
}
