//! Bulks: each task that matched is changed at most once and counted once, by the rules of the call
//! for one task.

use std::time::Duration;

use orchestrator::domain::bulk::{BulkAction, BulkRefusal, BulkStatus, FIRST, NAMED};
use orchestrator::domain::ids::{BulkId, TaskId};
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::principal::Principal;
use orchestrator::domain::priority::Priority;
use orchestrator::engine::{Bulk, BulkOrder, Error, TaskFilter};
use serde_json::Value;

use crate::harness::{DAY, Fleet, bulk_of, idempotency, name};

/// Starts a bulk in the name of `caller`.
async fn start(fleet: &Fleet, caller: &Principal, order: &BulkOrder) -> BulkId {
    fleet.engine.start_bulk(caller, order, None).await.unwrap().bulk.id
}

/// Starts a bulk in the name of Alice, and runs it to its end.
async fn run(fleet: &Fleet, order: &BulkOrder) -> Bulk {
    let id = start(fleet, &fleet.people.alice, order).await;
    end(fleet, id).await
}

/// Runs a bulk to its end.
async fn end(fleet: &Fleet, id: BulkId) -> Bulk {
    fleet.run_bulks().await.unwrap();
    fleet.engine.bulk(id).await.unwrap()
}

/// How a bulk ended: found, changed, and not changed by reason.
fn counts(bulk: &Bulk) -> (BulkStatus, u64, u64, Vec<(BulkRefusal, u64)>) {
    let mut refused: Vec<_> =
        bulk.tally.refused.iter().map(|one| (one.reason, one.count)).collect();
    refused.sort();
    (bulk.status, bulk.tally.matched, bulk.tally.done, refused)
}

/// Tasks that an agent failed for good.
async fn failed_tasks(fleet: &Fleet, count: u32) -> Vec<TaskId> {
    let ids = fleet.submit_many("faq", count as usize).await;
    fleet.route().await;
    for held in fleet.claim("faq_agent", count).await {
        fleet.give_up(&held).await.unwrap();
    }
    ids
}

/// How often each of these tasks was retried.
async fn retries(fleet: &Fleet, ids: &[TaskId]) -> Vec<usize> {
    let mut found = Vec::new();
    for id in ids {
        let task = fleet.task(*id).await;
        found.push(task.timeline.iter().filter(|entry| entry.verb == Verb::Requeue).count());
    }
    found
}

fn in_state(state: State) -> TaskFilter {
    TaskFilter { state: Some(state), ..TaskFilter::default() }
}

#[tokio::test]
async fn bulk_retry_changes_every_failed_task_once() {
    let fleet = Fleet::build().partitions(3).start().await;
    let mut ids = failed_tasks(&fleet, 90).await;
    ids.extend(failed_tasks(&fleet, 90).await);
    let other = fleet.submit("bugfix").await;
    let order = BulkOrder {
        filter: in_state(State::Failed),
        reason: Some("the model is back".to_owned()),
        ..bulk_of(BulkAction::Retry)
    };

    let tried = run(&fleet, &BulkOrder { is_dry_run: true, ..order.clone() }).await;
    let bulk = run(&fleet, &order).await;

    assert_eq!(counts(&tried), (BulkStatus::Completed, 180, 0, vec![]));
    assert_eq!(tried.tally.first.len(), FIRST);
    assert_eq!(counts(&bulk), (BulkStatus::Completed, 180, 180, vec![]));
    assert_eq!(retries(&fleet, &ids).await, vec![1; 180]);
    let task = fleet.task(ids[0]).await;
    let entry = task.timeline.last().unwrap();
    let reason = format!("bulk {}: the model is back", bulk.id);
    assert_eq!((entry.actor.as_str(), entry.reason.as_ref()), ("user:alice", Some(&reason)));
    assert_eq!(fleet.state_of(other.id).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn bulk_of_a_lost_worker_counts_each_task_once() {
    let fleet = Fleet::start().await;
    let ids = failed_tasks(&fleet, 30).await;
    let id = start(&fleet, &fleet.people.alice, &bulk_of(BulkAction::Retry)).await;
    // This worker process finds the tasks, and is lost after it changed a few of them.
    let lost = fleet.engine_with(fleet.engine.settings().clone());
    lost.run_bulks().await.unwrap();
    let before = fleet.engine.bulk(id).await.unwrap();
    fleet.store.take_bulk("lost", 5_000).await.unwrap();
    let reason = format!("bulk {id}");
    for task in &ids[..7] {
        let seen = fleet.task(*task).await;
        let within =
            orchestrator::store::InBulk { id, unchanged_since: Some(before.at), reason: &reason };
        let changed =
            fleet.store.requeue_in_bulk(&seen, &before.by, [0; 4], (None, "9,0,0"), within).await;
        assert!(changed.unwrap().is_some());
    }
    fleet.run_bulks().await.unwrap();
    assert_eq!(fleet.engine.bulk(id).await.unwrap().tally.done, 0, "it is still held");

    fleet.advance(Duration::from_secs(5));
    let bulk = end(&fleet, id).await;

    assert_eq!(counts(&bulk), (BulkStatus::Completed, 30, 30, vec![]));
    assert_eq!(retries(&fleet, &ids).await, vec![1; 30]);
    fleet.finish().await;
}

#[tokio::test]
async fn worker_that_lost_its_bulk_records_nothing() {
    let fleet = Fleet::start().await;
    failed_tasks(&fleet, 3).await;
    let id = start(&fleet, &fleet.people.alice, &bulk_of(BulkAction::Retry)).await;
    fleet.store.take_bulk("slow", 5_000).await.unwrap();
    fleet.advance(Duration::from_secs(5));
    let bulk = end(&fleet, id).await;

    let progress = r#"{"cursor":null,"is_walked":false,"in_hand":[],"tally":{}}"#;
    let noted = fleet.store.note_bulk(id, "slow", progress, None).await.unwrap();

    assert!(!noted);
    assert_eq!(counts(&bulk), counts(&fleet.engine.bulk(id).await.unwrap()));
    fleet.finish().await;
}

#[tokio::test]
async fn task_that_changes_under_way_is_not_changed_again() {
    let fleet = Fleet::start().await;
    let ids = failed_tasks(&fleet, 5).await;
    let order = BulkOrder { filter: in_state(State::Failed), ..bulk_of(BulkAction::Retry) };
    let id = start(&fleet, &fleet.people.alice, &order).await;
    fleet.advance(Duration::from_millis(1));
    // One step finds the tasks; before the next one, one of them is retried and fails again, one is
    // retried, and another task fails.
    fleet.engine.run_bulks().await.unwrap();
    for task in &ids[..2] {
        fleet.requeue(*task).await.unwrap();
    }
    let again = fleet.claim_one().await;
    fleet.give_up(&again).await.unwrap();
    let late = failed_tasks(&fleet, 1).await;

    let bulk = end(&fleet, id).await;

    let expected = vec![(BulkRefusal::Changed, 2)];
    assert_eq!(counts(&bulk), (BulkStatus::Completed, 5, 3, expected));
    assert_eq!(retries(&fleet, &ids).await, [1, 1, 1, 1, 1]);
    assert_eq!(retries(&fleet, &late).await, [0]);
    fleet.finish().await;
}

#[tokio::test]
async fn retried_task_that_fails_again_is_not_retried_twice() {
    let fleet = Fleet::start().await;
    let ids = failed_tasks(&fleet, 150).await;
    let order = BulkOrder {
        filter: TaskFilter { kind: Some(name("faq")), ..TaskFilter::default() },
        ..bulk_of(BulkAction::Retry)
    };
    let id = start(&fleet, &fleet.people.alice, &order).await;
    fleet.advance(Duration::from_millis(1));

    while fleet.engine.run_bulks().await.unwrap().is_more {
        fleet.route().await;
        for held in fleet.claim("faq_agent", 100).await {
            fleet.give_up(&held).await.unwrap();
        }
    }

    let bulk = fleet.engine.bulk(id).await.unwrap();
    assert_eq!(counts(&bulk), (BulkStatus::Completed, 150, 150, vec![]));
    assert_eq!(retries(&fleet, &ids).await, vec![1; 150]);
    fleet.finish().await;
}

#[tokio::test]
async fn aborted_bulk_counts_every_task_that_it_found() {
    let fleet = Fleet::start().await;
    let ids = failed_tasks(&fleet, 250).await;
    let id = start(&fleet, &fleet.people.alice, &bulk_of(BulkAction::Retry)).await;
    // The second step changes what the first one found.
    for _ in 0..2 {
        fleet.engine.run_bulks().await.unwrap();
    }

    let aborting = fleet.engine.abort_bulk(&fleet.people.dave, id).await.unwrap();
    let bulk = end(&fleet, id).await;
    let again = fleet.engine.abort_bulk(&fleet.people.alice, id).await.unwrap();

    assert_eq!(aborting.status, BulkStatus::Aborting);
    let expected = vec![(BulkRefusal::Aborted, 100)];
    assert_eq!(counts(&bulk), (BulkStatus::Aborted, 200, 100, expected));
    assert_eq!(bulk.tally.refused[0].first.len(), NAMED);
    assert_eq!(retries(&fleet, &ids).await.iter().sum::<usize>(), 100);
    assert_eq!(
        (again.status, again.aborted_by.as_deref()),
        (BulkStatus::Aborted, Some("user:dave"))
    );
    fleet.finish().await;
}

#[tokio::test]
async fn bulk_of_an_agent_obeys_the_rules_of_an_agent() {
    let fleet = Fleet::start().await;
    let by_human = fleet.submit("faq").await.id;
    fleet.cancel(by_human).await.unwrap();
    let gated = fleet.submit("deploy").await.id;
    fleet.engine.cancel(&fleet.people.agent, gated, None).await.unwrap();
    let free = failed_tasks(&fleet, 2).await;

    let id = start(&fleet, &fleet.people.agent, &bulk_of(BulkAction::Retry)).await;
    let bulk = end(&fleet, id).await;

    let expected = vec![(BulkRefusal::EndedByHuman, 1)];
    assert_eq!(counts(&bulk), (BulkStatus::Completed, 4, 3, expected));
    assert_eq!(bulk.tally.refused[0].first, [by_human]);
    // The retry needs a new approval.
    assert_eq!(fleet.state_of(gated).await, State::Blocked);
    assert_eq!(retries(&fleet, &free).await, [1, 1]);
    fleet.finish().await;
}

#[tokio::test]
async fn bulk_cancels_tasks_in_every_open_state() {
    let fleet = Fleet::start().await;
    let ids = fleet.submit_many("faq", 3).await;
    let held = fleet.claim_one().await;
    fleet.submit("deploy").await;
    let bugfix = fleet.submit("bugfix").await.id;
    let order = BulkOrder { reason: Some("outage".to_owned()), ..bulk_of(BulkAction::Cancel) };
    let filter = TaskFilter { kind: Some(name("bugfix")), ..in_state(State::InProgress) };
    let none = run(&fleet, &BulkOrder { filter, ..order.clone() }).await;
    let one = BulkOrder { filter: in_state(State::InProgress), ..order.clone() };
    let one = run(&fleet, &one).await;

    let all = run(&fleet, &order).await;

    assert_eq!(counts(&none), (BulkStatus::Completed, 0, 0, vec![]));
    assert_eq!(counts(&one), (BulkStatus::Completed, 1, 1, vec![]));
    assert_eq!(one.tally.first[0].id, held.task.id);
    assert_eq!(counts(&all), (BulkStatus::Completed, 4, 4, vec![]));
    for id in ids.into_iter().chain([bugfix]) {
        assert_eq!(fleet.state_of(id).await, State::Cancelled);
    }
    let error = fleet.task(bugfix).await.error;
    assert_eq!(error, Some(format!("bulk {}: outage", all.id)));
    fleet.finish().await;
}

#[tokio::test]
async fn bulk_raise_never_skips_an_approval() {
    let fleet = Fleet::start().await;
    let low = fleet.submit_with("faq", |new| new.spec.priority = Priority::P3).await.id;
    let high = fleet.submit("bugfix").await.id;
    let gated = fleet.submit_with("faq", |new| new.spec.priority = Priority::P1).await.id;
    let raise = |to| BulkOrder { priority: Some(to), ..bulk_of(BulkAction::Raise) };

    let first = run(&fleet, &raise(Priority::P2)).await;
    let second = run(&fleet, &raise(Priority::P0)).await;

    let expected = vec![(BulkRefusal::NotRaised, 2)];
    assert_eq!(counts(&first), (BulkStatus::Completed, 3, 1, expected));
    // The rule about urgent tasks asks for P1 and P0, and the third one waits for it already.
    let expected = vec![(BulkRefusal::NeedsApproval, 2)];
    assert_eq!(counts(&second), (BulkStatus::Completed, 3, 1, expected));
    let of = async |id| fleet.task(id).await.spec.priority;
    let priorities = (of(low).await, of(high).await, of(gated).await);
    assert_eq!(priorities, (Priority::P2, Priority::P2, Priority::P0));
    fleet.finish().await;
}

#[tokio::test]
async fn bulk_with_a_key_starts_once_and_only_some_run() {
    let fleet = Fleet::build().settings(|settings| settings.tasks.max_bulks = 2).start().await;
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    let order = bulk_of(BulkAction::Cancel);
    let start = async |key: &str, body: &str| {
        engine.start_bulk(alice, &order, idempotency(key, body)).await
    };

    let first = start("k", "b").await.unwrap();
    let again = start("k", "b").await.unwrap();
    let mismatch = start("k", "c").await;
    let second = start("l", "b").await.unwrap();
    let third = start("m", "b").await;

    assert_eq!((first.is_replay, again.is_replay), (false, true));
    assert_eq!(first.bulk.id, again.bulk.id);
    assert!(matches!(mismatch, Err(Error::IdempotencyMismatch(_))), "{mismatch:?}");
    let Err(Error::TooManyBulks { running, .. }) = third else { panic!("{third:?}") };
    assert_eq!(running, [first.bulk.id, second.bulk.id]);
    fleet.run_bulks().await.unwrap();
    start("m", "b").await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn end_of_a_bulk_is_an_event_and_its_retention_begins() {
    let fleet = Fleet::start().await;
    failed_tasks(&fleet, 1).await;

    let bulk = run(&fleet, &bulk_of(BulkAction::Retry)).await;

    let event = fleet.events().await.pop().unwrap();
    assert_eq!((event.event_type(), &event.body["task_id"]), ("bulk.completed", &Value::Null));
    let payload = &event.body["payload"];
    assert_eq!((&payload["bulk_id"], &payload["done"]), (&bulk.id.to_string().into(), &1.into()));
    assert_eq!(event.body["source_agent"], "orchestrator");
    let key = crate::harness::key(&format!("bulk:{}", bulk.id));
    let left: i64 = fleet.redis.ask(&["TTL", &key]).await;
    let kept_s = fleet.engine.settings().retention.finished_ms / 1_000;
    assert!((1..=i64::try_from(kept_s).unwrap()).contains(&left), "{left}");
    fleet.redis.ask::<i64>(&["DEL", &key]).await;
    let gone = fleet.engine.bulk(bulk.id).await;
    assert!(matches!(gone, Err(Error::UnknownBulk(id)) if id == bulk.id), "{gone:?}");
    fleet.advance(DAY);
    fleet.finish().await;
}
