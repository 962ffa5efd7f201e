//! Several processes that answer over NATS: they share the work, are found, wait, and stop in order.

use futures_util::StreamExt;
use futures_util::future::join_all;
use orchestrator::app::bridge::task_verbs;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Fleet, Message, Nats, eventually, new_body, within};

use super::{CLAIM, Caller, Office, open, refused};

/// The answers of all that hear a discovery request, `count` of them.
async fn discover(caller: &Caller, subject: &'static str, count: usize) -> Vec<Value> {
    let inbox = caller.0.new_inbox();
    let answers = caller.0.subscribe(inbox.clone()).await.unwrap();
    caller.0.publish_with_reply(subject, inbox, "".into()).await.unwrap();
    let answers =
        answers.take(count).map(|message| Message::from(message).json()).collect::<Vec<_>>();
    within("answers of all services", answers).await
}

/// How many requests each service has answered.
async fn answered(caller: &Caller) -> BTreeMap<String, u64> {
    let stats = discover(caller, "$SRV.STATS.orchestrator", 2).await;
    let total = |one: &Value| {
        one["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|end| end["num_requests"].as_u64().unwrap())
            .sum()
    };
    stats.iter().map(|one| (one["id"].as_str().unwrap().to_owned(), total(one))).collect()
}

#[tokio::test]
async fn services_can_be_found_and_share_the_work() {
    let (fleet, nats) = (Fleet::start().await, Nats::plain().await);
    let (first, second) = (Office::open(&fleet, &nats).await, Office::open(&fleet, &nats).await);
    let caller = Caller::of(&nats).await;

    let pings = discover(&caller, "$SRV.PING", 2).await;
    let ids: BTreeSet<_> = pings.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(ids.len(), 2, "{pings:?}");
    let info = discover(&caller, "$SRV.INFO.orchestrator", 2).await;
    let subjects: Vec<_> =
        info[0]["endpoints"].as_array().unwrap().iter().map(|end| &end["subject"]).collect();
    assert_eq!(subjects.len(), 4 + task_verbs().len(), "{info:?}");
    assert_eq!(
        (&info[0]["name"], &info[0]["version"]),
        (&json!("orchestrator"), &json!(env!("CARGO_PKG_VERSION")))
    );

    let submission = new_body("faq");
    let calls = (0..200).map(|_| caller.accepted("crew", "orchestrator.ingest.tasks", &submission));
    let tasks: BTreeSet<_> =
        join_all(calls).await.iter().map(|task| task["task_id"].to_string()).collect();

    assert_eq!(tasks.len(), 200);
    let stored = fleet.redis.count_tasks().await;
    assert_eq!(stored, 200, "each request is answered by one service alone");
    eventually("both have counted", async || {
        let answered = answered(&caller).await;
        let is_shared =
            answered.values().sum::<u64>() == 200 && answered.values().all(|count| *count > 20);
        if is_shared { Ok(()) } else { Err(answered) }
    })
    .await;
    first.close().await;
    second.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_waits_over_nats_until_there_is_a_task() {
    let (fleet, _nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let asker = caller.clone();
    let claim = json!({"worker": "w1", "wait_ms": 10_000});
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { asker.accepted("crew", CLAIM, &claim).await });
    office.has_begun(1).await;

    let id = fleet.submit("faq").await.id;
    fleet.route().await;

    let answer = within("the task", waiting.join_next()).await.unwrap().unwrap();
    assert_eq!(answer["tasks"][0]["task"]["task_id"], id.to_string());
    let empty = caller.accepted("crew", CLAIM, &json!({"worker": "w1"})).await;
    assert_eq!(empty["tasks"], json!([]));
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn claims_that_wait_hold_up_no_outcome() {
    let (fleet, _nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let id = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1_100 {
        let asker = caller.clone();
        let claim = json!({"worker": "w1", "wait_ms": 60_000});
        waiting.spawn(async move { asker.call("crew", CLAIM, &claim).await });
    }
    // As many wait as one key may have wait (`http.max_waits_per_principal`).
    for _ in 0..100 {
        let answer = within("a claim too many", waiting.join_next()).await.unwrap().unwrap();
        refused(&answer, 429, "too-many-waits");
    }

    let done = json!({"task_id": id.to_string(), "attempt": 1, "lease": held.lease.expose()});
    let answer = caller.accepted("crew", "orchestrator.tasks.complete", &done);
    within("an outcome is taken", answer).await;

    assert!(waiting.try_join_next().is_none(), "it was taken once a claim had ended");
    assert_eq!(waiting.len(), 1_000);
    waiting.shutdown().await;
    fleet.engine.stop().cancel();
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn stop_answers_pending_calls_and_then_leaves_no_responder() {
    let (fleet, _nats, office, caller) = open(Fleet::start().await, Nats::plain().await).await;
    let asker = caller.clone();
    let mut waiting = tokio::task::JoinSet::new();
    let claim = json!({"worker": "w1", "wait_ms": 10_000});
    waiting.spawn(async move { asker.accepted("crew", CLAIM, &claim).await });
    office.has_begun(1).await;

    office.stop();
    let id = fleet.submit("faq").await.id;
    fleet.route().await;

    let answer = within("the task", waiting.join_next()).await.unwrap().unwrap();
    assert_eq!(answer["tasks"][0]["task"]["task_id"], id.to_string());
    office.close().await;
    let error = caller.0.request(CLAIM, "{}".into()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
    fleet.finish().await;
}
