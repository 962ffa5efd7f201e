//! Several bridges, and bridges that die: one is active for each partition, and no other bridge
//! moves its cursor.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream;
use orchestrator::domain::ids::Partition;
use orchestrator::transport::{self, Publisher};
use orchestrator::workers::{Step, Worker};

use crate::harness::{BOUND, Fleet, Nats, STREAM, new_event};

use super::{bridge_of, no_lag, passed, settle, supervised};

/// More than the lease of a bridge.
const LEASE_OVER: Duration = Duration::from_secs(7);

/// A stream in which the server remembers ids for no longer than this.
pub fn forgetful(window_ms: u64) -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["orchestrator.events.>".to_owned()],
        duplicate_window: Duration::from_millis(window_ms),
        ..stream::Config::default()
    }
}

#[tokio::test]
async fn one_bridge_is_active_and_the_other_takes_over_when_its_lease_is_over() {
    let (fleet, nats) = (Fleet::start().await, Nats::start().await);
    let first = bridge_of(&fleet.engine, &nats.settings()).await;
    let second = bridge_of(&fleet.engine, &nats.settings()).await;
    fleet.submit_many("faq", 3).await;
    settle(&first).await;

    fleet.submit_many("faq", 3).await;
    assert_eq!(second.step().await.unwrap(), Step::Idle);
    assert_eq!(nats.stream_size().await, Some(3));
    drop(first);
    fleet.advance(LEASE_OVER);

    settle(&second).await;
    assert_eq!(nats.holds_the_log_of(&fleet.redis, 1).await, 6);
    no_lag(&fleet.engine).await;
    fleet.finish().await;
}

#[tokio::test]
async fn two_bridges_at_once_carry_each_event_once_and_one_is_enough_to_go_on() {
    let (fleet, nats) = (Fleet::build().partitions(4).start().await, Nats::start().await);
    let first = supervised(&fleet, &nats.settings()).await;
    let second = supervised(&fleet, &nats.settings()).await;
    for _ in 0..10 {
        fleet.submit_many("faq", 50).await;
        fleet.route().await;
    }

    first.finish(BOUND).await;
    fleet.advance(LEASE_OVER);
    for _ in 0..10 {
        fleet.submit_many("faq", 50).await;
        fleet.route().await;
    }

    assert_eq!(nats.holds_the_log_of(&fleet.redis, 4).await, 2_000);
    no_lag(&fleet.engine).await;
    second.finish(BOUND).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_bridge_that_lost_its_lease_cannot_move_the_cursor() {
    let fleet = Fleet::start().await;
    let (engine, partition) = (&fleet.engine, Partition(0));
    for _ in 0..3 {
        engine.publish(&fleet.people.agent, new_event("kb.updated")).await.unwrap();
    }
    let stale = engine.unpublished(partition, "zombie").await.unwrap().unwrap();
    assert!(engine.unpublished(partition, "heir").await.unwrap().is_none());
    fleet.advance(LEASE_OVER);
    let next = engine.unpublished(partition, "heir").await.unwrap().unwrap();
    assert!(next.is_new);
    assert!(engine.published("heir", next.events[0].id, 0).await.unwrap());

    assert!(!engine.published("zombie", stale.events[2].id, 0).await.unwrap());

    assert!(engine.unpublished(partition, "zombie").await.unwrap().is_none());
    let next = engine.unpublished(partition, "heir").await.unwrap().unwrap();
    assert!(!next.is_new);
    assert_eq!(
        next.events.iter().map(|event| event.id).collect::<Vec<_>>(),
        [stale.events[1].id, stale.events[2].id]
    );
    fleet.finish().await;
}

#[tokio::test]
async fn expired_bridge_lease_is_kept_if_no_other_bridge_took_it() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let next = fleet.engine.unpublished(Partition(0), "slow").await.unwrap().unwrap();
    fleet.advance(LEASE_OVER);

    assert!(fleet.engine.published("slow", next.events[0].id, 0).await.unwrap());

    assert!(!fleet.engine.unpublished(Partition(0), "slow").await.unwrap().unwrap().is_new);
    fleet.finish().await;
}

#[tokio::test]
async fn unnoted_events_of_a_dead_bridge_are_carried_once_past_dedup_window() {
    let (fleet, nats) = (Fleet::build().partitions(2).start().await, Nats::start().await);
    nats.make_stream(forgetful(100)).await;
    for _ in 0..40 {
        fleet.submit_many("faq", 100).await;
    }
    let client = transport::connect(&nats.settings()).await.unwrap();
    client.flush().await.unwrap();
    let dead = Publisher::new(client, nats.settings(), "/orchestrator");
    let mut published = 0;
    for partition in [0, 1].map(Partition) {
        let next = fleet.engine.unpublished(partition, "dead").await.unwrap().unwrap();
        let (count, result) = dead.publish(&next.events, None).await;
        result.unwrap();
        published += count;
    }
    assert!(published > 1_000, "only {published} were published");
    passed(Instant::now(), Duration::from_millis(300)).await;
    fleet.advance(LEASE_OVER);

    settle(&bridge_of(&fleet.engine, &nats.settings()).await).await;

    assert_eq!(nats.holds_the_log_of(&fleet.redis, 2).await, 4_000);
    fleet.finish().await;
}

#[tokio::test]
async fn the_lag_is_zero_only_when_the_last_event_was_carried() {
    let fleet = Fleet::start().await;
    let lag = async || fleet.engine.bridge_lag_ms().await.unwrap();
    assert_eq!(lag().await, None);
    // One entry of the log, of ten events.
    fleet.submit_many("faq", 10).await;
    let next = fleet.engine.unpublished(Partition(0), "it").await.unwrap().unwrap();
    assert!(lag().await > Some(0), "nothing was published yet");

    fleet.engine.published("it", next.events[4].id, 0).await.unwrap();
    assert!(lag().await > Some(0), "half of it was published");

    fleet.engine.published("it", next.events[9].id, 0).await.unwrap();
    assert_eq!(lag().await, Some(0));
    fleet.finish().await;
}
