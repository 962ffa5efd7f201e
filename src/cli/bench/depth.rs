//! What each step of a task's life costs at different depths of the queue.

use std::time::Instant;

use super::Error;
use super::bed::{Bed, Ground};
use super::figure::{Figure, Reporter, median};
use super::life::batches;
use super::load::{AGENT, BATCH, Caller, check, shares, side_by_side};

/// The depths, as far as they are allowed.
const DEPTHS: [u64; 3] = [1_000, 100_000, 1_000_000];

/// Tasks that are taken through each step in a round; they leave the depth as it was.
const SAMPLE: u64 = 5_000;

/// How many callers fill the queue.
const FILLERS: u64 = 2;

/// How many tasks go in before the log is emptied: it is not what is measured, and would fill the memory.
const LOG_EVERY: u64 = 50_000;

const STEPS: [&str; 4] = ["submit", "route", "claim", "complete"];

/// What a step cost: time and Redis's CPU for each task, in µs.
type Cost = (f64, f64);

/// `<step>_at_<depth>` for each step and depth, and `<step>_deepest_vs_1000`.
pub(super) async fn measure(
    ground: &Ground,
    reporter: &Reporter,
    deepest: u64,
    rounds: u8,
) -> Result<(), Error> {
    let bed = ground.store().await?;
    let caller = Caller::new(&bed.engine)?;
    let (mut filled, mut shallow) = (0, None);
    for depth in DEPTHS.into_iter().filter(|depth| *depth <= deepest) {
        reporter.progress(&format!("  filling to {depth} …"));
        fill(&bed, &caller, depth - filled).await?;
        filled = depth;
        let mut costs: [Vec<Cost>; 4] = Default::default();
        // The first round warms caches up.
        for round in 0..=rounds {
            for (found, cost) in costs.iter_mut().zip(sample(&bed, &caller).await?) {
                found.extend((round > 0).then_some(cost));
            }
        }
        check("the depth afterwards", depth_of(&bed).await?, depth)?;
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
    bed.end().await
}

/// Puts `count` more tasks into the agent's subject.
async fn fill(bed: &Bed, caller: &Caller, count: u64) -> Result<(), Error> {
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
        bed.engine.forget_events().await?;
        left -= part;
    }
    Ok(())
}

/// Takes the sample through its life, one step after the other, and says what each cost.
async fn sample(bed: &Bed, caller: &Caller) -> Result<[Cost; 4], Error> {
    let mut costs = [(0.0, 0.0); 4];
    let (mut claimed, mut routed) = (Vec::new(), 0);
    for (step, cost) in STEPS.into_iter().zip(&mut costs) {
        let (before, began) = (bed.engine.spent().await?, Instant::now());
        for batch in batches(SAMPLE) {
            match step {
                "submit" => caller.submit(batch).await?,
                "route" => routed += caller.route().await?,
                "claim" => claimed.push(caller.claim(batch).await?),
                _ => drop(caller.complete(claimed.pop().unwrap_or_default()).await?),
            }
        }
        let took = began.elapsed();
        let after = bed.engine.spent().await?;
        let each = |micros: f64| micros / SAMPLE as f64;
        *cost = (each(took.as_secs_f64() * 1e6), each((after.cpu_us - before.cpu_us) as f64));
    }
    check("routed tasks", routed, SAMPLE)?;
    bed.engine.forget_events().await?;
    Ok(costs)
}

async fn depth_of(bed: &Bed) -> Result<u64, Error> {
    let agents = bed.engine.agents().await?;
    Ok(agents
        .iter()
        .filter(|status| status.agent.as_str() == AGENT)
        .map(|status| status.depth)
        .sum())
}
