//! The cost of each step of a task's life at different depths of the queue.

use std::time::Instant;

use super::Error;
use super::figure::{Figure, Reporter, median};
use super::life::batches;
use super::load::{AGENT, BATCH, Caller, check, shares, side_by_side};
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
pub(super) async fn measure(
    setups: &Setups,
    reporter: &Reporter,
    deepest: u64,
    rounds: u8,
) -> Result<(), Error> {
    let setup = setups.store().await?;
    let caller = Caller::new(&setup.engine)?;
    let mut filled = 0;
    let mut shallow = None;
    for depth in DEPTHS.into_iter().filter(|depth| *depth <= deepest) {
        reporter.progress(&format!("  filling to {depth} …"));
        fill(&setup, &caller, depth - filled).await?;
        filled = depth;
        let mut costs: [Vec<Cost>; 4] = Default::default();
        // The first round fills the caches.
        for round in 0..=rounds {
            for (found, cost) in costs.iter_mut().zip(sample(&setup, &caller).await?) {
                if round > 0 {
                    found.push(cost);
                }
            }
        }
        check("the depth afterwards", depth_of(&setup).await?, depth)?;
        let cpu = costs
            .each_ref()
            .map(|costs| median(&costs.iter().map(|(_, cpu)| *cpu).collect::<Vec<_>>()));
        for (step, costs) in STEPS.into_iter().zip(&costs) {
            let (times, cpu): (Vec<_>, Vec<_>) = costs.iter().copied().unzip();
            let figure = Figure::of_rounds(format!("{step}_at_{depth}"), &times, "us/task", SAMPLE);
            reporter.figure(
                figure.with_redis_us(median(&cpu)).with("depth", depth).with("batch", BATCH),
            )?;
        }
        match shallow {
            None => shallow = Some(cpu),
            Some(shallow) => {
                for ((step, there), here) in STEPS.into_iter().zip(cpu).zip(shallow) {
                    let name = format!("{step}_at_{depth}_vs_1000");
                    reporter.figure(
                        Figure::new(name, there / here, "ratio", SAMPLE)
                            .with("of", "Redis CPU per task"),
                    )?;
                }
            }
        }
    }
    setup.end().await
}

/// Adds `count` tasks to the agent's subject.
async fn fill(setup: &Setup, caller: &Caller, count: u64) -> Result<(), Error> {
    let mut left = count;
    while left > 0 {
        let part = left.min(LOG_EVERY);
        let fillers = shares(part, FILLERS).map(|share| {
            let caller = caller.clone();
            async move {
                for batch in batches(share) {
                    caller.submit(batch).await?;
                    caller.route().await?;
                }
                Ok(())
            }
        });
        side_by_side(fillers).await?;
        while caller.route().await? > 0 {}
        setup.engine.store().forget_events().await?;
        left -= part;
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
        for batch in batches(SAMPLE) {
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

async fn depth_of(setup: &Setup) -> Result<u64, Error> {
    let agents = setup.engine.agents().await?;
    Ok(agents
        .iter()
        .filter(|status| status.agent.as_str() == AGENT)
        .map(|status| status.depth)
        .sum())
}
