//! Submitting over HTTP: one by one, and in batches.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Error;
use super::bed::{Bed, Ground};
use super::figure::{Figure, Reporter, median, percentile_ms};
use super::life::{batches, cpu_us, rate};
use super::load::{self, BATCH, PAYLOAD_BYTES, check, shares, side_by_side};
use super::wire::Wire;

/// How many callers submit one by one: each alone, and as many as meet in one group commit.
const CONNECTIONS: [u64; 2] = [1, 32];

/// How many callers submit batches.
const BATCH_CONNECTIONS: u64 = 4;

/// How long a load may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What the rounds of one load gave.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    redis_us: Vec<f64>,
    gateway_us: Vec<f64>,
    load_us: Vec<f64>,
    /// How long each call took, in all rounds.
    calls: Vec<Duration>,
}

/// `submit_single_1` and `submit_single_32`.
pub(super) async fn single(
    ground: &Ground,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    for connections in CONNECTIONS {
        // Alone, a caller waits for each answer: fewer calls say as much.
        let count = if connections == 1 { (count / 4).max(1) } else { count };
        let body = load::submission();
        let found =
            measure(ground, rounds, connections, count, count, |_| ("/tasks", body.clone()))
                .await?;
        report(reporter, &format!("submit_single_{connections}"), connections, 1, count, found)?;
    }
    Ok(())
}

/// `submit_batch`.
pub(super) async fn batch(
    ground: &Ground,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let calls = batches(count).count() as u64;
    let count = calls * BATCH;
    let body = load::submissions(BATCH);
    let found = measure(ground, rounds, BATCH_CONNECTIONS, calls, count, |_| {
        ("/tasks/batch", body.clone())
    })
    .await?;
    report(reporter, "submit_batch", BATCH_CONNECTIONS, BATCH, count, found)
}

/// Makes `calls` calls that submit `count` tasks in all, `rounds` times.
async fn measure(
    ground: &Ground,
    rounds: u8,
    connections: u64,
    calls: u64,
    count: u64,
    request: impl Fn(u64) -> (&'static str, String),
) -> Result<Rounds, Error> {
    let mut found = Rounds::default();
    for _ in 0..rounds {
        let bed = ground.fleet().await?;
        let mut loads = Vec::new();
        for share in shares(calls, connections) {
            let (path, body) = request(share);
            loads.push(post(bed.fleet()?.connect().await?, path, body, share));
        }
        let before = bed.used().await?;
        let took = timeout(LIMIT, side_by_side(loads))
            .await
            .map_err(|_| Error::TooLong("submitting"))??;
        let end = Instant::now();
        // What the worker routes behind them is not the submission's cost: Redis is asked at once.
        let after = bed.used().await?;
        found.rates.push(rate(&before, end, count));
        found.redis_us.push(after.redis_us_since(&before, count));
        let [gateway, _, load] = cpu_us(&before, &after, count);
        found.gateway_us.push(gateway);
        found.load_us.push(load);
        found.calls.extend(took.into_iter().flatten());
        finish(bed, count).await?;
    }
    found.calls.sort();
    Ok(found)
}

/// Posts `body` so many times; returns how long each call took.
async fn post(
    mut wire: Wire,
    path: &'static str,
    body: String,
    calls: u64,
) -> Result<Vec<Duration>, Error> {
    let mut took = Vec::with_capacity(calls as usize);
    for _ in 0..calls {
        let began = Instant::now();
        wire.post(path, body.as_bytes()).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

/// Every task that was accepted must be there.
async fn finish(bed: Bed, count: u64) -> Result<(), Error> {
    let stats = bed.engine.stats().await?;
    check("stored tasks", stats.by_priority.iter().map(|(_, count)| count).sum(), count)?;
    bed.end().await
}

fn report(
    reporter: &Reporter,
    name: &str,
    connections: u64,
    batch: u64,
    count: u64,
    found: Rounds,
) -> Result<(), Error> {
    let figure = Figure::of_rounds(name, &found.rates, "tasks/s", count)
        .with_redis_us(median(&found.redis_us))
        .with("redis_cpu_includes", "what the worker routed meanwhile")
        .with("connections", connections)
        .with("batch", batch)
        .with("payload_bytes", PAYLOAD_BYTES)
        .with("gateway_cpu_us", median(&found.gateway_us))
        .with("load_cpu_us", median(&found.load_us))
        .with("call_p50_ms", percentile_ms(&found.calls, 50.0))
        .with("call_p99_ms", percentile_ms(&found.calls, 99.0));
    Ok(reporter.figure(figure)?)
}
