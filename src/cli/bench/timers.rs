//! Ten thousand deadlines that pass within one second: how soon all of them are announced, and what agents notice.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::Error;
use super::bed::{Bed, Fleet, Ground};
use super::figure::{Figure, Reporter, median, percentile_ms};
use super::life::{Held, batches, outcomes_of};
use super::load::{AGENT, Caller, check, side_by_side};
use super::wire::Wire;
use crate::domain::event::TypePattern;
use crate::domain::sla::Sla;
use crate::domain::time;
use crate::engine::EventFilter;

/// Over how long the deadlines are spread, in milliseconds.
const SPREAD_MS: u64 = 1_000;

/// How long the claims are watched before the first deadline passes, and again from then on.
const WATCHED: Duration = Duration::from_secs(2);

/// How long after their submission the deadlines pass: time to watch the claims without them.
const AHEAD_MS: u64 = 8_000;

/// How many agents claim meanwhile, and how many tasks in one call.
const AGENTS: u64 = 2;
const CLAIM: u64 = 10;

/// Tasks that the agents can claim for each deadline: more than they can do while they are watched.
const CLAIMABLE: u64 = 8;

/// How long announcements are waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether all are announced.
const GLANCE: Duration = Duration::from_millis(50);

/// What one watch saw: tasks a second, and how long each call took.
struct Watched {
    rate: f64,
    calls: Vec<Duration>,
}

/// What of an announcement matters here.
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

/// `timers_announced`, `timers_latest`, `claims_beside_timers` and `claims_slowdown`.
pub(super) async fn measure(
    ground: &Ground,
    reporter: &Reporter,
    count: u64,
    rounds: u8,
) -> Result<(), Error> {
    let (mut took, mut latest, mut slower) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rates, mut before, mut beside) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
    for _ in 0..rounds {
        let bed = ground.fleet().await?;
        let (without, with, lags) = round(&bed, count).await?;
        bed.end().await?;
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

/// One round: the claims without and with deadlines that pass, and for each deadline when it passed and when it was
/// announced, in ms after the first.
async fn round(bed: &Bed, count: u64) -> Result<(Watched, Watched, Vec<(u64, u64)>), Error> {
    let caller = Caller::new(&bed.engine)?;
    let claimable = count * CLAIMABLE;
    for batch in batches(claimable) {
        caller.submit(batch).await?;
    }
    let first = bed.engine.check().await? + AHEAD_MS;
    let promises: Vec<_> = (0..count).map(|nth| promise(first + nth * SPREAD_MS / count)).collect();
    caller.submit_promised(&promises).await?;
    settle(bed, claimable + count).await?;
    let without = watch(bed.fleet()?).await?;
    bed.engine.forget_events().await?;
    let now = bed.engine.check().await?;
    sleep(Duration::from_millis(first.saturating_sub(now))).await;
    let with = watch(bed.fleet()?).await?;
    let announced = timeout(LIMIT, announcements(bed, count, first)).await;
    let lags = announced.map_err(|_| Error::TooLong("announcing deadlines"))??;
    check("announced deadlines", lags.len() as u64, count)?;
    Ok((without, with, lags))
}

/// A deadline, warned of long before.
fn promise(deadline: u64) -> Sla {
    let (target, within_ms, start_deadline, start_within_ms) = (None, None, None, None);
    Sla {
        target,
        deadline: Some(deadline),
        within_ms,
        start_deadline,
        start_within_ms,
        alert_threshold: 1,
    }
}

/// Waits until all tasks are in their agents' subjects.
async fn settle(bed: &Bed, count: u64) -> Result<(), Error> {
    let routed = async {
        loop {
            let agents = bed.engine.agents().await?;
            if agents.iter().map(|agent| agent.depth).sum::<u64>() == count {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    };
    timeout(LIMIT, routed).await.map_err(|_| Error::TooLong("routing"))?
}

/// Claims and completes for a while.
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

/// One agent: completes what it holds and claims the next in the same call. Returns how many it claimed, and how long
/// each call took.
async fn work(mut wire: Wire, nth: u64) -> Result<(u64, Vec<Duration>), Error> {
    let path = format!("/agents/{AGENT}/results");
    let claim = format!(r#""claim":{{"worker":"bench-{nth}","max":{CLAIM},"wait_ms":0}}"#);
    let (mut outcomes, mut claimed, mut calls) = (Vec::<String>::new(), 0, Vec::new());
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

/// When each deadline passed and when that was announced, in ms after the first, once all have been.
async fn announcements(bed: &Bed, count: u64, first: u64) -> Result<Vec<(u64, u64)>, Error> {
    let types = vec![TypePattern::One("sla.violation".to_owned())];
    let filter = EventFilter { types, ..EventFilter::default() };
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    while (seen.len() as u64) < count {
        let page = bed.engine.event_page(&filter, after.as_deref(), 200).await?;
        for event in &page.events {
            let one: Announced = serde_json::from_str(&event.json)?;
            let due_at = time::read(&one.payload.due_at).unwrap_or_default();
            seen.push((due_at.saturating_sub(first), event.id.at_ms.saturating_sub(first)));
        }
        after = Some(page.next.to_string());
        if !page.has_more {
            sleep(GLANCE).await;
        }
    }
    Ok(seen)
}
