//! How many bytes the store keeps of what goes on for ever: the event log, timelines.

use orchestrator::domain::event::NewEvent;
use orchestrator::engine::EventFilter;

use crate::harness::{Fleet, json, key, new_event};

/// The least budget of a log that there is.
const BUDGET: u64 = 1 << 20;

async fn small_log() -> Fleet {
    let build = Fleet::build().settings(|settings| {
        settings.retention.events_bytes = BUDGET;
        settings.events.publish_bytes_per_minute = 1 << 30;
    });
    build.start().await
}

/// Publishes events of `bytes` each.
async fn publish(fleet: &Fleet, count: usize, bytes: usize) {
    let payload = json(&format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)));
    for _ in 0..count {
        let event = NewEvent { payload: payload.clone(), ..new_event("deploy.started") };
        fleet.engine.publish(&fleet.people.agent, event).await.unwrap();
    }
}

/// How many bytes of JSON stand in the log, and how many events.
async fn logged(fleet: &Fleet) -> (u64, usize) {
    let (mut bytes, mut count, mut after) = (0, 0, None);
    loop {
        let filter = EventFilter::default();
        let page = fleet.engine.event_page(&filter, after.as_deref(), 200).await.unwrap();
        count += page.events.len();
        bytes += page.events.iter().map(|event| event.json.len() as u64).sum::<u64>();
        if !page.has_more {
            return (bytes, count);
        }
        after = Some(page.next.to_string());
    }
}

#[tokio::test]
async fn event_log_stays_in_its_byte_budget_despite_other_trimming() {
    let fleet = small_log().await;
    let is_in_budget = async || {
        let (bytes, _) = logged(&fleet).await;
        // One entry more than the budget, and what an event shows beside what the log has of it.
        assert!((BUDGET / 2..BUDGET + 100_000).contains(&bytes), "{bytes}");
    };

    publish(&fleet, 40, 60_000).await;
    is_in_budget().await;
    // By count, by hand, and with the counter lost.
    fleet.redis.ask::<i64>(&["XTRIM", &key("events"), "MAXLEN", "3"]).await;
    publish(&fleet, 40, 60_000).await;
    is_in_budget().await;
    fleet.redis.ask::<i64>(&["DEL", &key("logged")]).await;
    publish(&fleet, 40, 60_000).await;
    is_in_budget().await;
    // Many small ones push out few large ones, and the other way round.
    publish(&fleet, 2_500, 300).await;
    is_in_budget().await;
    publish(&fleet, 20, 60_000).await;
    is_in_budget().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_smaller_budget_holds_after_the_next_sweep() {
    let fleet = Fleet::start().await;
    publish(&fleet, 40, 60_000).await;
    let store = fleet.open_store(|store| store.events_bytes = BUDGET).await.unwrap();

    store
        .prune(orchestrator::domain::ids::Partition(0), 10, 1_000, 3_600_000, 3_600_000)
        .await
        .unwrap();

    let (bytes, _) = logged(&fleet).await;
    assert!((BUDGET / 2..BUDGET + 100_000).contains(&bytes), "{bytes}");
    fleet.finish().await;
}

#[tokio::test]
async fn a_timeline_keeps_its_submission_and_the_newest_within_its_bytes() {
    let fleet = Fleet::build().without_approvals().start().await;
    let id = fleet.submit("faq").await.id;
    let reason = "\u{1}".repeat(680);

    for _ in 0..60 {
        fleet.engine.cancel(&fleet.people.alice, id, Some(reason.clone())).await.unwrap();
        fleet.engine.requeue(&fleet.people.alice, id).await.unwrap();
    }

    let records = key("records");
    let bytes: usize = fleet.redis.ask(&["HSTRLEN", &records, &id.to_string()]).await;
    assert!((60_000..66_500).contains(&bytes), "{bytes}");
    let task = fleet.engine.task(id).await.unwrap();
    assert_eq!(task.timeline.first().unwrap().verb.as_str(), "submit");
    assert_eq!(task.timeline.last().unwrap().verb.as_str(), "requeue");
    fleet.finish().await;
}
