//! Submitting over HTTP: one by one, and in batches.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Error;
use super::figure::{Figure, Reporter, median, percentile_ms};
use super::life::{batches, cpu_us, rate};
use super::load::{self, BATCH, PAYLOAD_BYTES, check, shares, side_by_side};
use super::setup::{Setup, Setups};
use super::wire::Wire;

/// How many callers submit one by one: a single one, and as many as share one group commit.
const CONNECTIONS: [u64; 2] = [1, 32];

/// How many callers submit batches.
const BATCH_CONNECTIONS: u64 = 4;

/// How long a load may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The results of all rounds of one load.
#[derive(Default)]
struct DoctorStats {
    rates: Vec<f64>,
    redis_us: Vec<f64>,
    gateway_us: Vec<f64>,
    load_us: Vec<f64>,
    /// The duration of each call in all rounds.
    calls: Vec<Duration>,
}

/// Measures `submit_single_1` and `submit_single_32`.
pub(super) async fn single(
    setups: &Setups,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    for connections in CONNECTIONS {
        // A single caller waits for each answer, so fewer calls are enough.
        let count = if connections == 1 { (count / 4).max(1) } else { count };
        let body = load::submission();
        let found =
            measure(setups, rounds, connections, count, count, |_| ("/tasks", body.clone()))
                .await?;
        report(reporter, &format!("submit_single_{connections}"), connections, 1, count, found)?;
    }
    Ok(())
}

/// Measures `submit_batch`.
pub(super) async fn batch(
    setups: &Setups,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let calls = batches(count).count() as u64;
    let count = calls * BATCH;
    let body = load::submissions(BATCH);
    let found = measure(setups, rounds, BATCH_CONNECTIONS, calls, count, |_| {
        ("/tasks/batch", body.clone())
    })
    .await?;
    report(reporter, "submit_batch", BATCH_CONNECTIONS, BATCH, count, found)
}

/// Makes `calls` calls that submit `count` tasks in total, `rounds` times.
async fn measure(
    setups: &Setups,
    rounds: u8,
    connections: u64,
    calls: u64,
    count: u64,
    request: impl Fn(u64) -> (&'static str, String),
) -> Result<DoctorStats, Error> {
    let mut found = DoctorStats::default();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        let mut loads = Vec::new();
        for share in shares(calls, connections) {
            let (path, body) = request(share);
            loads.push(post(setup.fleet()?.connect().await?, path, body, share));
        }
        let before = setup.usage().await?;
        let took = timeout(LIMIT, side_by_side(loads))
            .await
            .map_err(|_| Error::TooLong("submitting"))??;
        let end = Instant::now();
        // Redis is read at once, because the routing that follows is not a cost of the submission.
        let after = setup.usage().await?;
        found.rates.push(rate(&before, end, count));
        found.redis_us.push(after.redis_us_since(&before, count));
        let [gateway, _, load] = cpu_us(&before, &after, count);
        found.gateway_us.push(gateway);
        found.load_us.push(load);
        found.calls.extend(took.into_iter().flatten());
        finish(setup, count).await?;
    }
    found.calls.sort();
    Ok(found)
}

/// Posts `body` in each of `calls` calls. Returns the duration of each.
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

/// Ends a setup after it checked that every accepted task is stored.
async fn finish(setup: Setup, count: u64) -> Result<(), Error> {
    let stats = setup.engine.stats().await?;
    check("stored tasks", stats.by_priority.iter().map(|(_, count)| count).sum(), count)?;
    setup.end().await
}

fn report(
    reporter: &Reporter,
    name: &str,
    connections: u64,
    batch: u64,
    count: u64,
    found: DoctorStats,
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
