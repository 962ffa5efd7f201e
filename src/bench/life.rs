//! Whole lives of tasks: through the engine in this process, through HTTP, and in a naive store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::timeout;

use super::Error;
use super::figure::{Figure, Reporter, median};
use super::load::{self, AGENT, BATCH, Caller, PAYLOAD_BYTES, check, shares, side_by_side};
use super::setup::{Fleet, Setup, Setups, Usage};
use super::wire::Wire;

/// How many callers work in parallel: enough to keep Redis busy while they read answers.
const CALLERS: u64 = 4;

/// The number of connections that submit, and of those that work, over HTTP.
const SUBMITTERS: u64 = 2;
const AGENTS: u64 = 2;

/// How long an agent waits for tasks before it checks whether all are done.
const WAIT_MS: u64 = 1_000;

const LIMIT: Duration = Duration::from_secs(120);

/// Measures `full_life_store`, `naive_full_life` and their ratio.
pub(super) async fn store(
    setups: &Setups,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let mut ours = Vec::new();
    let mut naive = Vec::new();
    // Interleaved, so that a noisy minute affects both.
    for _ in 0..rounds {
        ours.push(in_turn(setups, count, false).await?);
        naive.push(in_turn(setups, count, true).await?);
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

/// Runs one round. Returns tasks per second, and CPU time of Redis per task in µs.
async fn in_turn(setups: &Setups, count: u64, is_naive: bool) -> Result<(f64, f64), Error> {
    let setup = setups.store().await?;
    let caller = Caller::new(&setup.engine)?;
    // The first call loads the scripts.
    if is_naive {
        setup.engine.store().naive_life(1, &load::payload()).await?
    } else {
        live(caller.clone(), 1).await.map(drop)?
    }
    let before = setup.usage().await?;
    let lives = shares(count, CALLERS).map(|share| {
        let engine = setup.engine.clone();
        let caller = caller.clone();
        async move {
            if is_naive { live_naively(&engine, share).await } else { live(caller, share).await }
        }
    });
    let done =
        timeout(LIMIT, side_by_side(lives)).await.map_err(|_| Error::TooLong("a full life"))??;
    let after = setup.usage().await?;
    check("completed tasks", done.iter().sum(), count)?;
    setup.end().await?;
    Ok((rate(&before, after.at, count), after.redis_us_since(&before, count)))
}

/// Takes `count` tasks through their lives, a batch at a time. A caller may get tasks of other
/// callers.
async fn live(caller: Caller, count: u64) -> Result<u64, Error> {
    let mut submitted = 0;
    let mut done = 0;
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
        engine.store().naive_life(batch as usize, &spec).await?;
    }
    Ok(count)
}

/// Splits `count` into batches of at most [`BATCH`].
pub(super) fn batches(count: u64) -> impl Iterator<Item = u64> {
    (0..count.div_ceil(BATCH)).map(move |nth| BATCH.min(count - nth * BATCH))
}

/// Measures `full_life_batch`: whole lives over HTTP.
pub(super) async fn batch(
    setups: &Setups,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    let mut shares = Vec::new();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        let before = setup.usage().await?;
        let last = timeout(LIMIT, over_http(setup.fleet()?, count))
            .await
            .map_err(|_| Error::TooLong("a full life"))??;
        let after = setup.usage().await?;
        rates.push(rate(&before, last, count));
        costs.push(after.redis_us_since(&before, count));
        shares.push(cpu_us(&before, &after, count));
        settle(setup).await?;
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

/// Submits and completes `count` tasks. Returns when the last was completed.
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

/// A claimed task, as the gateway answers.
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

/// Claims and completes tasks until all are completed. Returns when this agent completed its last
/// one.
async fn work(
    mut wire: Wire,
    nth: u64,
    completed: Arc<AtomicU64>,
    count: u64,
) -> Result<Instant, Error> {
    let path = format!("/agents/{AGENT}/results");
    let claim = format!(r#""claim":{{"worker":"bench-{nth}","max":{BATCH},"wait_ms":{WAIT_MS}}}"#);
    let mut outcomes = Vec::<String>::new();
    let mut last = Instant::now();
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

/// Returns the outcomes that complete these tasks, as JSON.
pub(super) fn outcomes_of<'a>(held: impl Iterator<Item = Held<'a>>) -> Vec<String> {
    held.map(|held| {
        let id = held.task.task_id;
        let attempt = held.attempt;
        let lease = held.lease;
        let holder = format!(r#""task_id":"{id}","attempt":{attempt},"lease":"{lease}""#);
        format!(r#"{{{holder},"outcome":"completed","result":{{"ok":true}}}}"#)
    })
    .collect()
}

/// Returns the tasks per second from `before` to `end`.
pub(super) fn rate(before: &Usage, end: Instant, count: u64) -> f64 {
    count as f64 / end.duration_since(before.at).as_secs_f64()
}

/// Returns the CPU time of gateway, worker and load for each task, in µs.
pub(super) fn cpu_us(before: &Usage, after: &Usage, count: u64) -> [f64; 3] {
    let spent =
        [after.gateway - before.gateway, after.worker - before.worker, after.load - before.load];
    spent.map(|time| (time.as_micros() as f64 / count as f64 * 10.0).round() / 10.0)
}

/// Ends a setup after the doctor found nothing in its store.
async fn settle(setup: Setup) -> Result<(), Error> {
    let findings = setup.engine.doctor().await?.len() as u64;
    check("the doctor's findings", findings, 0)?;
    setup.end().await
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
