//! Requests over NATS that are refused, each in the form that all refusals have, with nothing stored.

use orchestrator::app::bridge::task_verbs;
use serde_json::{Value, json};

use crate::harness::{Fleet, Nats, key_of, new_body};

use super::{CLAIM, Caller, Office, refused};

const MISSING: &str = "019ab3c4-0000-7000-8000-000000000000";

/// Every subject that is answered.
fn subjects() -> Vec<String> {
    let fixed =
        ["agents.faq_agent.claim", "agents.faq_agent.results", "ingest.tasks", "ingest.events"];
    let tasks = task_verbs().into_iter().map(|verb| format!("tasks.{}", verb.name));
    let all = fixed.map(str::to_owned).into_iter().chain(tasks);
    all.map(|subject| format!("orchestrator.{subject}")).collect()
}

async fn open() -> (Fleet, Nats, Office, Caller) {
    super::open(Fleet::build().without_approvals().start().await, Nats::plain().await).await
}

#[tokio::test]
async fn requests_without_a_valid_credential_are_refused_on_every_subject() {
    let (fleet, _nats, office, caller) = open().await;
    let body = json!({"task_id": MISSING}).to_string();
    let before = fleet.redis.dump().await;

    for subject in subjects() {
        for headers in
            [&[][..], &[("X-API-Key", "wrong-0123456789")], &[("Authorization", "Bearer x.y.z")]]
        {
            refused(&caller.ask(&subject, headers, &body).await, 401, "unauthenticated");
        }
    }

    assert_eq!(fleet.redis.dump().await, before);
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_role_without_the_scope_is_refused() {
    let (fleet, _nats, office, caller) = open().await;
    let body = json!({"task_id": MISSING, "attempt": 1, "lease": "x", "worker": "w1", "type": "faq", "event_type": "pr.merged"});

    let reads = ["orchestrator.tasks.get", "orchestrator.tasks.events"];
    for subject in subjects().iter().filter(|subject| !reads.contains(&subject.as_str())) {
        let answer = caller.call("reader", subject, &body).await;
        refused(&answer, 403, "missing-scope");
    }

    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_now_is_refused_with_the_status_of_http() {
    let (fleet, _nats, office, caller) = open().await;
    for verb in task_verbs() {
        let mut missing = match verb.name.as_str() {
            "heartbeat" | "complete" | "fail" | "release" => json!({"attempt": 1, "lease": "x"}),
            "approval" => json!({"attempt": 1, "lease": "x", "reason": "may I?"}),
            "status" => json!({"status": "in_progress"}),
            _ => json!({}),
        };
        missing["task_id"] = json!(MISSING);
        let subject = format!("orchestrator.tasks.{}", verb.name);
        refused(&caller.call("crew", &subject, &missing).await, 404, "unknown-task");
    }
    let id = fleet.submit("faq").await.id.to_string();
    let held = fleet.claim_one().await;

    let stale = json!({"task_id": id, "attempt": 9, "lease": "x"});
    refused(&caller.call("crew", "orchestrator.tasks.heartbeat", &stale).await, 409, "lease-lost");
    refused(&caller.call("crew", "orchestrator.tasks.complete", &stale).await, 409, "lease-lost");
    let open = json!({"task_id": id});
    refused(
        &caller.call("crew", "orchestrator.tasks.retry", &open).await,
        409,
        "illegal-transition",
    );
    let foreign = json!({"event_type": "pr.merged", "payload": {}, "source_agent": "rival"});
    let answer = caller.call("crew", "orchestrator.ingest.events", &foreign).await;
    assert_eq!(answer.header("Orchestrator-Status"), Some("403"), "{answer:?}");

    fleet.complete(&held).await.unwrap();
    office.close().await;
    fleet.finish().await;
}

/// The pointers of a 422.
fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let (fleet, _nats, office, caller) = open().await;

    let claim = json!({"worker": "W 1", "max": 0, "wait_ms": 60_001});
    let problem = refused(&caller.call("crew", CLAIM, &claim).await, 422, "invalid-fields");
    assert_eq!(pointers(&problem), ["/worker", "/max", "/wait_ms"]);
    let task = json!({"type": "unheard_of", "payload": 1, "priority": "P9"});
    let problem = refused(
        &caller.call("crew", "orchestrator.ingest.tasks", &task).await,
        422,
        "invalid-fields",
    );
    assert_eq!(pointers(&problem).len(), 3, "{problem}");
    let event = json!({"event_type": "no type", "payload": {}});
    let problem = refused(
        &caller.call("crew", "orchestrator.ingest.events", &event).await,
        422,
        "invalid-fields",
    );
    assert_eq!(pointers(&problem), ["/event_type"]);

    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn unreadable_body_is_refused_on_every_subject() {
    let (fleet, _nats, office, caller) = open().await;
    let deep = "[".repeat(10_000);
    let key = key_of("crew");
    let before = fleet.redis.dump().await;

    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "\u{0}",
        &deep,
        r#"{"task_id": 1}"#,
        r#"{"task_id": "../admin"}"#,
    ] {
        for subject in subjects() {
            let answer = caller.ask(&subject, &[("X-API-Key", &key)], body).await;
            let status = answer.header("Orchestrator-Status").unwrap();
            let is_refused = ["400", "422"].contains(&status);
            assert!(
                is_refused && answer.json()["detail"].is_string(),
                "{subject} {body:.20}: {answer:?}"
            );
        }
    }

    assert_eq!(fleet.redis.dump().await, before);
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_hostile_subject_or_header_reaches_nothing_else() {
    let (fleet, _nats, office, caller) = open().await;
    let key = key_of("crew");
    let body = json!({"worker": "w1"}).to_string();
    let long = "a".repeat(300);

    for agent in [
        "..",
        "%2E%2E",
        "%2E%2E/tasks",
        "a/b",
        "%2e%2e",
        "faq_agent?x=1",
        "faq_agent#x",
        "FAQ",
        "ünïcode",
        "a%00b",
        "a:b@c",
        &long,
    ] {
        // A dot parts tokens: a name with one makes another subject, which no process answers.
        if agent.contains('.') {
            continue;
        }
        let answer = caller
            .ask(&format!("orchestrator.agents.{agent}.claim"), &[("X-API-Key", &key)], &body)
            .await;
        let status = answer.header("Orchestrator-Status").unwrap();
        assert!(["400", "404", "422"].contains(&status), "{agent}: {answer:?}");
    }
    for value in ["ü", "", " ", "a\tb"] {
        let answer = caller.ask(CLAIM, &[("X-API-Key", value)], &body).await;
        refused(&answer, 401, "unauthenticated");
        let headers =
            [("X-API-Key", key.as_str()), ("traceparent", value), ("X-Request-Id", value)];
        let answer = caller.ask(CLAIM, &headers, &body).await;
        assert!(
            ["200", "400"].contains(&answer.header("Orchestrator-Status").unwrap()),
            "{answer:?}"
        );
    }

    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_refused_and_not_ignored() {
    let (fleet, _nats, office, caller) = open().await;
    let key = key_of("crew");
    let body = new_body("faq").to_string();
    let before = fleet.redis.dump().await;

    for bad in ["schlüssel", "", "a b", "tab\there"] {
        let headers = [("X-API-Key", key.as_str()), ("Idempotency-Key", bad)];
        let answer = caller.ask("orchestrator.ingest.tasks", &headers, &body).await;
        refused(&answer, 400, "unreadable-request");
    }
    for subject in subjects().iter().filter(|subject| !subject.ends_with("ingest.tasks")) {
        let headers = [("X-API-Key", key.as_str()), ("Idempotency-Key", "k1")];
        let body = json!({"task_id": MISSING}).to_string();
        let answer = caller.ask(subject, &headers, &body).await;
        refused(&answer, 400, "unreadable-request");
    }

    assert_eq!(fleet.redis.dump().await, before);
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_member_that_is_not_understood_is_refused_in_the_words_of_http() {
    let (fleet, _nats, office, caller) = open().await;
    let answer = caller
        .call("crew", "orchestrator.tasks.get", &json!({"task_id": MISSING, "wait": 5}))
        .await;
    let problem = refused(&answer, 400, "unreadable-request");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `wait_ms`?"), "{problem}");
    let body = json!({"task_id": MISSING, "attempt": 1, "resalt": 5});
    let answer = caller.call("crew", "orchestrator.tasks.complete", &body).await;
    let problem = refused(&answer, 422, "invalid-fields");
    assert_eq!(pointers(&problem), ["/resalt", "/lease"]);
    office.close().await;
    fleet.finish().await;
}
