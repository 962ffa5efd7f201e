//! What every operation refuses in the same way, walked through the document.

use reqwest::Method;
use serde_json::json;

use super::operations::Operation;
use crate::harness::{Site, head, json_of};

/// Larger than any body that is read.
fn too_large() -> Vec<u8> {
    let mut body = br#"{"type": "faq", "payload": {"a": ""#.to_vec();
    body.resize(10 * 1024 * 1024, b'x');
    body.extend(br#""}}"#);
    body
}

#[tokio::test]
async fn an_id_that_nothing_has_is_unknown_and_one_that_is_none_is_unreadable() {
    let site = Site::open().await;
    let by_id =
        || Operation::guarded().into_iter().filter(|operation| operation.template.contains("{id}"));
    assert!(by_id().count() >= 12);

    let refused = async {
        for operation in by_id() {
            let cause = match operation.template.split('/').nth(1) {
                Some("tasks") => "unknown-task",
                Some("bulk") => "unknown-bulk",
                Some("admin") => "unknown-key",
                _ => "unknown-approval",
            };
            operation.call(&site, Some("root")).await.refused(404, cause);
            // A partition that there is not.
            let elsewhere = operation.path_of("019ab3c4-0000-7000-8000-0000771200ff");
            for (path, status) in [
                (elsewhere, 404),
                (operation.path_of("7"), 400),
                (operation.path_of("%C3%A9"), 400),
            ] {
                let call = site.call("root", operation.method.clone(), &path);
                let answer = match operation.body() {
                    Some(body) => call.json(&body).send().await,
                    None => call.send().await,
                };
                answer.refused(status, if status == 404 { cause } else { "unreadable-request" });
                assert!(
                    status == 404 || answer.json()["detail"].as_str().unwrap().contains("`id`"),
                    "{answer:?}"
                );
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn unknown_agent_is_not_found_and_a_bad_agent_name_is_unreadable() {
    let site = Site::open().await;

    let refused = async {
        for (method, path) in
            [(Method::GET, ""), (Method::POST, "/pause"), (Method::POST, "/resume")]
        {
            let unknown = site
                .call("root", method.clone(), &format!("/agents/unknown_agent{path}"))
                .send()
                .await;
            let problem = unknown.refused(404, "unknown-agent");
            assert!(problem["detail"].as_str().unwrap().contains("dev_agent"), "{unknown:?}");
            let bad = site.call("root", method, &format!("/agents/No%20Body{path}")).send().await;
            bad.refused(400, "unreadable-request");
        }
        for path in ["claim", "results"] {
            let bad = site
                .post("crew", &format!("/agents/No%20Body/{path}"), &json!({"worker": "w1"}))
                .await;
            bad.refused(400, "unreadable-request");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_by_every_operation_that_takes_one() {
    let site = Site::open().await;
    let taking = || Operation::all().into_iter().filter(|operation| operation.takes_body);
    assert!(taking().count() >= 12);

    let refused = async {
        for operation in taking() {
            let call = || site.call("root", operation.method.clone(), &operation.path());
            call().body("{\"a\":").send().await.refused(400, "unreadable-request");
            call()
                .body(b"{\"a\": \"\xff\xfe\"}".to_vec())
                .send()
                .await
                .refused(400, "unreadable-request");
            assert_eq!(call().body("[]").send().await.pointers(), [""], "{}", operation.id);
            assert_eq!(call().body("\"text\"").send().await.pointers(), [""], "{}", operation.id);
            for content_type in
                ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
            {
                call()
                    .of_type(content_type, "{}")
                    .send()
                    .await
                    .refused(415, "unsupported-media-type");
            }
            if operation.needs_body {
                call().send().await.refused(415, "unsupported-media-type");
                call().body("").send().await.refused(400, "unreadable-request");
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_every_operation_that_takes_one() {
    let site = Site::open().await;
    let body = too_large();

    let refused = async {
        for operation in Operation::all().into_iter().filter(|operation| operation.takes_body) {
            // Over a connection of its own: the gateway need not read to the end of what it refuses.
            let (method, path) = (&operation.method, operation.path());
            let lines = json_of(body.len()) + "connection: close\r\n";
            let head = head(&format!("{method} {path}"), "root", &lines);
            let answer = site.raw(&[head.as_bytes(), &body].concat()).await;
            answer.refused(413, "body-too-large");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused_with_those_that_it_does() {
    let site = Site::open().await;
    let operations = Operation::all();
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    for operation in &operations {
        let same_path = || operations.iter().filter(|other| other.template == operation.template);
        for method in &methods {
            if same_path().any(|other| other.method == *method) {
                continue;
            }
            let answer = site.call("root", method.clone(), &operation.path()).send().await;
            answer.refused(405, "method-not-allowed");
            let allow: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
            assert!(same_path().all(|other| allow.contains(&other.method.as_str())), "{answer:?}");
            assert!(!allow.contains(&method.as_str()), "{answer:?}");
        }
    }
    for path in ["/nothing", "/tasks/", "/tasks/a/b/c", "//", "/Tasks"] {
        site.get("root", path).await.refused(404, "not-found");
    }
    site.finish().await;
}
