//! Whose report counts: that of the worker whose claim was answered with the lease, and the first one.

use std::collections::BTreeSet;

use orchestrator::http::openapi;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Site, id_of, key, new_body, place_in, report_on};

const REPORTS: [&str; 5] = ["heartbeat", "complete", "fail", "release", "approval"];

/// A task that `crew` holds: its id, and what the claim was answered with.
async fn send(site: &Site, key: &str, id: &str, verb: &str, mut body: Value) -> Answer {
    if verb == "approval" {
        body["reason"] = json!("may I?");
    }
    site.post(key, &format!("/tasks/{id}/{verb}"), &body).await
}

/// The one result of a report within a batch.
async fn send_in_batch(site: &Site, key: &str, id: &str, mut body: Value) -> Value {
    (body["task_id"], body["outcome"]) = (json!(id), json!("completed"));
    let batch = json!({"outcomes": [body]});
    let answer = site.post(key, "/agents/faq_agent/results", &batch).await.accepted(200);
    answer["results"][0]["problem"].clone()
}

/// Asserts that each of these reports is refused in the same words, for every fault in it, and
/// changes nothing.
async fn all_are_lost(site: &Site, id: &str, wrong: &[(&str, Value)]) {
    let refused = async {
        for (key, body) in wrong {
            let mut said = BTreeSet::new();
            for verb in REPORTS {
                let mut problem =
                    send(site, key, id, verb, body.clone()).await.refused(409, "lease-lost");
                problem["instance"].take();
                said.insert(problem.to_string());
            }
            let problem = send_in_batch(site, key, id, body.clone()).await;
            assert_eq!(problem["type"], "urn:orchestrator:problem:lease-lost", "{problem}");
            assert_eq!(said.len(), 1, "{key} {body}: {said:?}");
        }
    };
    site.unchanged(refused).await;
}

#[tokio::test]
async fn a_report_needs_the_lease_that_the_claim_was_answered_with() {
    let site = Site::open().await;
    let (id, mine) = site.hold().await;
    let (_, other) = site.hold().await;
    assert_ne!(mine["lease"], other["lease"]);
    assert_eq!(mine["lease"].as_str().unwrap().len(), 22);
    let record: String = site.fleet.redis.ask(&["HGET", &key("records"), &id]).await;
    let kept = record[place_in(&record, "holder")].to_owned();
    let with = |lease: Value| json!({"attempt": 1, "lease": lease});
    // A worker of the same key, another agent, an admin with the very lease, and who reads the store.
    let wrong = [
        ("crew", with(other["lease"].clone())),
        ("rival", with(mine["lease"].clone())),
        ("root", with(mine["lease"].clone())),
        ("crew", with(json!(kept))),
        ("crew", with(json!("key:crew"))),
        ("crew", json!({"attempt": 2, "lease": mine["lease"]})),
    ];

    all_are_lost(&site, &id, &wrong).await;
    for verb in REPORTS {
        let answer = send(&site, "crew", &id, verb, json!({"attempt": 1})).await;
        assert_eq!(answer.pointers(), ["/lease"], "{verb}");
        for lease in [json!(""), json!("x".repeat(65)), json!(1), json!(null)] {
            let answer = send(&site, "crew", &id, verb, with(lease)).await;
            assert_eq!(answer.pointers(), ["/lease"], "{verb}");
        }
    }

    let done = report_on(&mine, json!({"result": "mine"}));
    send(&site, "crew", &id, "complete", done).await.accepted(200);
    all_are_lost(&site, &id, &wrong).await;
    let task = site.get("reader", &format!("/tasks/{id}")).await.accepted(200);
    assert_eq!((&task["status"], &task["result"]), (&json!("completed"), &json!("mine")));
    site.finish().await;
}

#[tokio::test]
async fn a_wrong_lease_learns_nothing_of_a_cancelled_or_released_task() {
    let site = Site::open().await;
    for verb in ["cancel", "release", "fail"] {
        let (id, mine) = site.hold().await;
        let body = if verb == "cancel" { json!({}) } else { report_on(&mine, json!({})) };
        send(&site, "crew", &id, verb, body).await.accepted(200);

        all_are_lost(&site, &id, &[("crew", json!({"attempt": 1, "lease": "A".repeat(22)}))]).await;
        if verb == "release" {
            site.claim_one("faq_agent").await;
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn a_second_report_that_differs_is_refused_and_the_first_stands() {
    let site = Site::open().await;
    let reports = [
        ("complete", json!({"result": {"a": 1}})),
        ("complete", json!({"result": {"a": 2}})),
        ("complete", json!({})),
        ("fail", json!({"error": "x", "retryable": false})),
        ("fail", json!({"error": "y", "retryable": false})),
        ("fail", json!({"error": "x", "retryable": false, "result": 1})),
        ("fail", json!({"error": "x", "retry_after_ms": 3_600_000})),
        ("release", json!({})),
    ];
    for (first, (verb, more)) in reports.iter().enumerate() {
        let (id, mine) = site.hold().await;
        let stands = send(&site, "crew", &id, verb, report_on(&mine, more.clone())).await;
        let stands = stands.accepted(200);

        let later = async {
            for (second, (verb, more)) in reports.iter().enumerate() {
                let answer = send(&site, "crew", &id, verb, report_on(&mine, more.clone())).await;
                if second == first {
                    assert_eq!(answer.accepted(200), stands);
                } else {
                    answer.refused(409, "result-mismatch");
                }
            }
        };
        site.unchanged(later).await;
        if *verb == "release" {
            site.claim_one("faq_agent").await;
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn repeated_outcomes_in_one_call_apply_only_the_first() {
    let site = Site::open().await;
    let (id, mine) = site.hold().await;
    let outcome = |outcome: &str, result: u8| {
        report_on(&mine, json!({"task_id": id, "outcome": outcome, "result": result}))
    };

    let outcomes = [outcome("completed", 1), outcome("completed", 2), outcome("failed", 3)];
    let batch = json!({"outcomes": outcomes});
    let answer = site.post("crew", "/agents/faq_agent/results", &batch).await.accepted(200);

    let mismatch = "urn:orchestrator:problem:result-mismatch";
    assert_eq!(answer["results"][0]["status"], "completed");
    assert_eq!(answer["results"][1]["problem"]["type"], mismatch);
    assert_eq!(answer["results"][2]["problem"]["type"], mismatch);
    let task = site.get("reader", &format!("/tasks/{id}")).await.accepted(200);
    assert_eq!(task["result"], 1);
    site.finish().await;
}

#[tokio::test]
async fn a_task_is_ended_in_the_way_in_which_it_was_taken() {
    let site = Site::open().await;
    let (claimed, mine) = site.hold().await;
    let taken = site.submit(&new_body("faq")).await;
    let taken = id_of(&taken);
    let patch = async |key: &str, id: &str, query: &str| {
        site.call(key, Method::PATCH, &format!("/tasks/{id}/status?status={query}")).send().await
    };
    patch("crew", &taken, "in_progress").await.accepted(200);

    let refused = async {
        for key in ["crew", "rival", "root"] {
            for status in ["completed", "failed"] {
                let problem =
                    patch(key, &claimed, status).await.refused(409, "not-holder").to_string();
                let lease = mine["lease"].as_str().unwrap();
                assert!(!problem.contains(lease), "{problem}");
            }
        }
        for key in ["crew", "rival", "root"] {
            for lease in ["key:crew", mine["lease"].as_str().unwrap()] {
                let body = json!({"attempt": 1, "lease": lease});
                for verb in REPORTS {
                    send(&site, key, &taken, verb, body.clone()).await.refused(409, "lease-lost");
                }
            }
        }
    };
    site.unchanged(refused).await;
    patch("crew", &taken, "completed").await.accepted(200);
    patch("crew", &taken, "completed").await.accepted(200);
    patch("crew", &taken, "failed").await.refused(409, "result-mismatch");
    let done = report_on(&mine, json!({}));
    send(&site, "crew", &claimed, "complete", done).await.accepted(200);
    patch("crew", &claimed, "completed").await.refused(409, "illegal-transition");
    site.finish().await;
}

#[tokio::test]
async fn a_lease_is_shown_by_the_answer_to_its_claim_and_nowhere_else() {
    let site = Site::open().await;
    let mut listener = site.fleet.redis.subscribe("*").await;
    let (id, mine) = site.hold().await;
    let lease = mine["lease"].as_str().unwrap();
    let progress = report_on(&mine, json!({"progress": {"percent": 1}}));
    send(&site, "crew", &id, "heartbeat", progress).await.accepted(200);
    send(&site, "crew", &id, "release", report_on(&mine, json!({}))).await.accepted(200);
    let again = site.claim_one("faq_agent").await;
    let fail = report_on(&again, json!({"error": "x", "retryable": false}));
    send(&site, "crew", &id, "fail", fail).await.accepted(200);
    site.post("root", &format!("/tasks/{id}/retry"), &json!({})).await.accepted(200);

    let task = format!("/tasks/{id}");
    let timeline = format!("/tasks/{id}/events");
    for path in [
        &task,
        &timeline,
        "/tasks",
        "/events",
        "/agents",
        "/agents/faq_agent",
        "/admin/audit",
        "/stats",
        "/metrics",
    ] {
        let answer = site.call("root", Method::GET, path).header("accept", "*/*");
        let answer = answer.header("accept", "application/json").send().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(!answer.body.contains(lease), "{path} shows the lease");
    }
    for (key, content) in site.fleet.redis.dump().await {
        assert!(!content.contains(lease), "{key} has the lease");
    }
    loop {
        let (channel, text) = listener.next().await;
        assert!(!text.contains(lease), "{channel} tells the lease");
        if text.contains("task.requeued") {
            break;
        }
    }
    site.finish().await;
}

/// The schemas that `part` of the API document leads to.
fn schemas_of(document: &Value, part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            for (name, member) in members {
                let target = member.as_str().filter(|_| name == "$ref");
                match target.and_then(|target| target.rsplit('/').next()) {
                    Some(schema) if found.insert(schema.to_owned()) => {
                        schemas_of(document, &document["components"]["schemas"][schema], found);
                    }
                    Some(_) => {}
                    None => schemas_of(document, member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| schemas_of(document, item, found)),
        _ => {}
    }
}

#[test]
fn what_is_sent_with_an_attempt_is_sent_with_its_lease() {
    let document = openapi::document();
    let (mut sent, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
    {
        schemas_of(&document, &operation["requestBody"], &mut sent);
        schemas_of(&document, &operation["responses"], &mut answered);
    }
    let has = |schema: &&String, field: &str| {
        let schema = &document["components"]["schemas"][schema.as_str()];
        let required = schema["required"].as_array();
        schema["properties"][field].is_object()
            && required.is_some_and(|names| names.contains(&json!(field)))
    };

    let reports: Vec<_> = sent.iter().filter(|schema| has(schema, "attempt")).collect();
    assert_eq!(reports.len(), 6, "{reports:?}");
    assert!(reports.iter().all(|schema| has(schema, "lease")), "{reports:?}");
    let shown: Vec<_> = answered.iter().filter(|schema| has(schema, "lease")).collect();
    assert_eq!(shown, ["ClaimedTask"]);
}
