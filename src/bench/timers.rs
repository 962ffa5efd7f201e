//! Ten thousand deadlines that pass within one second: how soon all are announced, and the effect
//! on claims.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::Error;
use super::figure::{Figure, Reporter, median, percentile_ms};
use super::life::{Held, batches, outcomes_of};
use super::load::{AGENT, Caller, check, side_by_side};
use super::setup::{Fleet, Setup, Setups};
use super::wire::Wire;
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

/// The parts of an announcement that are read here.
#[derive(Deserialize)]
struct Announced {
    payload: Due,
}

#[derive(Deserialize)]
struct Due {
    due_at: String,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    claimed: Option<Claimed<'a>>,
}

#[derive(Deserialize)]
struct Claimed<'a> {
    #[serde(borrow)]
    tasks: Vec<Held<'a>>,
}

/// Measures `timers_announced`, `timers_latest` and `claims_slowdown`.
pub(super) async fn measure(
    setups: &Setups,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let mut took = Vec::new();
    let mut latest = Vec::new();
    let mut slower = Vec::new();
    let mut rates = [Vec::new(), Vec::new()];
    let mut before = Vec::new();
    let mut beside = Vec::new();
    for _ in 0..rounds {
        let setup = setups.fleet().await?;
        let (without, with, lags) = round(&setup, count).await?;
        setup.end().await?;
        took.push(lags.iter().map(|(_, announced)| *announced).max().unwrap_or_default() as f64);
        latest.push(
            lags.iter()
                .map(|(due, announced)| announced.saturating_sub(*due))
                .max()
                .unwrap_or_default() as f64,
        );
        slower.push((1.0 - with.rate / without.rate) * 100.0);
        rates[0].push(without.rate);
        rates[1].push(with.rate);
        before.extend(without.calls);
        beside.extend(with.calls);
    }
    before.sort();
    beside.sort();
    let figure = Figure::of_rounds("timers_announced", &took, "ms", count);
    reporter.figure(figure.with("deadlines_within_ms", SPREAD_MS).with("goal", 2_000))?;
    reporter.figure(
        Figure::of_rounds("timers_latest", &latest, "ms", count).with("of", "after its deadline"),
    )?;
    let figure = Figure::of_rounds("claims_slowdown", &slower, "percent", count).with("goal", 20);
    let figure =
        figure.with("claims_a_second", median(&rates[0])).with("beside_timers", median(&rates[1]));
    let figure = figure.with("agents", AGENTS).with("batch", CLAIM);
    let calls = [("call_p50_ms", 50.0), ("call_p99_ms", 99.0)];
    let figure = calls.into_iter().fold(figure, |figure, (name, percent)| {
        let [alone, beside] = [&before, &beside].map(|times| percentile_ms(times, percent));
        figure.with(name, alone).with(&format!("{name}_beside_timers"), beside)
    });
    reporter.figure(figure)?;
    Ok(())
}

/// Runs one round: claims without passing deadlines and with them. Also returns for each deadline
/// when it passed and when it was announced, in ms after the first.
async fn round(setup: &Setup, count: u64) -> Result<(Watched, Watched, Vec<(u64, u64)>), Error> {
    let caller = Caller::new(&setup.engine)?;
    let claimable = count * CLAIMABLE;
    for batch in batches(claimable) {
        caller.submit(batch).await?;
    }
    let first = setup.engine.check().await? + AHEAD_MS;
    let slas: Vec<_> = (0..count).map(|nth| sla(first + nth * SPREAD_MS / count)).collect();
    caller.submit_with_slas(&slas).await?;
    settle(setup, claimable + count).await?;
    let without = watch(setup.fleet()?).await?;
    setup.engine.store().forget_events().await?;
    let now = setup.engine.check().await?;
    sleep(Duration::from_millis(first.saturating_sub(now))).await;
    let with = watch(setup.fleet()?).await?;
    let announced = timeout(LIMIT, announcements(setup, count, first)).await;
    let lags = announced.map_err(|_| Error::TooLong("announcing deadlines"))??;
    check("announced deadlines", lags.len() as u64, count)?;
    Ok((without, with, lags))
}

/// Returns an SLA whose warning passes long before its deadline.
fn sla(deadline: u64) -> Sla {
    Sla {
        target: None,
        deadline: Some(deadline),
        within_ms: None,
        start_deadline: None,
        start_within_ms: None,
        alert_threshold: 1,
    }
}

/// Waits until all tasks are in their agents' subjects.
async fn settle(setup: &Setup, count: u64) -> Result<(), Error> {
    let routed = async {
        loop {
            let agents = setup.engine.agents().await?;
            if agents.iter().map(|agent| agent.depth).sum::<u64>() == count {
                return Ok(());
            }
            sleep(POLL).await;
        }
    };
    timeout(LIMIT, routed).await.map_err(|_| Error::TooLong("routing"))?
}

/// Claims and completes tasks for the time [`WATCHED`].
async fn watch(fleet: &Fleet) -> Result<Watched, Error> {
    let mut agents = Vec::new();
    for nth in 0..AGENTS {
        agents.push(work(fleet.connect().await?, nth));
    }
    let began = Instant::now();
    let done = side_by_side(agents).await?;
    let claimed: u64 = done.iter().map(|(claimed, _)| *claimed).sum();
    let rate = claimed as f64 / began.elapsed().as_secs_f64();
    Ok(Watched { rate, calls: done.into_iter().flat_map(|(_, calls)| calls).collect() })
}

/// Runs one agent, which completes its tasks and claims the next in one call. Returns how many it
/// claimed and how long each call took.
async fn work(mut wire: Wire, nth: u64) -> Result<(u64, Vec<Duration>), Error> {
    let path = format!("/agents/{AGENT}/results");
    let claim = format!(r#""claim":{{"worker":"bench-{nth}","max":{CLAIM},"wait_ms":0}}"#);
    let mut outcomes = Vec::<String>::new();
    let mut claimed = 0;
    let mut calls = Vec::new();
    let began = Instant::now();
    while began.elapsed() < WATCHED || !outcomes.is_empty() {
        let is_over = began.elapsed() >= WATCHED;
        let claim = if is_over { String::new() } else { format!(",{claim}") };
        let body = format!(r#"{{"outcomes":[{}]{claim}}}"#, outcomes.join(","));
        let sent = Instant::now();
        let answer: Answer<'_> = serde_json::from_slice(wire.post(&path, body.as_bytes()).await?)?;
        calls.push(sent.elapsed());
        outcomes = outcomes_of(answer.claimed.into_iter().flat_map(|claimed| claimed.tasks));
        claimed += outcomes.len() as u64;
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
