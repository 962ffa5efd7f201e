//! A Redis that lost its data, is another one, or came back with older data is noticed while we work.

use orchestrator::domain::ids::Partition;
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Error, EventFilter, Feed, FeedItem};
use orchestrator::store::keys::LAYOUT_VERSION;
use reqwest::Method;

use crate::harness::{
    Fleet, HOUR, LAYOUT, Site, assert_refused, eventually, key, new_body, new_task, within,
};

async fn layout(fleet: &Fleet, field: &str) -> Option<String> {
    fleet.redis.ask(&["HGET", LAYOUT, field]).await
}

#[tokio::test]
async fn a_store_that_lost_everything_is_reported_once_and_made_anew() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let before = layout(&fleet, "id").await.unwrap();
    fleet.redis.ask::<String>(&["FLUSHALL"]).await;

    fleet.store.notice().await.unwrap();
    fleet.store.notice().await.unwrap();

    assert_eq!(fleet.store.losses(), 1);
    assert_eq!(layout(&fleet, "version").await.as_deref(), Some(LAYOUT_VERSION));
    assert_ne!(layout(&fleet, "id").await.unwrap(), before);
    fleet.submit("faq").await;
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn store_with_another_id_is_reported_once_as_a_loss() {
    let fleet = Fleet::start().await;
    fleet.redis.ask::<i64>(&["HSET", LAYOUT, "id", "another"]).await;

    fleet.store.notice().await.unwrap();
    fleet.store.notice().await.unwrap();

    assert_eq!(fleet.store.losses(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn an_empty_redis_in_the_place_of_the_old_one_is_noticed_without_a_call() {
    let mut fleet = Fleet::build().durable().start().await;
    fleet.submit("faq").await;
    fleet.redis.kill();
    fleet.redis.start_empty().await;

    eventually("the loss is noticed", async || match fleet.store.losses() {
        1 => Ok(()),
        losses => Err(losses),
    })
    .await;

    let id = fleet.submit("faq").await.id;
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    assert_eq!(fleet.state_of(id).await, State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn nothing_is_written_to_a_store_with_other_rules_until_they_are_ours() {
    let site = Site::open().await;
    let fleet = &site.fleet;
    let held = {
        fleet.submit("faq").await;
        fleet.claim_one().await
    };
    for (field, other) in [("version", "99"), ("partitions", "7")] {
        let own = layout(fleet, field).await.unwrap();
        fleet.redis.ask::<i64>(&["HSET", LAYOUT, field, other]).await;
        assert!(fleet.store.notice().await.is_err());

        assert_refused!(fleet.try_submit(new_task("faq")).await, Error::Foreign(_));
        assert_refused!(fleet.engine.doctor().await, Error::Foreign(_));
        assert_refused!(fleet.complete(&held).await, Error::Foreign(_));
        assert_eq!(site.anonymous(Method::GET, "/health/ready").send().await.status, 503);
        site.post("crew", "/tasks", &new_body("faq")).await.refused(503, "store-unavailable");

        fleet.redis.ask::<i64>(&["HSET", LAYOUT, field, &own]).await;
        fleet.store.notice().await.unwrap();
        fleet.submit("faq").await;
    }
    assert_eq!(fleet.store.losses(), 0);
    fleet.complete(&held).await.unwrap();
    site.finish().await;
}

/// Puts the event log back to where it was before `work`, as an older snapshot does.
async fn restore_after<T>(fleet: &Fleet, work: impl Future<Output = T>) -> T {
    assert!(fleet.redis.ask::<bool>(&["COPY", &key("events"), "kept"]).await);
    let done = work.await;
    fleet.redis.ask::<String>(&["RENAME", "kept", &key("events")]).await;
    done
}

/// What the feed says next, of the types that it wants.
async fn next(feed: &mut Feed) -> FeedItem {
    within("the feed", feed.next()).await.unwrap()
}

#[tokio::test]
async fn rolled_back_event_log_is_reported_and_reader_ahead_gets_a_gap() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let filter =
        EventFilter { types: vec!["task.created".parse().unwrap()], ..EventFilter::default() };
    let mut feed = fleet.engine.feed(filter.clone(), None).await.unwrap();
    fleet.store.notice().await.unwrap();
    let ahead = restore_after(&fleet, async {
        // By a clock that is ahead of the next one's, so that ids do not overtake the old ones soon.
        fleet.advance(HOUR);
        fleet.submit("faq").await;
        fleet.store.notice().await.unwrap();
        let FeedItem::Event(_, ahead) = next(&mut feed).await else {
            panic!("an event was to come")
        };
        ahead
    })
    .await;

    fleet.redis.cut_connections("normal").await;
    let heard = next(&mut feed).await;
    let later = fleet.another_engine().await;
    later.submit(&fleet.people.alice, vec![new_task("faq")]).await.unwrap();

    assert!(matches!(heard, FeedItem::Gap(_)), "{heard:?}");
    assert!(matches!(next(&mut feed).await, FeedItem::Event(..)));
    fleet.store.notice().await.unwrap();
    assert_eq!(fleet.store.losses(), 1);
    let mut resumed = later.feed(filter, Some(&ahead.to_string())).await.unwrap();
    assert!(matches!(next(&mut resumed).await, FeedItem::Gap(_)));
    fleet.finish().await;
}

#[tokio::test]
async fn a_bridge_whose_cursor_is_ahead_of_the_log_is_not_deaf() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    restore_after(&fleet, async {
        fleet.advance(HOUR);
        fleet.submit("faq").await;
        let bridged = fleet.engine.unpublished(Partition(0), "one").await.unwrap().unwrap();
        fleet.engine.published("one", bridged.events.last().unwrap().id, 0).await.unwrap();
    })
    .await;
    // The lease is by the clock that was ahead.
    let later = fleet.another_engine().await;

    assert_eq!(later.unpublished(Partition(0), "one").await.unwrap().unwrap().events.len(), 0);
    later.submit(&fleet.people.alice, vec![new_task("faq")]).await.unwrap();

    assert_eq!(later.unpublished(Partition(0), "one").await.unwrap().unwrap().events.len(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn the_connection_of_the_notifications_is_tried_when_it_is_quiet() {
    let fleet = Fleet::start().await;
    let _wake = fleet.engine.wake("router");

    eventually("a subscriber was asked whether it lives", async || {
        let clients: String = fleet.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        if clients.contains("cmd=ping") { Ok(()) } else { Err(clients) }
    })
    .await;

    fleet.finish().await;
}
