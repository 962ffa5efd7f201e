//! What is not understood is refused: every operation of the document, at every level of its body, in its query and in
//! its headers. A new operation is held to it by itself.

use orchestrator::http::{UnknownMembers, openapi};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fleet, Site, new_body};

use super::operations::{Operation, joined, pointers};

/// A name that nothing has.
const SLIP: &str = "no_such_member";

/// Each object level of what a schema describes, as a pointer and a value that has [`SLIP`] there.
fn slips(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let target = schema["$ref"].as_str().or_else(|| schema["oneOf"][0]["$ref"].as_str());
    if let Some(target) = target {
        return slips(document, document.pointer(target.trim_start_matches('#')).unwrap());
    }
    if schema["items"].is_object() {
        let inner = slips(document, &schema["items"]).into_iter();
        return inner.map(|(pointer, value)| (format!("/0{pointer}"), json!([value]))).collect();
    }
    let is_closed = schema["type"] == "object" && schema["additionalProperties"].is_null();
    let mut found = Vec::new();
    if is_closed {
        found.push((format!("/{SLIP}"), json!({ SLIP: 1 })));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        for (pointer, value) in slips(document, inner) {
            found.push((format!("/{name}{pointer}"), json!({ name: value })));
        }
    }
    found
}

#[tokio::test]
async fn an_unknown_member_is_refused_by_every_operation_at_every_level() {
    let site = Site::open().await;
    let document = openapi::document();
    let mut levels = 0;
    let walk = async {
        for operation in Operation::all().iter().filter(|operation| operation.takes_body) {
            let found = slips(&document, &operation.schema(&document));
            assert!(!found.is_empty(), "{}: a body without a shape", operation.id);
            for (pointer, slip) in found {
                let body = joined(operation.body().unwrap_or_default(), &slip);
                let answer = operation.ask(&site, "", Some(&body)).await;
                let found = pointers(&answer);
                assert!(found.contains(&pointer), "{} {body}: {answer:?}", operation.id);
                levels += 1;
            }
        }
    };
    site.unchanged(walk).await;
    assert!(levels > 15, "{levels} levels were tried");
    site.finish().await;
}

#[tokio::test]
async fn a_write_without_a_body_in_the_document_does_not_exist() {
    let writes = Operation::all().into_iter().filter(|one| one.method != Method::GET);
    let silent: Vec<_> = writes.filter(|one| !one.takes_body).map(|one| one.id).collect();

    assert!(silent.is_empty(), "these would ignore what is sent to them: {silent:?}");
}

#[tokio::test]
async fn an_unknown_or_repeated_parameter_is_refused_by_every_operation() {
    let site = Site::open().await;
    let document = openapi::document();
    let walk = async {
        for operation in Operation::all() {
            let body = operation.body();
            let answer = operation.ask(&site, "?no_such_parameter=1", body.as_ref()).await;
            let problem = answer.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains("no_such_parameter"), "{problem}");

            for parameter in operation.parameters(&document) {
                let name = parameter["name"].as_str().unwrap();
                if parameter["in"] == "query" {
                    let query = format!("?{name}=1&{name}=1");
                    let answer = operation.ask(&site, &query, body.as_ref()).await;
                    let problem = answer.refused(400, "unreadable-request");
                    assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
                }
            }
        }
    };
    site.unchanged(walk).await;
    site.finish().await;
}

#[tokio::test]
async fn an_idempotency_key_is_refused_where_it_would_be_ignored() {
    let site = Site::open().await;
    let walk = async {
        let takes_it = |id: &str| ["submit_task", "start_bulk"].contains(&id);
        for operation in Operation::all().iter().filter(|one| !takes_it(&one.id)) {
            let call = site.call("root", operation.method.clone(), &operation.path());
            let call = call.header("idempotency-key", "k1");
            let answer = call.json_if(operation.body().as_ref()).send().await;
            let problem = answer.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains("idempotency-key"), "{problem}");
        }
        let task = new_body("faq");
        for name in ["X-Idempotency-Key", "Idempotency_Key", "Idempotent-Key"] {
            let answer = site.call("crew", Method::POST, "/tasks").header(name, "k1");
            let problem = answer.json(&task).send().await.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains("`Idempotency-Key`"), "{problem}");
        }
    };
    site.unchanged(walk).await;
    site.finish().await;
}

#[tokio::test]
async fn a_header_that_counts_once_is_refused_when_it_comes_twice() {
    let site = Site::open().await;
    let task = new_body("faq");
    let twice = async {
        for name in ["x-api-key", "authorization", "idempotency-key", "content-type"] {
            let call = site.call("crew", Method::POST, "/tasks").json(&task);
            let answer = call.header(name, "one").header(name, "two").send().await;
            let problem = answer.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
        }
        let call = site.call("reader", Method::GET, "/events").header("last-event-id", "a");
        call.header("last-event-id", "b").send().await.refused(400, "unreadable-request");
    };
    site.unchanged(twice).await;
    site.finish().await;
}

#[tokio::test]
async fn unknown_name_is_refused_with_the_nearest_known_name() {
    let site = Site::open().await;
    let told = async {
        let task = json!({"type": "faq", "payload": {}, "prioritty": "P1", "sla_taget": "4h"});
        let answer = site.post("crew", "/tasks", &task).await;
        assert_eq!(answer.pointers(), ["/prioritty", "/sla_taget"]);
        let errors = answer.json()["errors"].to_string();
        assert!(errors.contains("did you mean `priority`?"), "{errors}");

        for (path, meant) in [
            ("/tasks?state=failed", "status"),
            ("/tasks?Status=failed", "status"),
            ("/tasks?limt=3", "limit"),
            ("/events?type=task.created", "types"),
            ("/approvals?state=pending", "status"),
            ("/sla/report?group=type", "group_by"),
        ] {
            let call = site.call("root", Method::GET, path).header("accept", "application/json");
            let problem = call.send().await.refused(400, "unreadable-request");
            let hint = format!("did you mean `{meant}`?");
            assert!(problem["detail"].as_str().unwrap().contains(&hint), "{path}: {problem}");
        }
        for query in ["?status=%ff", "?status=%", "?status=%2"] {
            site.get("root", &format!("/tasks{query}")).await.refused(400, "unreadable-request");
        }
    };
    site.unchanged(told).await;
    site.finish().await;
}

#[tokio::test]
async fn one_problem_lists_all_wrong_fields_and_unknown_members() {
    let site = Site::open().await;
    let task = json!({"tpye": "faq", "payload": 1, "priority": "P9"});

    let answer = site.unchanged(site.post("crew", "/tasks", &task)).await;

    assert_eq!(answer.pointers(), ["/payload", "/priority", "/tpye", "/type"]);
    site.finish().await;
}

#[tokio::test]
async fn a_member_that_is_given_twice_is_refused_with_its_place() {
    let site = Site::open().await;
    let twice = async {
        for (path, body, pointer) in [
            ("/tasks", r#"{"type":"faq","type":"deploy","payload":{}}"#, "/type"),
            ("/events/publish", r#"{"event_type":"a.b","payload":{},"payload":{}}"#, "/payload"),
            (
                "/agents/faq_agent/results",
                r#"{"outcomes":[],"claim":{"max":1,"max":2}}"#,
                "/claim/max",
            ),
        ] {
            let call = site.call("crew", Method::POST, path);
            let answer = call.body(body).send().await;
            assert!(answer.pointers().contains(&pointer.to_owned()), "{body}: {answer:?}");
        }
    };
    site.unchanged(twice).await;
    site.finish().await;
}

#[tokio::test]
async fn one_slip_in_a_batch_refuses_its_item_alone() {
    let site = Site::open().await;
    let good = new_body("faq");
    let bad = joined(good.clone(), &json!({"prioritty": "P1"}));

    let answer = site.post("crew", "/tasks/batch", &json!({"tasks": [good, bad, good]})).await;

    let results = answer.accepted(200)["results"].take();
    assert!(results[0]["task"].is_object() && results[2]["task"].is_object(), "{results}");
    assert_eq!(results[1]["problem"]["errors"][0]["pointer"], "/tasks/1/prioritty");
    site.finish().await;
}

#[tokio::test]
async fn old_clients_may_send_more_than_is_read_if_the_operator_says_so() {
    let lenient =
        |http: &mut orchestrator::http::Http| http.unknown_members = UnknownMembers::Ignore;
    let site = Site::told(Fleet::start().await, lenient).await;
    let task = json!({"type": "faq", "payload": {}, "prioritty": "P1"});

    site.post("crew", "/tasks?verbose=1", &task).await.accepted(201);
    site.get("reader", "/tasks?state=failed").await.accepted(200);

    site.get("reader", "/tasks?limit=1&limit=2").await.refused(400, "unreadable-request");
    let call = site.call("crew", Method::POST, "/tasks/batch").header("idempotency-key", "k");
    call.json(&json!({"tasks": [task]})).send().await.refused(400, "unreadable-request");
    site.finish().await;
}
