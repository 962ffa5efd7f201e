//! What agents and other systems do over NATS, accepted: the same JSON as over HTTP.

use orchestrator::domain::audit::AuditFilter;
use serde_json::{Value, json};

use crate::harness::{BOUND, Fleet, Nats, bearer, key_of, new_body, report_on};

use super::{CLAIM, Caller, Listener, Office, settle, supervised};

async fn open() -> (Fleet, Nats, Office, Caller) {
    super::open(Fleet::build().without_approvals().start().await, Nats::start().await).await
}

/// Submits a task of this type over NATS; its id.
async fn submit(caller: &Caller, kind: &str) -> Value {
    let task = caller
        .accepted("crew", "orchestrator.ingest.tasks", &json!({"type": kind, "payload": {"n": 1}}))
        .await;
    task["task_id"].clone()
}

/// Routes, and claims the one task that waits for `faq_agent`.
async fn claim(fleet: &Fleet, caller: &Caller) -> Value {
    fleet.route().await;
    let claimed = caller.accepted("crew", CLAIM, &json!({"worker": "w1"})).await;
    claimed["tasks"][0].clone()
}

/// The state of a task, asked for over NATS.
async fn status(caller: &Caller, id: &Value) -> String {
    let task = caller.accepted("reader", "orchestrator.tasks.get", &json!({"task_id": id})).await;
    task["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_task_lives_its_whole_life_over_nats() {
    let (fleet, _nats, office, caller) = open().await;
    let id = submit(&caller, "faq").await;
    assert_eq!(status(&caller, &id).await, "pending");

    let held = claim(&fleet, &caller).await;
    assert_eq!((&held["task"]["task_id"], &held["task"]["payload"]), (&id, &json!({"n": 1})));
    let attempt = report_on(&held, json!({"task_id": id}));
    let mut sign = attempt.clone();
    sign["progress"] = json!({"percent": 40.0, "message": "half way"});
    let beat = caller.accepted("crew", "orchestrator.tasks.heartbeat", &sign).await;
    assert!(beat["lease_expires_at"].is_string(), "{beat}");
    let mut done = attempt.clone();
    done["result"] = json!({"answer": 42});
    caller.accepted("crew", "orchestrator.tasks.complete", &done).await;

    let task = caller.accepted("reader", "orchestrator.tasks.get", &json!({"task_id": id})).await;
    assert_eq!((&task["status"], &task["result"]), (&json!("completed"), &json!({"answer": 42})));
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_is_given_back_failed_retried_and_cancelled_over_nats() {
    let (fleet, _nats, office, caller) = open().await;
    let id = submit(&caller, "faq").await;
    let held = claim(&fleet, &caller).await;
    caller
        .accepted("crew", "orchestrator.tasks.release", &report_on(&held, json!({"task_id": id})))
        .await;
    assert_eq!(status(&caller, &id).await, "assigned");

    let held = claim(&fleet, &caller).await;
    let failed = report_on(&held, json!({"task_id": id, "error": "it broke", "retryable": false}));
    caller.accepted("crew", "orchestrator.tasks.fail", &failed).await;
    assert_eq!(status(&caller, &id).await, "failed");
    caller.accepted("crew", "orchestrator.tasks.retry", &json!({"task_id": id})).await;
    assert_eq!(status(&caller, &id).await, "pending");
    caller.accepted("crew", "orchestrator.tasks.cancel", &json!({"task_id": id})).await;
    assert_eq!(status(&caller, &id).await, "cancelled");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_batch_of_outcomes_is_reported_and_the_next_task_claimed_in_one_request() {
    let (fleet, _nats, office, caller) = open().await;
    let (first, second) = (submit(&caller, "faq").await, submit(&caller, "faq").await);
    let held = claim(&fleet, &caller).await;
    let outcome = report_on(&held, json!({"task_id": first, "outcome": "completed", "result": 1}));
    let stale = json!({"task_id": second, "attempt": 7, "lease": "x", "outcome": "completed"});

    let body = json!({"outcomes": [outcome, stale], "claim": {"worker": "w1", "max": 5}});
    let answer = caller.accepted("crew", "orchestrator.agents.faq_agent.results", &body).await;

    assert_eq!(answer["results"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(status(&caller, &first).await, "completed");
    assert_eq!(answer["claimed"]["tasks"][0]["task"]["task_id"], second, "{answer}");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn an_event_from_outside_comes_in_over_nats_and_goes_out_again() {
    let (fleet, nats, office, caller) = open().await;
    let mut subjects = Listener::to(&nats, "orchestrator.events.pr.merged").await;
    let bridge = supervised(&fleet, &nats.settings()).await;
    let event = json!({"event_type": "pr.merged", "payload": {"pr": 7}, "trace_id": "t1"});

    let taken = caller.accepted("crew", "orchestrator.ingest.events", &event).await;

    let message = subjects.next().await;
    assert_eq!(taken["event_id"], message.id());
    let heard = message.json();
    assert_eq!((&heard["payload"], &heard["source_agent"]), (&json!({"pr": 7}), &json!("crew")));
    assert_eq!(heard["metadata"]["external"], true);
    bridge.finish(BOUND).await;
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn the_headers_of_a_request_mean_what_they_mean_over_http() {
    let (fleet, nats, office, caller) = open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let key = key_of("crew");
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "k1"), ("Traceparent", trace)];
    let (body, spelled_otherwise) =
        (r#"{"type":"faq","payload":{"n":1}}"#, r#"{ "payload": {"n": 1e0}, "type": "f\u0061q" }"#);

    let first = caller.ask("orchestrator.ingest.tasks", &headers, body).await;
    let again = caller.ask("orchestrator.ingest.tasks", &headers, spelled_otherwise).await;

    assert_eq!(
        (first.header("Orchestrator-Status"), again.header("Orchestrator-Status")),
        (Some("201"), Some("200"))
    );
    assert_eq!(first.json()["task_id"], again.json()["task_id"]);
    assert_eq!(first.json()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    settle(&super::bridge_of(&fleet.engine, &nats.settings()).await).await;
    assert_eq!(nats.stream().await[0].header("traceparent"), Some(trace));
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_token_is_a_credential_over_nats_too() {
    let (fleet, _nats, office, caller) = open().await;
    let bearer = bearer("dora", "agent");

    let body = new_body("faq").to_string();
    let answer =
        caller.ask("orchestrator.ingest.tasks", &[("Authorization", &bearer)], &body).await;

    assert_eq!(answer.header("Orchestrator-Status"), Some("201"), "{answer:?}");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn the_audit_log_says_that_a_cancel_came_over_nats() {
    let (fleet, _nats, office, caller) = open().await;
    let id = submit(&caller, "faq").await;
    caller.accepted("crew", "orchestrator.tasks.cancel", &json!({"task_id": id})).await;

    let (page, _) = fleet.engine.audit(&AuditFilter::default(), 1, None).await.unwrap();

    let entry = &page.items[0];
    assert_eq!([&entry.action, &entry.actor, &entry.origin], ["cancel", "key:crew", "nats"]);
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn an_agent_asks_a_human_and_reads_its_timeline_over_nats() {
    let (fleet, _nats, office, caller) = open().await;
    let id = submit(&caller, "faq").await;
    let held = claim(&fleet, &caller).await;

    let question = report_on(&held, json!({"task_id": id, "reason": "may I?"}));
    let asked = caller.accepted("crew", "orchestrator.tasks.approval", &question).await;

    assert_eq!(
        (&asked["status"], &asked["task"]["status"]),
        (&json!("pending"), &json!("blocked"))
    );
    let body = json!({"task_id": id});
    let timeline = caller.accepted("reader", "orchestrator.tasks.events", &body).await;
    assert!(timeline["items"].as_array().unwrap().len() >= 4, "{timeline}");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_status_is_changed_over_nats() {
    let (fleet, _nats, office, caller) = open().await;
    let id = submit(&caller, "faq").await;

    for word in ["in_progress", "completed"] {
        let body = json!({"task_id": id, "status": word});
        let changed = caller.accepted("crew", "orchestrator.tasks.status", &body).await;
        assert_eq!(changed["status"], word);
    }

    assert_eq!(status(&caller, &id).await, "completed");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn an_agent_whose_name_has_a_dot_claims_over_nats() {
    let rule = r#"{"agent": "team.faq-agent", "when": {"types": ["faq"]}}"#;
    let fleet = Fleet::build()
        .without_approvals()
        .settings(|settings| settings.routing.rules[0] = serde_json::from_str(rule).unwrap())
        .start()
        .await;
    let nats = Nats::start().await;
    let (office, caller) = (Office::open(&fleet, &nats).await, Caller::of(&nats).await);
    let id = submit(&caller, "faq").await;
    fleet.route().await;

    let subject = "orchestrator.agents.team%2Efaq-agent";
    let claimed =
        caller.accepted("crew", &format!("{subject}.claim"), &json!({"worker": "w1"})).await;

    assert_eq!(claimed["tasks"][0]["task"]["task_id"], id);
    let outcome = json!({"task_id": id, "outcome": "completed"});
    let outcome = report_on(&claimed["tasks"][0], outcome);
    let body = json!({"outcomes": [outcome]});
    caller.accepted("crew", &format!("{subject}.results"), &body).await;
    assert_eq!(status(&caller, &id).await, "completed");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn an_answer_has_no_header_that_belongs_to_nats_itself() {
    let (fleet, _nats, office, caller) = open().await;
    let answer = caller.ask("orchestrator.ingest.tasks", &[], "{}").await;

    // nats-py takes a 503 in `Status` for "no responders", and other clients read it too.
    assert_eq!(answer.header("Status"), None);
    assert_eq!(answer.header("Orchestrator-Status"), Some("401"));
    office.close().await;
    fleet.finish().await;
}
