//! The cost of each step of a task's life at different depths of the queue.

use std::time::Instant;

use super::Error;
use super::figure::{Figure, median, progress};
use super::load::{BATCH, Caller, batches, check, shares, side_by_side};
use super::setup::{Setup, Setups};

/// The depths to measure, up to the largest that the options allow.
const DEPTHS: [u64; 3] = [1_000, 100_000, 1_000_000];

/// How many tasks pass through each step in a round. They leave the depth as it was.
const SAMPLE: u64 = 5_000;

const FILLERS: u64 = 2;

/// How many tasks are submitted before the log is emptied: it is not measured here and would fill
/// the memory.
const LOG_EVERY: u64 = 50_000;

const STEPS: [&str; 4] = ["submit", "route", "claim", "complete"];

/// The cost of a step: time and CPU time of Redis for each task, in µs.
type Cost = (f64, f64);

/// Measures `<step>_at_<depth>` for each step and depth, and `<step>_at_<depth>_vs_1000`.
pub(super) async fn measure(setups: &Setups, deepest: u64, rounds: u8) -> Result<(), Error> {
    let setup = setups.store().await?;
    let caller = Caller::new(&setup.engine)?;
    let mut filled = 0;
    let mut shallow = None;
    for depth in DEPTHS.into_iter().filter(|depth| *depth <= deepest) {
        progress(&format!("  filling to {depth} …"));
        fill(&setup, &caller, depth - filled).await?;
        filled = depth;
        // The first round fills the caches.
        sample(&setup, &caller).await?;
        let mut samples = Vec::new();
        for _ in 0..rounds {
            samples.push(sample(&setup, &caller).await?);
        }
        check("the depth afterwards", setup.depth().await?, depth)?;
        let cpu = [0, 1, 2, 3].map(|nth| median(samples.iter().map(|costs| costs[nth].1)));
        for (nth, step) in STEPS.into_iter().enumerate() {
            let times = samples.iter().map(|costs| costs[nth].0);
            Figure::of_rounds(format!("{step}_at_{depth}"), times, "us/task", SAMPLE)
                .with_redis_us(cpu[nth])
                .with("depth", depth)
                .with("batch", BATCH)
                .report()?;
        }
        let Some(shallow) = shallow else {
            shallow = Some(cpu);
            continue;
        };
        for ((step, there), here) in STEPS.into_iter().zip(cpu).zip(shallow) {
            let name = format!("{step}_at_{depth}_vs_1000");
            let figure = Figure::new(name, there / here, "ratio", SAMPLE);
            figure.with("of", "Redis CPU per task").report()?;
        }
    }
    setup.end().await
}

/// Adds `count` tasks to the agent's subject.
async fn fill(setup: &Setup, caller: &Caller, count: u64) -> Result<(), Error> {
    for part in batches(count, LOG_EVERY) {
        let fillers = shares(part, FILLERS).map(|share| {
            let caller = caller.clone();
            async move {
                for batch in batches(share, BATCH) {
                    caller.submit(batch).await?;
                    caller.route().await?;
                }
                Ok(())
            }
        });
        side_by_side(fillers).await?;
        while caller.route().await? > 0 {}
        setup.engine.store().forget_events().await?;
    }
    Ok(())
}

/// Takes a sample through its life, one step after the other. Returns the cost of each step.
async fn sample(setup: &Setup, caller: &Caller) -> Result<[Cost; 4], Error> {
    let mut costs = [(0.0, 0.0); 4];
    let mut claimed = Vec::new();
    let mut routed = 0;
    for (step, cost) in STEPS.into_iter().zip(&mut costs) {
        let before = setup.engine.store().spent().await?;
        let began = Instant::now();
        for batch in batches(SAMPLE, BATCH) {
            match step {
                "submit" => caller.submit(batch).await?,
                "route" => routed += caller.route().await?,
                "claim" => claimed.push(caller.claim(batch).await?),
                _ => drop(caller.complete(claimed.pop().unwrap_or_default()).await?),
            }
        }
        let time_us = began.elapsed().as_secs_f64() * 1e6;
        let after = setup.engine.store().spent().await?;
        let cpu_us = (after.cpu_us - before.cpu_us) as f64;
        *cost = (time_us / SAMPLE as f64, cpu_us / SAMPLE as f64);
    }
    check("routed tasks", routed, SAMPLE)?;
    setup.engine.store().forget_events().await?;
    Ok(costs)
}
