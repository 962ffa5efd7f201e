//! How soon a waiting agent has a task: open loop, so that a slow answer does not slow the load down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::{MissedTickBehavior, timeout};

use super::Error;
use super::bed::{Fleet, Ground};
use super::figure::{Figure, Reporter, percentile_ms};
use super::load::{self, AGENT, PAYLOAD_BYTES, check, side_by_side};
use super::wire::Wire;

/// Submissions a second.
const RATE: u64 = 100;

/// How many agents wait: one must always be free while the others report.
const AGENTS: u64 = 4;

/// How many connections the submissions take turns on: more than are ever on their way at once.
const SUBMITTERS: u64 = 8;

/// Tasks before the first that counts: they load scripts and warm caches.
const WARM_UP: u64 = 20;

/// What one side saw of a task: when it sent its request and when it had the answer.
type Seen = HashMap<String, (Instant, Instant)>;

#[derive(Deserialize)]
struct Claimed {
    tasks: Vec<Held>,
}

#[derive(Deserialize)]
struct Held {
    task: Submitted,
    attempt: u32,
    lease: String,
}

#[derive(Deserialize)]
struct Submitted {
    task_id: String,
}

/// `pickup_*` from the submission's answer to the claim's, and `end_to_end_*` from the sending of the submission.
pub(super) async fn measure(
    ground: &Ground,
    reporter: &Reporter,
    seconds: u64,
) -> Result<(), Error> {
    let bed = ground.fleet().await?;
    let count = WARM_UP + RATE * seconds;
    let before = bed.used().await?;
    let limit = Duration::from_secs(seconds + 30);
    let (submitted, claimed) =
        timeout(limit, run(bed.fleet()?, count)).await.map_err(|_| Error::TooLong("pickup"))??;
    let after = bed.used().await?;
    bed.end().await?;
    check("claimed tasks", claimed.len() as u64, count)?;
    let mut order: Vec<_> = submitted.iter().collect();
    order.sort_by_key(|(_, (sent, _))| *sent);
    let (mut pickup, mut end_to_end) = (Vec::new(), Vec::new());
    for (id, (sent, answered)) in order.into_iter().skip(WARM_UP as usize) {
        let Some((_, had)) = claimed.get(id) else { continue };
        // The agent may have the task before the submitter has his answer.
        pickup.push(had.saturating_duration_since(*answered));
        end_to_end.push(had.saturating_duration_since(*sent));
    }
    check("matched tasks", pickup.len() as u64, count - WARM_UP)?;
    for (name, mut times) in [("pickup", pickup), ("end_to_end", end_to_end)] {
        times.sort();
        for (suffix, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)] {
            let value = percentile_ms(&times, percent);
            let figure = Figure::new(format!("{name}_{suffix}"), value, "ms", times.len() as u64)
                .with_redis_us(after.redis_us_since(&before, count))
                .with("a_second", RATE)
                .with("waiting_agents", AGENTS)
                .with("payload_bytes", PAYLOAD_BYTES);
            reporter.figure(figure)?;
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
    let join = |parts: Vec<Seen>| parts.into_iter().flatten().collect();
    Ok((join(submitted), join(claimed)))
}

/// Sends every [`SUBMITTERS`]th submission, each at its time.
async fn submit(mut wire: Wire, nth: u64, count: u64) -> Result<Seen, Error> {
    let (mut seen, body) = (Seen::new(), load::submission());
    let start = tokio::time::Instant::now() + Duration::from_millis(200 + nth * 1_000 / RATE);
    let mut ticks =
        tokio::time::interval_at(start, Duration::from_millis(SUBMITTERS * 1_000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in (nth..count).step_by(SUBMITTERS as usize) {
        ticks.tick().await;
        let sent = Instant::now();
        let answer = wire.post("/tasks", body.as_bytes()).await?;
        let answered = Instant::now();
        let task: Submitted = serde_json::from_slice(answer)?;
        seen.insert(task.task_id, (sent, answered));
    }
    Ok(seen)
}

/// Waits, claims and completes until all have been claimed.
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
        let answer = wire.post(&claim, body.as_bytes()).await?;
        let had = Instant::now();
        let Claimed { tasks } = serde_json::from_slice(answer)?;
        for held in tasks {
            claimed.fetch_add(1, Ordering::Relaxed);
            let (attempt, lease) = (held.attempt, held.lease);
            let outcome =
                format!(r#"{{"attempt":{attempt},"lease":"{lease}","result":{{"ok":true}}}}"#);
            wire.post(&format!("/tasks/{}/complete", held.task.task_id), outcome.as_bytes())
                .await?;
            seen.insert(held.task.task_id, (sent, had));
        }
    }
    Ok(seen)
}
