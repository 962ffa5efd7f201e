//! What ended long ago is forgotten, with all that belongs to it.

use std::collections::BTreeSet;
use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Error, TaskFilter};

use crate::harness::{DAY, Fleet, assert_refused, json};

const WEEK: Duration = DAY.saturating_mul(7);

/// Every key that is there, but for those that are one for the whole partition.
async fn keys(fleet: &Fleet) -> BTreeSet<String> {
    let lasting =
        ["layout", ":events", ":logged", ":audit", ":open", ":roster", ":sessions:", ":sla:"];
    let all: Vec<String> = fleet.redis.ask(&["KEYS", "*"]).await;
    all.into_iter().filter(|key| !lasting.iter().any(|part| key.contains(part))).collect()
}

#[tokio::test]
async fn every_trace_of_a_task_goes_with_it() {
    let fleet = Fleet::build().settings(|settings| settings.tasks.idempotency_ms = 1).start().await;
    assert_eq!(keys(&fleet).await, BTreeSet::new());
    let parent = fleet
        .submit_with("faq", |new| new.idempotency = crate::harness::idempotency("k", "b"))
        .await
        .id;
    let held = fleet.claim_one().await;
    let approved = fleet.submit_with("deploy", |new| new.spec.parent = Some(parent)).await;
    let result = Some(json("[1]"));
    fleet.report(&held, orchestrator::domain::report::Outcome::Completed { result }).await.unwrap();
    fleet.approve(approved.approval.unwrap()).await.unwrap();
    fleet.give_up(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    let rejected = fleet.submit("deploy").await;
    fleet.reject(rejected.approval.unwrap()).await.unwrap();
    fleet.cancel(fleet.submit("deploy").await.id).await.unwrap();
    fleet.engine.cascade().await.unwrap();
    assert!(keys(&fleet).await.len() > 8);
    fleet.advance(WEEK);

    while fleet.engine.prune().await.unwrap().moved > 0 {}

    assert_eq!(keys(&fleet).await, BTreeSet::new());
    assert_refused!(fleet.engine.task(parent).await, Error::UnknownTask(id) if id == parent);
    assert_refused!(fleet.requeue(parent).await, Error::UnknownTask(_));
    fleet.finish().await;
}

#[tokio::test]
async fn nothing_is_forgotten_before_its_time_nor_while_it_is_open() {
    let fleet = Fleet::start().await;
    let open = fleet.submit("faq").await.id;
    let ended = fleet.submit("bugfix").await.id;
    fleet.advance(WEEK);
    fleet.cancel(ended).await.unwrap();
    fleet.advance(WEEK - Duration::from_secs(100));

    assert_eq!(fleet.engine.prune().await.unwrap().moved, 0);
    fleet.advance(Duration::from_secs(100));
    assert_eq!(fleet.engine.prune().await.unwrap().moved, 1);

    assert_eq!(fleet.state_of(open).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn the_rest_of_a_batch_stays_listed_in_its_order() {
    let fleet = Fleet::start().await;
    let mut ids = fleet.submit_many("bugfix", 250).await;
    ids.reverse();
    let all = TaskFilter::default();
    let page = fleet.engine.tasks(&all, 20, None).await.unwrap();
    let ended: BTreeSet<_> = ids.iter().copied().step_by(3).chain(ids[40..160].to_vec()).collect();
    for id in &ended {
        fleet.cancel(*id).await.unwrap();
    }
    fleet.advance(WEEK);
    while fleet.engine.prune().await.unwrap().moved > 0 {}

    let kept: Vec<_> = ids.iter().copied().filter(|id| !ended.contains(id)).collect();
    let listed = fleet.engine.tasks(&all, 200, None).await.unwrap().items;
    assert_eq!(listed.iter().map(|task| task.id).collect::<Vec<_>>(), kept);
    // A page that began before goes on where it was.
    let rest = fleet.engine.tasks(&all, 200, page.next_cursor.as_deref()).await.unwrap().items;
    let after: Vec<_> = ids[20..].iter().copied().filter(|id| !ended.contains(id)).collect();
    assert_eq!(rest.iter().map(|task| task.id).collect::<Vec<_>>(), after);
    for id in kept {
        fleet.cancel(id).await.unwrap();
    }
    fleet.advance(WEEK);
    while fleet.engine.prune().await.unwrap().moved > 0 {}
    while fleet.engine.cascade().await.unwrap().moved > 0 {}
    assert_eq!(keys(&fleet).await, BTreeSet::new());
    fleet.finish().await;
}

#[tokio::test]
async fn a_requeued_task_is_kept_from_its_new_end_on() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    fleet.cancel(id).await.unwrap();
    fleet.advance(WEEK - Duration::from_secs(500));
    fleet.requeue(id).await.unwrap();
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    fleet.advance(Duration::from_secs(1_000));

    assert_eq!(fleet.engine.prune().await.unwrap().moved, 0);
    assert_eq!(fleet.state_of(id).await, State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn more_than_one_step_can_take_is_forgotten_step_by_step() {
    let fleet = Fleet::start().await;
    for id in fleet.submit_many("faq", 230).await {
        fleet.cancel(id).await.unwrap();
    }
    while fleet.engine.cascade().await.unwrap().is_more {}
    fleet.advance(WEEK);

    let mut steps = Vec::new();
    while let Some(swept) =
        Some(fleet.engine.prune().await.unwrap()).filter(|swept| swept.moved > 0)
    {
        steps.push((swept.moved, swept.is_more));
    }

    assert_eq!(steps, [(100, true), (100, true), (30, false)]);
    assert_eq!(keys(&fleet).await, BTreeSet::new());
    fleet.finish().await;
}
