//! Steady load and no faults: memory stays flat, and nothing is left when everything is done and forgotten.
//!
//! `make soak MINUTES=…` goes on for long. In a run of a minute or more the last third may have 10 % and 4 MiB more
//! than the middle one, on average, in each process and in Redis; a short one only shows that the rest holds.

use std::time::Duration;

use super::fleet::Fleet;
use super::{FORGET, told};
use crate::harness::{BOUND, eventually, late, may_take, used_memory};

/// How many figures are taken in a run.
const SAMPLES: usize = 60;

/// What the processes are told: what is done is forgotten soon, so that much comes and goes.
const SETTINGS: &[(&str, &str)] = &[
    ("ORCHESTRATOR__AGENTS__LEASE_MS", "5000"),
    ("ORCHESTRATOR__AGENTS__SESSION_MS", "5000"),
    ("ORCHESTRATOR__TASKS__BACKOFF__BASE_MS", "50"),
    ("ORCHESTRATOR__TASKS__IDEMPOTENCY_MS", "2000"),
    ("ORCHESTRATOR__RETENTION__FINISHED_MS", "5000"),
    ("ORCHESTRATOR__RETENTION__EVENTS_MS", "5000"),
    ("ORCHESTRATOR__RETENTION__AUDIT_MS", "5000"),
];

/// The names of what is measured; the last is a number, the others are KiB.
const NAMES: [&str; 6] = ["gateway 1", "gateway 2", "worker 1", "worker 2", "redis", "keys"];

async fn sample(fleet: &Fleet) -> [u64; 6] {
    let used = used_memory(fleet.redis.url()).await;
    let keys: u64 = fleet.redis.ask(&["DBSIZE"]).await;
    let process =
        |nth: usize| fleet.gateways.iter().chain(&fleet.workers).nth(nth).unwrap().resident_kb();
    [process(0), process(1), process(2), process(3), used / 1_024, keys]
}

fn mean(samples: &[[u64; 6]], nth: usize) -> u64 {
    samples.iter().map(|sample| sample[nth]).sum::<u64>() / samples.len() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_steady_load_memory_is_flat_and_nothing_is_left_afterwards() {
    let minutes: f64 = told("ORCHESTRATOR_SOAK_MINUTES").unwrap_or(0.1);
    let pace = Duration::from_secs_f64(minutes * 60.0 / SAMPLES as f64);
    may_take(2 * SAMPLES as u32 * pace + 5 * BOUND);
    let mut fleet = Fleet::start(&[], SETTINGS, 0).await;
    fleet.load(3.0);

    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        late(pace).await;
        samples.push(sample(&fleet).await);
    }
    fleet.drain().await;

    let tasks = fleet.world.told.lock().unwrap().accepted.len();
    println!("{minutes} minutes, {tasks} tasks; KiB at each twelfth, and keys");
    let thirds: Vec<_> = samples.chunks(SAMPLES / 3).collect();
    let mut grown = Vec::new();
    for (nth, name) in NAMES.into_iter().enumerate() {
        let row: Vec<_> = samples
            .iter()
            .skip(4)
            .step_by(SAMPLES / 12)
            .map(|sample| sample[nth].to_string())
            .collect();
        let (middle, last) = (mean(thirds[1], nth), mean(thirds[2], nth));
        println!("| {name} | {} | middle third {middle}, last third {last} |", row.join(" | "));
        // How many keys there are goes with how much is done; that none is left is seen at the end.
        if minutes >= 1.0 && name != "keys" && last > middle + middle / 10 + 4_096 {
            grown.push(format!("{name}: {middle} → {last}"));
        }
    }
    assert!(grown.is_empty(), "not flat: {grown:?}");
    let wrong = std::mem::take(&mut fleet.world.told.lock().unwrap().wrong);
    assert!(tasks > 0 && wrong.is_empty(), "{wrong:?}");
    fleet.is_sound().await;
    fleet.forget(&FORGET).await;
    eventually("only the keys that are there for good are left", async || {
        let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*"]).await;
        // Layout, open counts, agents and three sessions of them; the event log and who bridges it, the audit log with its
        // head, credentials and the doctor.
        if keys.len() <= 12 { Ok(()) } else { Err(keys.len()) }
    })
    .await;
    fleet.finish().await;
}
