//! Claims that wait over NATS: none keeps others from theirs, and none outlives its requester.

use orchestrator::domain::lifecycle::State;
use orchestrator::http::Http;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Fleet, Nats, eventually, key_of, within};

use super::{CLAIM, Caller, Office, open, refused};

/// A claim that waits for as long as one may.
fn long() -> serde_json::Value {
    json!({"worker": "w1", "wait_ms": 60_000})
}

#[tokio::test]
async fn thousand_waiting_claims_of_one_key_do_not_delay_another_key() {
    let (fleet, _nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let mut waiting = JoinSet::new();
    for _ in 0..1_200 {
        let asker = caller.clone();
        waiting.spawn(async move { asker.call("crew", CLAIM, &long()).await });
    }
    // Those beyond its own thousand are refused at once.
    for _ in 0..200 {
        let answer = within("a refusal", waiting.join_next()).await;
        refused(&answer.unwrap().unwrap(), 429, "too-many-waits");
    }

    let now = json!({"worker": "w2", "wait_ms": 10});
    for subject in [CLAIM, "orchestrator.agents.ops_agent.claim"] {
        let answer = caller.accepted("rival", subject, &now);
        within("another's claim", answer).await;
    }

    waiting.shutdown().await;
    fleet.engine.stop().cancel();
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_wait_ends_when_its_requester_has_left() {
    let (fleet, nats) = (Fleet::start().await, Nats::plain().await);
    let http = Http { max_waits_per_principal: 1, ..Http::default() };
    let office = Office::told(&fleet.engine, &nats.settings(), http).await;
    let leaver = Caller::of(&nats).await;
    let mut waiting = JoinSet::new();
    let asker = leaver.clone();
    waiting.spawn(async move { asker.call("crew", CLAIM, &long()).await });
    office.has_begun(1).await;
    let stayer = Caller::of(&nats).await;
    let answer = stayer.call("crew", CLAIM, &long()).await;
    refused(&answer, 429, "too-many-waits");
    // Seen at least once, or there would be nothing to miss.
    is_looked_for(&leaver).await;

    waiting.shutdown().await;
    leaver.0.drain().await.unwrap();
    drop(leaver);

    eventually("the place is free", async || {
        let answer = stayer.call("crew", CLAIM, &json!({"worker": "w2", "wait_ms": 1})).await;
        if answer.header("Orchestrator-Status") == Some("200") { Ok(()) } else { Err(answer) }
    })
    .await;
    // Nothing is leased to the one that left.
    let id = fleet.submit("faq").await.id;
    fleet.route().await;
    let task = fleet.task(id).await;
    assert_eq!((task.state, task.attempt), (State::Assigned, 0));
    office.close().await;
    fleet.finish().await;
}

/// Waits until a probe of the service came to this client: a message for a token that it never gave out.
async fn is_looked_for(leaver: &Caller) {
    let before = leaver.0.statistics().in_messages.load(std::sync::atomic::Ordering::Relaxed);
    eventually("the service has looked", async || {
        let now = leaver.0.statistics().in_messages.load(std::sync::atomic::Ordering::Relaxed);
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test]
async fn a_requester_that_stays_is_not_taken_for_one_that_left() {
    let (fleet, nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let client = nats.client().await;
    // One with an inbox for this answer alone, beside one with an inbox for all of its answers.
    let inbox = client.new_inbox();
    let mut own = client.subscribe(inbox.clone()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-API-Key", key_of("crew").as_str());
    let body = json!({"worker": "w1", "wait_ms": 8_000}).to_string();
    client.publish_with_reply_and_headers(CLAIM, inbox, headers, body.into()).await.unwrap();
    let wait = json!({"worker": "w2", "wait_ms": 8_000});

    let (shared, own) = tokio::join!(
        caller.accepted("crew", CLAIM, &wait),
        within("an answer", futures_util::StreamExt::next(&mut own))
    );

    assert_eq!(shared["tasks"], json!([]));
    let own = crate::harness::Message::from(own.unwrap());
    assert_eq!(
        (own.header("Orchestrator-Status"), own.json()["tasks"].clone()),
        (Some("200"), json!([]))
    );
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn tasks_of_undelivered_answers_go_back_uncounted() {
    let (fleet, _nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let id = fleet.submit("faq").await.id;
    fleet.route().await;
    let body = json!({"worker": "w1", "max": 5}).to_string();

    for (nth, reply) in ["_INBOX.unsubscribed.1", "unsubscribed"].into_iter().enumerate() {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-API-Key", key_of("crew").as_str());
        let payload = body.clone().into();
        caller.0.publish_with_reply_and_headers(CLAIM, reply, headers, payload).await.unwrap();
        eventually("the task went out and is back", async || {
            let task = fleet.task(id).await;
            let is_back = (task.state, task.attempt as usize) == (State::Assigned, nth + 1);
            if is_back { Ok(()) } else { Err((task.state, task.attempt)) }
        })
        .await;
    }

    let task = fleet.task(id).await;
    assert_eq!((task.lost_count, task.retry_count), (0, 0));
    let claimed = caller.accepted("crew", CLAIM, &json!({"worker": "w1"})).await;
    assert_eq!(claimed["tasks"][0]["task"]["task_id"], id.to_string());
    let held = &claimed["tasks"][0];
    let report =
        json!({"task_id": id.to_string(), "attempt": held["attempt"], "lease": held["lease"]});
    caller.accepted("crew", "orchestrator.tasks.complete", &report).await;
    office.close().await;
    fleet.finish().await;
}
