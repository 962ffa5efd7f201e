//! The store goes away under each duty, and comes back.

use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::domain::submission::Start;
use orchestrator::workers::{Expirer, Promoter, Pruner, Reaper, Router, Supervisor, Worker};

use crate::harness::{BOUND, DAY, Fleet, eventually, within};

/// Starts the duty, takes the store away until the duty complains, and gives it back.
async fn outlives_an_outage<W: Worker>(fleet: &mut Fleet, worker: W) -> Supervisor {
    let supervisor = fleet.supervise(worker);
    let pulse = || supervisor.pulses()[W::NAME].clone();
    eventually("the duty works", async || if pulse().steps > 0 { Ok(()) } else { Err(pulse()) })
        .await;
    fleet.redis.kill();
    eventually("the duty says that it fails", async || {
        if pulse().failing.is_some() { Ok(()) } else { Err(pulse()) }
    })
    .await;

    fleet.redis.start_again().await;

    eventually("the duty works again", async || {
        if pulse().failing.is_none() { Ok(()) } else { Err(pulse()) }
    })
    .await;
    assert_eq!(pulse().panics, 0);
    supervisor
}

/// Waits until no task is in `state` any more, then stops everything.
async fn ends(fleet: Fleet, supervisor: Supervisor, state: State) {
    let look = async || {
        let stats = fleet.engine.stats().await.map_err(|error| error.to_string())?;
        let (_, count) = stats.by_status.into_iter().find(|(found, _)| *found == state).unwrap();
        if count == 0 { Ok(()) } else { Err(format!("{count} tasks are {state}")) }
    };
    eventually("the duty has done its work", look).await;
    supervisor.finish(BOUND).await;
    fleet.finish().await;
}

#[tokio::test]
async fn the_router_works_on_when_the_store_is_back() {
    let mut fleet = Fleet::build().durable().start().await;
    let router = Router::new(fleet.engine.clone());

    let supervisor = outlives_an_outage(&mut fleet, router).await;

    fleet.submit("faq").await;
    ends(fleet, supervisor, State::Pending).await;
}

#[tokio::test]
async fn the_promoter_works_on_when_the_store_is_back() {
    let mut fleet = Fleet::build().durable().start().await;
    fleet.submit_with("faq", |new| new.start = Start::After(60_000)).await;
    let promoter = Promoter::new(fleet.engine.clone());

    let supervisor = outlives_an_outage(&mut fleet, promoter).await;

    fleet.advance(Duration::from_secs(60));
    ends(fleet, supervisor, State::Scheduled).await;
}

#[tokio::test]
async fn the_reaper_works_on_when_the_store_is_back() {
    let mut fleet = Fleet::build().durable().start().await;
    fleet.submit("faq").await;
    fleet.claim_one().await;
    let reaper = Reaper::new(fleet.engine.clone());

    let supervisor = outlives_an_outage(&mut fleet, reaper).await;

    fleet.advance(Duration::from_secs(31));
    ends(fleet, supervisor, State::InProgress).await;
}

#[tokio::test]
async fn the_expirer_works_on_when_the_store_is_back() {
    let mut fleet = Fleet::build().durable().start().await;
    fleet.submit("deploy").await;
    let expirer = Expirer::new(fleet.engine.clone());

    let supervisor = outlives_an_outage(&mut fleet, expirer).await;

    fleet.advance(DAY);
    ends(fleet, supervisor, State::Blocked).await;
}

#[tokio::test]
async fn the_pruner_is_back_when_the_store_is() {
    // It rests for ten seconds, so it is started over to see it fail and recover.
    let mut fleet = Fleet::build().durable().start().await;
    let id = fleet.submit("faq").await.id;
    fleet.cancel(id).await.unwrap();
    fleet.advance(7 * DAY);
    fleet.redis.kill();
    let supervisor = fleet.supervise(Pruner::new(fleet.engine.clone()));
    let pulse = || supervisor.pulses()[Pruner::NAME].clone();
    eventually(
        "the pruner fails",
        async || if pulse().failing.is_some() { Ok(()) } else { Err(pulse()) },
    )
    .await;

    fleet.redis.start_again().await;

    ends(fleet, supervisor, State::Cancelled).await;
}

#[tokio::test]
async fn a_duty_stops_though_the_store_hangs() {
    let fleet = Fleet::build().response_timeout_ms(300).start().await;
    let supervisor = fleet.supervise(Router::new(fleet.engine.clone()));
    fleet.redis.freeze();
    fleet.engine.wake("router").notify_one();

    let left = within("the stop", supervisor.finish(BOUND)).await;

    assert_eq!(left, Vec::<&str>::new());
    fleet.redis.thaw();
    fleet.finish().await;
}
