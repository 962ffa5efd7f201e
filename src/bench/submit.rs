//! Submitting over HTTP: one by one, and in batches.

use std::time::{Duration, Instant};

use super::Error;
use super::figure::{Figure, median, percentile_ms};
use super::load::{self, BATCH, LIMIT, batches, check, shares, side_by_side, within};
use super::setup::Setups;
use super::wire::Wire;

/// How many callers submit one by one: a single one, and as many as share one group commit.
const CONNECTIONS: [u64; 2] = [1, 32];

/// How many callers submit batches.
const BATCH_CONNECTIONS: u64 = 4;

/// A load of equal calls.
#[derive(Clone)]
struct Load {
    name: String,
    path: &'static str,
    body: String,
    connections: u64,
    calls: u64,
    /// The number of tasks in one call.
    batch: u64,
}

/// Measures `submit_single_1` and `submit_single_32`.
pub(super) async fn single(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    for connections in CONNECTIONS {
        let load = Load {
            name: format!("submit_single_{connections}"),
            path: "/tasks",
            body: load::submission(),
            connections,
            // A single caller waits for each answer, so fewer calls are enough.
            calls: if connections == 1 { (count / 4).max(1) } else { count },
            batch: 1,
        };
        measure(setups, &load, rounds).await?;
    }
    Ok(())
}

/// Measures `submit_batch`.
pub(super) async fn batch(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    let load = Load {
        name: "submit_batch".to_owned(),
        path: "/tasks/batch",
        body: load::submissions(BATCH),
        connections: BATCH_CONNECTIONS,
        calls: batches(count, BATCH).count() as u64,
        batch: BATCH,
    };
    measure(setups, &load, rounds).await
}

async fn measure(setups: &Setups, load: &Load, rounds: u8) -> Result<(), Error> {
    let count = load.calls * load.batch;
    let mut paces = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        let mut loads = Vec::new();
        for share in shares(load.calls, load.connections) {
            let wire = setup.fleet()?.connect().await?;
            loads.push(post(wire, load.clone(), share));
        }
        let before = setup.usage().await?;
        let took = within(LIMIT, "submitting", side_by_side(loads)).await?;
        // Redis is read at once, because the routing that follows is not a cost of the submission.
        let after = setup.usage().await?;
        paces.push(after.since(&before, after.at, count));
        calls.extend(took.into_iter().flatten());
        let stats = setup.engine.stats().await?;
        check("stored tasks", stats.by_priority.iter().map(|(_, count)| count).sum(), count)?;
        setup.end().await?;
    }
    calls.sort();
    Figure::of_paces(&load.name, &paces, count)
        .with("redis_cpu_includes", "what the worker routed meanwhile")
        .with("connections", load.connections)
        .with("batch", load.batch)
        .with("gateway_cpu_us", median(paces.iter().map(|pace| pace.gateway_us)))
        .with("load_cpu_us", median(paces.iter().map(|pace| pace.load_us)))
        .with("call_p50_ms", percentile_ms(&calls, 50.0))
        .with("call_p99_ms", percentile_ms(&calls, 99.0))
        .report()?;
    Ok(())
}

/// Makes `calls` calls of the load. Returns the duration of each.
async fn post(mut wire: Wire, load: Load, calls: u64) -> Result<Vec<Duration>, Error> {
    let mut took = Vec::with_capacity(calls as usize);
    for _ in 0..calls {
        let began = Instant::now();
        wire.post(load.path, &load.body).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}
