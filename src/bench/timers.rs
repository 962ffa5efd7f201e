//! Ten thousand deadlines that pass within one second: how soon all are announced, and the effect
//! on claims.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::sleep;

use super::Error;
use super::figure::{Figure, median, percentile_ms};
use super::load::{BATCH, Caller, batches, check, side_by_side, within};
use super::setup::{Fleet, Setup, Setups};
use super::wire::Agent;
use crate::domain::event::TypePattern;
use crate::domain::sla::Sla;
use crate::domain::time;
use crate::engine::EventFilter;

/// The period over which the deadlines are spread, in milliseconds.
const SPREAD_MS: u64 = 1_000;

/// How long claims are measured without deadlines, and again from the first deadline on.
const WATCHED: Duration = Duration::from_secs(2);

/// How long after their submission the deadlines pass: time to measure the claims without them.
const AHEAD_MS: u64 = 8_000;

/// How many agents claim meanwhile, and how many tasks in one call.
const AGENTS: u64 = 2;
const CLAIM: u64 = 10;

/// The number of claimable tasks for each deadline: more than the agents can do in the time.
const CLAIMABLE: u64 = 8;

/// How long announcements are waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// The interval at which the announcements and the routing are checked.
const POLL: Duration = Duration::from_millis(50);

/// The result of one measurement: tasks per second, and the duration of each call.
struct Watched {
    rate: f64,
    calls: Vec<Duration>,
}

/// The result of one round: claims without passing deadlines and beside them, and when the last
/// announcement came: in ms after the first deadline, and at most after its own.
struct Round {
    alone: Watched,
    beside: Watched,
    announced_ms: u64,
    latest_ms: u64,
}

/// The parts of an announcement that are read here.
#[derive(Deserialize)]
struct Announced {
    payload: Due,
}

#[derive(Deserialize)]
struct Due {
    due_at: String,
}

/// Measures `timers_announced`, `timers_latest` and `claims_slowdown`.
pub(super) async fn measure(setups: &Setups, count: u64, rounds: u8) -> Result<(), Error> {
    let mut found = Vec::new();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        found.push(round(&setup, count).await?);
        setup.end().await?;
    }
    let announced = found.iter().map(|round| round.announced_ms as f64);
    let figure = Figure::of_rounds("timers_announced", announced, "ms", count);
    figure.with("deadlines_within_ms", SPREAD_MS).with("goal", 2_000).report()?;
    let latest = found.iter().map(|round| round.latest_ms as f64);
    let figure = Figure::of_rounds("timers_latest", latest, "ms", count);
    figure.with("of", "after its deadline").report()?;
    let slower = found.iter().map(|round| (1.0 - round.beside.rate / round.alone.rate) * 100.0);
    let mut figure = Figure::of_rounds("claims_slowdown", slower, "percent", count)
        .with("goal", 20)
        .with("claims_a_second", median(found.iter().map(|round| round.alone.rate)))
        .with("beside_timers", median(found.iter().map(|round| round.beside.rate)))
        .with("agents", AGENTS)
        .with("batch", CLAIM);
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for round in found {
        alone.extend(round.alone.calls);
        beside.extend(round.beside.calls);
    }
    alone.sort();
    beside.sort();
    for (name, percent) in [("call_p50_ms", 50.0), ("call_p99_ms", 99.0)] {
        figure = figure
            .with(name, percentile_ms(&alone, percent))
            .with(&format!("{name}_beside_timers"), percentile_ms(&beside, percent));
    }
    Ok(figure.report()?)
}

/// Runs one round.
async fn round(setup: &Setup, count: u64) -> Result<Round, Error> {
    let caller = Caller::new(&setup.engine)?;
    let claimable = count * CLAIMABLE;
    for batch in batches(claimable, BATCH) {
        caller.submit(batch).await?;
    }
    let first = setup.engine.check().await? + AHEAD_MS;
    let slas = (0..count).map(|nth| Sla {
        target: None,
        deadline: Some(first + nth * SPREAD_MS / count),
        within_ms: None,
        start_deadline: None,
        start_within_ms: None,
        // The warning passes long before the deadline.
        alert_threshold: 1,
    });
    caller.submit_with_slas(&slas.collect::<Vec<_>>()).await?;
    let routed = async {
        while setup.depth().await? != claimable + count {
            sleep(POLL).await;
        }
        Ok(())
    };
    within(LIMIT, "routing", routed).await?;
    let alone = watch(setup.fleet()?).await?;
    setup.engine.store().forget_events().await?;
    let now = setup.engine.check().await?;
    sleep(Duration::from_millis(first.saturating_sub(now))).await;
    let beside = watch(setup.fleet()?).await?;
    let announced = announcements(setup, count, first);
    let lags = within(LIMIT, "announcing deadlines", announced).await?;
    check("announced deadlines", lags.len() as u64, count)?;
    let latest = lags.iter().map(|(due, announced)| announced.saturating_sub(*due)).max();
    Ok(Round {
        alone,
        beside,
        announced_ms: lags.iter().map(|(_, announced)| *announced).max().unwrap_or_default(),
        latest_ms: latest.unwrap_or_default(),
    })
}

/// Claims and completes tasks for the time [`WATCHED`].
async fn watch(fleet: &Fleet) -> Result<Watched, Error> {
    let mut agents = Vec::new();
    for nth in 0..AGENTS {
        agents.push(work(Agent::new(fleet.connect().await?, nth, CLAIM, 0)));
    }
    let began = Instant::now();
    let done = side_by_side(agents).await?;
    let claimed: u64 = done.iter().map(|(claimed, _)| *claimed).sum();
    let rate = claimed as f64 / began.elapsed().as_secs_f64();
    Ok(Watched { rate, calls: done.into_iter().flat_map(|(_, calls)| calls).collect() })
}

/// Runs one agent. Returns how many tasks it claimed and how long each call took.
async fn work(mut agent: Agent) -> Result<(u64, Vec<Duration>), Error> {
    let mut claimed = 0;
    let mut calls = Vec::new();
    let began = Instant::now();
    while began.elapsed() < WATCHED || !agent.outcomes.is_empty() {
        calls.push(agent.turn(began.elapsed() >= WATCHED).await?.took);
        claimed += agent.outcomes.len() as u64;
    }
    Ok((claimed, calls))
}

/// Waits until all deadlines are announced. Returns when each passed and when that was announced,
/// in ms after the first.
async fn announcements(setup: &Setup, count: u64, first: u64) -> Result<Vec<(u64, u64)>, Error> {
    let types = vec![TypePattern::One("sla.violation".to_owned())];
    let filter = EventFilter { types, ..EventFilter::default() };
    let mut seen = Vec::new();
    let mut after = None::<String>;
    while (seen.len() as u64) < count {
        let page = setup.engine.event_page(&filter, after.as_deref(), 200).await?;
        for event in &page.events {
            let one: Announced = serde_json::from_str(&event.json)?;
            let due_at = time::read(&one.payload.due_at).unwrap_or_default();
            seen.push((due_at.saturating_sub(first), event.id.at_ms.saturating_sub(first)));
        }
        after = Some(page.next.to_string());
        if !page.has_more {
            sleep(POLL).await;
        }
    }
    Ok(seen)
}
