//! Whole lives of tasks: through the engine in this process, through HTTP, and in a naive store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::FutureExt;

use super::Error;
use super::figure::{Figure, Pace, median};
use super::load::{self, BATCH, Caller, LIMIT, batches, check, shares, side_by_side, within};
use super::setup::{Fleet, Setups};
use super::wire::{Agent, Wire};

/// How many callers work in parallel: enough to keep Redis busy while they read answers.
const CALLERS: u64 = 4;

/// The number of connections that submit, and of those that work, over HTTP.
const SUBMITTERS: u64 = 2;
const AGENTS: u64 = 2;

/// How long an agent waits for tasks before it checks whether all are claimed.
const WAIT_MS: u64 = 1_000;

/// Measures `full_life_store`, `naive_full_life` and their ratio.
pub(super) async fn store(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    let load = Load { count, callers: CALLERS, batch: BATCH, goal: 0.6 };
    compare(setups, load, rounds, ["full_life_store", "naive_full_life", "full_life_vs_naive"])
        .await
}

/// Measures the same with one task in each call.
pub(super) async fn single(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    let load = Load { count, callers: 1, batch: 1, goal: 0.85 };
    let names = ["full_life_single", "naive_full_life_single", "full_life_single_vs_naive"];
    compare(setups, load, rounds, names).await
}

/// How many tasks live, how many callers move them, how many tasks a call has, and which share of
/// the naive scripts' CPU they should take at most.
#[derive(Clone, Copy)]
struct Load {
    count: u64,
    callers: u64,
    batch: u64,
    goal: f64,
}

/// Measures a load with our scripts and with the naive ones, and the ratio.
async fn compare(
    setups: &Setups,
    load: Load,
    rounds: u8,
    [ours_name, naive_name, ratio_name]: [&str; 3],
) -> Result<(), Error> {
    let mut ours = Vec::new();
    let mut naive = Vec::new();
    // Interleaved, so that a noisy minute affects both.
    for _ in 0..rounds {
        ours.push(in_turn(setups, load, false).await?);
        naive.push(in_turn(setups, load, true).await?);
    }
    let partitions = setups.partitions;
    for (name, paces) in [(ours_name, &ours), (naive_name, &naive)] {
        let figure = Figure::of_paces(name, paces, load.count).with("partitions", partitions);
        figure.with("callers", load.callers).with("batch", load.batch).report()?;
    }
    let ratios = ours.iter().zip(&naive).map(|(ours, naive)| ours.redis_us / naive.redis_us);
    let figure = Figure::of_rounds(ratio_name, ratios, "ratio", load.count);
    let figure = figure.with("of", "Redis CPU per task").with("compared_with", naive_name);
    Ok(figure.with("goal", load.goal).with("partitions", partitions).report()?)
}

async fn in_turn(setups: &Setups, load: Load, is_naive: bool) -> Result<Pace, Error> {
    let Load { count, callers, batch, .. } = load;
    let setup = setups.store().await?;
    let caller = Caller::new(&setup.engine)?;
    // The first call loads the scripts.
    live(caller.clone(), 1, batch, is_naive).await?;
    let before = setup.usage().await?;
    let lives = shares(count, callers).map(|share| live(caller.clone(), share, batch, is_naive));
    let done = within(LIMIT, "a full life", side_by_side(lives)).await?;
    let after = setup.usage().await?;
    check("completed tasks", done.iter().sum(), count)?;
    setup.end().await?;
    Ok(after.since(&before, after.at, count))
}

/// Takes `count` tasks through their lives, up to `most` at a time. A caller may get tasks of other
/// callers.
async fn live(caller: Caller, count: u64, most: u64, is_naive: bool) -> Result<u64, Error> {
    if is_naive {
        for batch in batches(count, most) {
            caller.live_naively(batch).await?;
        }
        return Ok(count);
    }
    let mut submitted = 0;
    let mut done = 0;
    while done < count {
        let batch = most.min(count - submitted);
        if batch > 0 {
            caller.submit(batch).await?;
            submitted += batch;
        }
        caller.route().await?;
        let claimed = caller.claim(most.min(count - done)).await?;
        done += caller.complete(claimed).await?;
    }
    Ok(done)
}

/// Measures `full_life_batch`: whole lives over HTTP.
pub(super) async fn batch(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    let mut paces = Vec::new();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        let before = setup.usage().await?;
        let last = within(LIMIT, "a full life", over_http(setup.fleet()?, count)).await?;
        let after = setup.usage().await?;
        paces.push(after.since(&before, last, count));
        let findings = setup.engine.doctor().await?.len() as u64;
        check("the doctor's findings", findings, 0)?;
        setup.end().await?;
    }
    Figure::of_paces("full_life_batch", &paces, count)
        .with("partitions", setups.partitions)
        .with("submitters", SUBMITTERS)
        .with("agents", AGENTS)
        .with("batch", BATCH)
        .with("gateway_cpu_us", median(paces.iter().map(|pace| pace.gateway_us)))
        .with("worker_cpu_us", median(paces.iter().map(|pace| pace.worker_us)))
        .with("load_cpu_us", median(paces.iter().map(|pace| pace.load_us)))
        .report()?;
    Ok(())
}

/// Submits and completes `count` tasks. Returns when the last was completed.
async fn over_http(fleet: &Fleet, count: u64) -> Result<Instant, Error> {
    let claimed = Arc::new(AtomicU64::new(0));
    let completed = Arc::new(AtomicU64::new(0));
    let mut loads = Vec::new();
    for share in shares(count, SUBMITTERS) {
        loads.push(submit(fleet.connect().await?, share).boxed());
    }
    for nth in 0..AGENTS {
        let agent = Agent::new(fleet.connect().await?, nth, BATCH, WAIT_MS);
        let counts = (Arc::clone(&claimed), Arc::clone(&completed));
        loads.push(work(agent, counts, count).boxed());
    }
    let ends = side_by_side(loads).await?;
    check("completed tasks", completed.load(Ordering::Relaxed), count)?;
    Ok(ends.into_iter().max().unwrap_or_else(Instant::now))
}

async fn submit(mut wire: Wire, count: u64) -> Result<Instant, Error> {
    let whole = load::submissions(BATCH);
    for batch in batches(count, BATCH) {
        let rest = (batch < BATCH).then(|| load::submissions(batch));
        wire.post("/tasks/batch", rest.as_ref().unwrap_or(&whole)).await?;
    }
    Ok(Instant::now())
}

/// Claims and completes tasks until all are claimed and its own are completed. Returns when this
/// agent completed its last one. Its last call does not claim, because a claim that finds nothing
/// waits.
async fn work(
    mut agent: Agent,
    (claimed, completed): (Arc<AtomicU64>, Arc<AtomicU64>),
    count: u64,
) -> Result<Instant, Error> {
    let mut last = Instant::now();
    loop {
        let is_last = claimed.load(Ordering::Relaxed) == count;
        if is_last && agent.outcomes.is_empty() {
            return Ok(last);
        }
        let done = agent.turn(is_last).await?.completed;
        claimed.fetch_add(agent.outcomes.len() as u64, Ordering::Relaxed);
        if done > 0 {
            completed.fetch_add(done, Ordering::Relaxed);
            last = Instant::now();
        }
    }
}
