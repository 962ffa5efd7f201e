//! What subscribers hear, and what the log keeps.

use chrono::DateTime;
use orchestrator::domain::event::{EventPriority, NewEvent};
use orchestrator::domain::ids::EventId;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::report::Outcome;
use orchestrator::engine::Error;
use serde_json::{Value, json as value};
use uuid::Uuid;

use crate::harness::{Fleet, assert_refused, channel_of, failed, json, key, new_event};

/// The id that a subscriber was told, taken apart.
fn id_of(event: &Value) -> EventId {
    let id: Uuid = event["event_id"].as_str().unwrap().parse().unwrap();
    EventId::try_from(id).unwrap()
}

#[tokio::test]
async fn redis_subscriber_gets_completed_task_event_with_every_field() {
    let fleet = Fleet::build().without_approvals().start().await;
    let mut subscriber = fleet.redis.subscribe(&channel_of("task.completed")).await;
    let task = fleet.submit_with("faq", |new| {
        (new.spec.trace_id, new.spec.priority) = (Some("trace-1".to_owned()), Priority::P1);
    });
    let task = task.await;
    let held = fleet.claim_one().await;
    fleet.report(&held, Outcome::Completed { result: Some(json("{}")) }).await.unwrap();

    let (channel, text) = subscriber.next().await;

    assert_eq!(channel, channel_of("task.completed"));
    let mut event: Value = serde_json::from_str(&text).unwrap();
    let id = id_of(&event);
    let logged = fleet.events().await.pop().unwrap();
    assert_eq!(logged.id, id);
    let at = DateTime::parse_from_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
    assert_eq!(at.timestamp_millis() as u64, id.at_ms);
    assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
    let fields = event.as_object_mut().unwrap();
    fields.remove("event_id");
    fields.remove("timestamp");
    let expected = value!({
        "event_type": "task.completed", "priority": "high", "source_agent": "orchestrator", "trace_id": "trace-1",
        "task_id": task.id.to_string(), "metadata": {},
        "payload": {"type": "faq", "status": "completed", "previous_status": "in_progress", "verb": "complete",
            "agent": "faq_agent", "attempt": 1, "actor": "key:crew", "reason": null},
    });
    assert_eq!(event, expected);
    assert_eq!(logged.body, event);
    fleet.finish().await;
}

#[tokio::test]
async fn what_a_subscriber_hears_is_what_the_log_keeps_in_order_with_rising_ids() {
    let fleet = Fleet::start().await;
    let mut subscriber = fleet.redis.subscribe(&channel_of("*")).await;
    fleet.submit_many("deploy", 5).await;
    let ids = fleet.submit_many("faq", 5).await;
    let held = fleet.claim_one().await;
    fleet.report(&held, failed(true, Some(0))).await.unwrap();
    fleet.advance(std::time::Duration::from_secs(1));
    fleet.engine.promote().await.unwrap();
    fleet.cancel(ids[1]).await.unwrap();
    fleet.engine.publish(&fleet.people.agent, new_event("deploy.started")).await.unwrap();

    let log = fleet.events().await;
    let mut heard = Vec::new();
    for _ in 0..log.len() {
        let (channel, text) = subscriber.next().await;
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(channel, channel_of(event["event_type"].as_str().unwrap()));
        heard.push((id_of(&event), event["event_type"].as_str().unwrap().to_owned()));
    }

    let kept: Vec<_> = log.iter().map(|event| (event.id, event.event_type().to_owned())).collect();
    assert_eq!(heard, kept);
    assert!(heard.windows(2).all(|pair| pair[0].0.to_uuid() < pair[1].0.to_uuid()));
    // Five submissions that ask, five that do not, their routing; then one claim by an agent that comes online, one
    // retry, one promotion, one cancellation, one publication.
    assert_eq!(heard.len(), 5 * 2 + 5 + 5 + 2 + 1 + 1 + 1 + 1);
    fleet.finish().await;
}

#[tokio::test]
async fn every_transition_of_a_life_is_one_event_in_order() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    fleet.approve(task.approval.unwrap()).await.unwrap();
    fleet.fail(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    fleet.advance(std::time::Duration::from_secs(60));
    fleet.engine.promote().await.unwrap();
    fleet.release(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    fleet.give_up(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    let again = fleet.requeue(task.id).await.unwrap();
    fleet.approve(again.approval.unwrap()).await.unwrap();
    fleet.complete(&fleet.claim_one_of("ops_agent").await).await.unwrap();

    let told: Vec<_> = fleet
        .events()
        .await
        .into_iter()
        .filter_map(|event| event.verb().map(str::to_owned))
        .collect();

    let timeline = fleet.task(task.id).await.timeline;
    let verbs: Vec<_> =
        timeline.iter().map(|transition| transition.verb.as_str().to_owned()).collect();
    assert_eq!(told, verbs);
    let steps = [
        "submit", "approve", "route", "claim", "retry", "promote", "route", "claim", "release",
        "claim", "fail",
    ];
    assert_eq!(verbs[..11], steps);
    assert_eq!(verbs[11..], ["requeue", "approve", "route", "claim", "complete"]);
    fleet.finish().await;
}

#[tokio::test]
async fn published_event_is_marked_external_despite_its_metadata() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("faq").await.id;
    let event = NewEvent {
        task_id: Some(task),
        trace_id: Some("t".to_owned()),
        priority: EventPriority::Critical,
        payload: json(r#"{"b":1,"a":12345678901234567890}"#),
        metadata: Some(json(r#"{"external":false,"k":[]}"#)),
        ..new_event("task.completed")
    };

    let id = fleet.engine.publish(&fleet.people.agent, event).await.unwrap();

    let logged = fleet.events().await.pop().unwrap();
    assert_eq!(logged.id.to_uuid(), id);
    let expected = value!({
        "event_type": "task.completed", "priority": "critical", "source_agent": "crew", "trace_id": "t",
        "task_id": task.to_string(), "payload": {"b": 1, "a": 12_345_678_901_234_567_890_u64},
        "metadata": {"external": true, "k": []},
    });
    assert_eq!(logged.body, expected);
    assert_eq!(fleet.task(task).await.timeline.len(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn only_admins_publish_under_another_source_name() {
    let fleet = Fleet::start().await;
    let named =
        |name: &str| NewEvent { source_agent: Some(name.to_owned()), ..new_event("pr.merged") };

    let foreign = fleet.engine.publish(&fleet.people.agent, named("dev_agent")).await;
    assert_refused!(foreign, Error::ForeignSource { source_agent, caller } if source_agent == "dev_agent" && caller == "crew");
    assert!(fleet.events().await.is_empty());

    fleet.engine.publish(&fleet.people.agent, named("crew")).await.unwrap();
    fleet.engine.publish(&fleet.people.alice, named("dev_agent")).await.unwrap();
    let sources: Vec<_> =
        fleet.events().await.into_iter().map(|event| event.body["source_agent"].clone()).collect();
    assert_eq!(sources, ["crew", "dev_agent"]);
    fleet.finish().await;
}

#[tokio::test]
async fn the_log_is_cut_to_about_what_the_settings_say() {
    let fleet = Fleet::build().settings(|settings| settings.retention.events = 1_000).start().await;
    for _ in 0..3_000 {
        fleet.engine.publish(&fleet.people.agent, new_event("kb.updated")).await.unwrap();
    }

    let kept: i64 = fleet.redis.ask(&["XLEN", &key("events")]).await;

    assert!((1_000..1_200).contains(&kept), "{kept} entries");
    fleet.finish().await;
}

#[tokio::test]
async fn agent_is_online_from_its_first_to_its_last_session() {
    let fleet = Fleet::start().await;

    fleet.claim("ops_agent", 1).await;
    fleet.claim("ops_agent", 1).await;
    fleet.advance(std::time::Duration::from_millis(fleet.engine.settings().agents.session_ms + 1));
    fleet.engine.reap().await.unwrap();
    fleet.engine.reap().await.unwrap();

    let log = fleet.events().await;
    let types: Vec<_> = log.iter().map(|event| event.event_type()).collect();
    assert_eq!(types, ["agent.online", "agent.offline"]);
    assert_eq!(log[0].body["payload"]["agent"], "ops_agent");
    assert_eq!(fleet.engine.agent(&"ops_agent".parse().unwrap()).await.unwrap().last_seen, None);
    fleet.finish().await;
}
