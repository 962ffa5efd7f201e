//! Everything at once: gateways, workers and Redis are killed, paused and cut off from each other, at random but from a
//! seed, while clients submit, cancel and repeat, judges decide and agents work, fail and die. At the end the whole
//! history is checked.
//!
//! `make chaos SEED=… MINUTES=…` tells it long, and the same seed brings the same faults in the same order.

mod agents;
mod callers;
mod faults;
mod fleet;
mod history;
mod soak;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fleet::Fleet;

use crate::harness::{BOUND, eventually, may_take};

/// What the processes are told: leases that end soon, so that what was lost comes back in the time of a test.
const SETTINGS: &[(&str, &str)] = &[
    ("ORCHESTRATOR__AGENTS__LEASE_MS", "2000"),
    ("ORCHESTRATOR__AGENTS__SESSION_MS", "5000"),
    ("ORCHESTRATOR__AGENTS__MAX_LOST", "20"),
    ("ORCHESTRATOR__TASKS__BACKOFF__BASE_MS", "50"),
    ("ORCHESTRATOR__TASKS__BACKOFF__MAX_MS", "500"),
    ("ORCHESTRATOR__RETENTION__EVENTS", "1000000"),
];

/// What a worker is told that is to forget everything at once.
const FORGET: [(&str, &str); 3] = [
    ("ORCHESTRATOR__RETENTION__FINISHED_MS", "1000"),
    ("ORCHESTRATOR__RETENTION__EVENTS_MS", "1000"),
    ("ORCHESTRATOR__TASKS__IDEMPOTENCY_MS", "1000"),
];

/// A number that `make` passes on.
fn told<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Faults for so long, then peace until everything is done.
async fn story(seed: u64, length: Duration, batches_a_second: f64) {
    println!("chaos with ORCHESTRATOR_CHAOS_SEED={seed} for {length:?}");
    may_take(4 * length + 5 * BOUND);
    let mut fleet = Fleet::start(&["--appendfsync", "always"], SETTINGS, seed).await;
    fleet.watch();
    // The subscriber's first event is the first there is.
    eventually("the subscriber listens", async || {
        if fleet.world.is_watched.load(Ordering::Relaxed) { Ok(()) } else { Err("no stream") }
    })
    .await;
    fleet.load(batches_a_second);

    let struck = faults::strike(&mut fleet, seed, length).await;
    fleet.drain().await;

    let figures = history::check(&mut fleet).await;
    let repeats = fleet.world.repeats.load(Ordering::Relaxed);
    let faults: usize = struck.values().sum();
    println!("seed {seed}: {faults} faults {struck:?}; {repeats} calls were made again");
    println!("seed {seed}: {figures}");
    assert!(
        figures.wrong.is_empty(),
        "seed {seed}: {:#?}",
        &figures.wrong[..figures.wrong.len().min(20)]
    );
    assert!(figures.tasks > 0 && faults > 0);
    fleet.is_sound().await;
    fleet.forget(&FORGET).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_under_repeated_random_failures() {
    let seed = told("ORCHESTRATOR_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let length = told::<f64>("ORCHESTRATOR_CHAOS_MINUTES").map_or(15.0, |minutes| minutes * 60.0);

    story(seed, Duration::from_secs_f64(length), 10.0).await;
}
