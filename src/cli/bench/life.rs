//! Whole lives of tasks: through the engine in this process, through HTTP, and in a naive store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::timeout;

use super::Error;
use super::bed::{Bed, Fleet, Ground, Used};
use super::figure::{Figure, Reporter, median};
use super::load::{self, AGENT, BATCH, Caller, PAYLOAD_BYTES, check, shares, side_by_side};
use super::wire::Wire;

/// How many callers work side by side: enough to keep Redis busy while answers are read.
const CALLERS: u64 = 4;

/// Submitters and agents over HTTP.
const SUBMITTERS: u64 = 2;
const AGENTS: u64 = 2;

/// How long an agent waits for the next tasks before it looks whether all are done.
const WAIT_MS: u64 = 1_000;

/// How long any load here may take.
const LIMIT: Duration = Duration::from_secs(120);

/// `full_life_store`, `naive_full_life` and their ratio.
pub(super) async fn store(
    ground: &Ground,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let (mut ours, mut naive) = (Vec::new(), Vec::new());
    // In turns, so that a noisy minute meets both.
    for _ in 0..rounds {
        ours.push(in_turn(ground, count, false).await?);
        naive.push(in_turn(ground, count, true).await?);
    }
    let ratios: Vec<_> = ours.iter().zip(&naive).map(|(ours, naive)| ours.1 / naive.1).collect();
    for (name, rounds) in [("full_life_store", &ours), ("naive_full_life", &naive)] {
        let (rates, costs): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
        let figure =
            Figure::of_rounds(name, &rates, "tasks/s", count).with_redis_us(median(&costs));
        reporter.figure(
            figure
                .with("callers", CALLERS)
                .with("batch", BATCH)
                .with("payload_bytes", PAYLOAD_BYTES),
        )?;
    }
    let figure = Figure::of_rounds("full_life_vs_naive", &ratios, "ratio", count);
    reporter.figure(figure.with("of", "Redis CPU per task").with("goal", 0.6))?;
    Ok(())
}

/// One round; returns tasks a second and Redis's CPU per task in µs.
async fn in_turn(ground: &Ground, count: u64, is_naive: bool) -> Result<(f64, f64), Error> {
    let bed = ground.store().await?;
    let caller = Caller::new(&bed.engine)?;
    // The scripts are loaded by their first call.
    if is_naive {
        bed.engine.naive_life(1, &load::payload()).await?
    } else {
        live(caller.clone(), 1).await.map(drop)?
    }
    let before = bed.used().await?;
    let lives = shares(count, CALLERS).map(|share| {
        let (engine, caller) = (bed.engine.clone(), caller.clone());
        async move {
            if is_naive { live_naively(&engine, share).await } else { live(caller, share).await }
        }
    });
    let done =
        timeout(LIMIT, side_by_side(lives)).await.map_err(|_| Error::TooLong("a full life"))??;
    let after = bed.used().await?;
    check("completed tasks", done.iter().sum(), count)?;
    bed.end().await?;
    Ok((rate(&before, after.at, count), after.redis_us_since(&before, count)))
}

/// Takes `count` tasks through their lives, a batch at a time. Callers take each other's tasks on the way.
async fn live(caller: Caller, count: u64) -> Result<u64, Error> {
    let (mut submitted, mut done) = (0, 0);
    while done < count {
        let batch = BATCH.min(count - submitted);
        if batch > 0 {
            caller.submit(batch).await?;
            submitted += batch;
        }
        caller.route().await?;
        let claimed = caller.claim(BATCH.min(count - done)).await?;
        done += caller.complete(claimed).await?;
    }
    Ok(done)
}

async fn live_naively(engine: &crate::engine::Engine, count: u64) -> Result<u64, Error> {
    let spec = load::payload();
    for batch in batches(count) {
        engine.naive_life(batch as usize, &spec).await?;
    }
    Ok(count)
}

/// `count` in batches.
pub(super) fn batches(count: u64) -> impl Iterator<Item = u64> {
    (0..count.div_ceil(BATCH)).map(move |nth| BATCH.min(count - nth * BATCH))
}

/// `full_life_batch`.
pub(super) async fn batch(
    ground: &Ground,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let (mut rates, mut costs, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let bed = ground.fleet().await?;
        let before = bed.used().await?;
        let last = timeout(LIMIT, over_http(bed.fleet()?, count))
            .await
            .map_err(|_| Error::TooLong("a full life"))??;
        let after = bed.used().await?;
        rates.push(rate(&before, last, count));
        costs.push(after.redis_us_since(&before, count));
        shares.push(cpu_us(&before, &after, count));
        settle(bed).await?;
    }
    let [gateway, worker, load] =
        [0, 1, 2].map(|part| median(&shares.iter().map(|share| share[part]).collect::<Vec<_>>()));
    let figure = Figure::of_rounds("full_life_batch", &rates, "tasks/s", count)
        .with_redis_us(median(&costs));
    let figure = figure.with("submitters", SUBMITTERS).with("agents", AGENTS).with("batch", BATCH);
    let figure = figure
        .with("gateway_cpu_us", gateway)
        .with("worker_cpu_us", worker)
        .with("load_cpu_us", load);
    reporter.figure(figure.with("payload_bytes", PAYLOAD_BYTES))?;
    Ok(())
}

/// Submits and completes `count` tasks; returns when the last was completed.
async fn over_http(fleet: &Fleet, count: u64) -> Result<Instant, Error> {
    let completed = Arc::new(AtomicU64::new(0));
    let mut loads: Vec<futures_util::future::BoxFuture<'static, Result<Instant, Error>>> =
        Vec::new();
    for share in shares(count, SUBMITTERS) {
        loads.push(Box::pin(submit(fleet.connect().await?, share)));
    }
    for nth in 0..AGENTS {
        loads.push(Box::pin(work(fleet.connect().await?, nth, Arc::clone(&completed), count)));
    }
    let ends = side_by_side(loads).await?;
    check("completed tasks", completed.load(Ordering::Relaxed), count)?;
    Ok(ends.into_iter().max().unwrap_or_else(Instant::now))
}

async fn submit(mut wire: Wire, count: u64) -> Result<Instant, Error> {
    let whole = load::submissions(BATCH);
    for batch in batches(count) {
        let rest = (batch < BATCH).then(|| load::submissions(batch));
        wire.post("/tasks/batch", rest.as_ref().unwrap_or(&whole).as_bytes()).await?;
    }
    Ok(Instant::now())
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    results: Vec<Status<'a>>,
    #[serde(borrow)]
    claimed: Option<Claimed<'a>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    status: Option<&'a str>,
}

#[derive(Deserialize)]
struct Claimed<'a> {
    #[serde(borrow)]
    tasks: Vec<Held<'a>>,
}

/// A task under a lease.
#[derive(Deserialize)]
pub(super) struct Held<'a> {
    #[serde(borrow)]
    task: Id<'a>,
    attempt: u32,
    lease: &'a str,
}

#[derive(Deserialize)]
struct Id<'a> {
    task_id: &'a str,
}

/// Claims and completes until all are completed; returns when this agent completed its last.
async fn work(
    mut wire: Wire,
    nth: u64,
    completed: Arc<AtomicU64>,
    count: u64,
) -> Result<Instant, Error> {
    let path = format!("/agents/{AGENT}/results");
    let claim = format!(r#""claim":{{"worker":"bench-{nth}","max":{BATCH},"wait_ms":{WAIT_MS}}}"#);
    let (mut outcomes, mut last) = (Vec::<String>::new(), Instant::now());
    while completed.load(Ordering::Relaxed) < count {
        let body = format!(r#"{{"outcomes":[{}],{claim}}}"#, outcomes.join(","));
        let answer: Answer<'_> = serde_json::from_slice(wire.post(&path, body.as_bytes()).await?)?;
        let done = answer.results.iter().filter(|result| result.status == Some("completed")).count()
            as u64;
        check("accepted outcomes", done, outcomes.len() as u64)?;
        if done > 0 && completed.fetch_add(done, Ordering::Relaxed) + done == count {
            last = Instant::now();
        }
        outcomes = outcomes_of(answer.claimed.into_iter().flat_map(|claimed| claimed.tasks));
    }
    Ok(last)
}

/// What completes each of these, as JSON.
pub(super) fn outcomes_of<'a>(held: impl Iterator<Item = Held<'a>>) -> Vec<String> {
    let outcome = |held: Held<'_>| {
        let (id, attempt, lease) = (held.task.task_id, held.attempt, held.lease);
        format!(
            r#"{{"task_id":"{id}","attempt":{attempt},"lease":"{lease}","outcome":"completed","result":{{"ok":true}}}}"#
        )
    };
    held.map(outcome).collect()
}

/// Tasks a second from `before` to `end`.
pub(super) fn rate(before: &Used, end: Instant, count: u64) -> f64 {
    count as f64 / end.duration_since(before.at).as_secs_f64()
}

/// The CPU of gateway, worker and load for each task, in µs.
pub(super) fn cpu_us(before: &Used, after: &Used, count: u64) -> [f64; 3] {
    let spent =
        [after.gateway - before.gateway, after.worker - before.worker, after.load - before.load];
    spent.map(|time| (time.as_micros() as f64 / count as f64 * 10.0).round() / 10.0)
}

/// Ends a bed whose doctor must find nothing.
async fn settle(bed: Bed) -> Result<(), Error> {
    let findings = bed.engine.doctor().await?.len() as u64;
    check("the doctor's findings", findings, 0)?;
    bed.end().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        assert_eq!(batches(250).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(batches(0).count(), 0);
    }
}
