//! Hostile bodies: the gateway always answers with a problem, never with a fault of its own, and
//! stores nothing.

use reqwest::Method;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::harness::{Answer, Site, key, new_body};

/// A refusal of the request, in the form of every other.
#[track_caller]
fn is_a_refusal(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    answer.problem();
}

/// Bodies that are wrong for every operation that needs one.
fn bodies() -> Vec<(String, Vec<u8>)> {
    let mut bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", b"".to_vec()),
        ("blank", b" \r\n\t".to_vec()),
        ("NUL", b"\0".to_vec()),
        ("an object of NUL", b"{\"type\0\": 1}".to_vec()),
        ("a raw control byte in a string", b"{\"type\": \"a\x01\"}".to_vec()),
        ("not UTF-8", b"{\"type\": \"\xc3\x28\"}".to_vec()),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("a lone surrogate", br#"{"type": "\ud800"}"#.to_vec()),
        ("cut off", br#"{"type": "faq", "payload": {"#.to_vec()),
        ("two values", b"{} {}".to_vec()),
        ("a trailing comma", br#"{"type": "faq",}"#.to_vec()),
        ("a comment", b"{} // {}".to_vec()),
        ("NaN", br#"{"attempt": NaN, "type": NaN}"#.to_vec()),
        ("single quotes", b"{'type': 'faq'}".to_vec()),
        ("a form", b"type=faq&payload=%7B%7D".to_vec()),
        ("XML", b"<task/>".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"1".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("a list", b"[{}]".to_vec()),
        ("a huge number", format!("{{\"attempt\": {}}}", "9".repeat(10_000)).into_bytes()),
        ("a list as deep as it gets", "[".repeat(100_000).into_bytes()),
        ("objects as deep as they get", "{\"a\":".repeat(100_000).into_bytes()),
        (
            "deep and closed",
            format!("{{\"type\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
        ),
        ("a long key", format!("{{\"{}\": 1", "k".repeat(1_000_000)).into_bytes()),
    ];
    bodies.push((
        "numbers everywhere",
        br#"{"type":1,"payload":1,"tasks":1,"worker":1,"attempt":"1","outcomes":1,"event_type":1}"#
            .to_vec(),
    ));
    bodies.push((
        "strings where objects belong",
        br#"{"type":"faq","payload":"{}","tasks":"[]","worker":"a b","attempt":"","outcomes":"","event_type":""}"#
            .to_vec(),
    ));
    bodies.push((
        "objects where strings belong",
        br#"{"type":{},"payload":{},"tasks":{},"worker":{},"attempt":{},"outcomes":{},"event_type":{}}"#.to_vec(),
    ));
    bodies.push((
        "huge exponents",
        br#"{"type":"faq","payload":1e99999,"tasks":1e9,"worker":1e9,"outcomes":-1e400,"attempt":1e400,"event_type":0}"#
            .to_vec(),
    ));
    bodies.into_iter().map(|(name, body)| (name.to_owned(), body)).collect()
}

#[tokio::test]
async fn no_body_brings_an_operation_down_or_is_taken_for_another() {
    let site = Site::open().await;
    let operations: Vec<_> =
        Operation::all().into_iter().filter(|operation| operation.needs_body).collect();

    let refused = async {
        for operation in &operations {
            for (what, body) in bodies() {
                let call = site.call("root", operation.method.clone(), &operation.path());
                is_a_refusal(&call.body(body).send().await, &format!("{}: {what}", operation.id));
            }
        }
    };
    site.unchanged(refused).await;
    site.submit(&new_body("faq")).await;
    site.finish().await;
}

#[tokio::test]
async fn fields_that_come_twice_are_refused_or_mean_one_thing() {
    let site = Site::open().await;
    let twice = r#"{"type": "faq", "type": "deploy", "payload": {}}"#;

    let answer = site.unchanged(site.call("crew", Method::POST, "/tasks").body(twice).send()).await;

    is_a_refusal(&answer, "a field that comes twice");
    site.finish().await;
}

#[tokio::test]
async fn hostile_texts_in_fields_are_kept_as_they_are_or_refused() {
    let site = Site::open().await;
    let texts = [
        "\0",
        "\u{7f}",
        "\u{202e}abc",
        "\u{feff}",
        "'; DROP TABLE tasks; --",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "../../etc",
        "\r\nX-Injected: 1",
        &key("events"),
        "*",
        "]]--",
        "\"}]",
        "😀",
    ];

    for text in texts {
        for name in ["type", "source", "priority", "parent_task_id", "trace_id", "run_at"] {
            let mut body = new_body("faq");
            body[name] = json!(text);
            let answer = site.unchanged(site.post("crew", "/tasks", &body)).await;
            assert_eq!(answer.pointers(), [format!("/{name}")], "{text:?}");
        }
        let body = json!({"type": "faq", "payload": {text: text}, "metadata": {text: [text]}, "sla_target": text,
            "sla_deadline": "2100-01-01T00:00:00Z"});
        let task = site.submit(&body).await;
        assert_eq!((&task["payload"], &task["metadata"]), (&body["payload"], &body["metadata"]));
        assert_eq!(task["sla"]["target"], text);
        let id = task["task_id"].as_str().unwrap();
        let cancelled = site
            .post("crew", &format!("/tasks/{id}/cancel"), &json!({"reason": text}))
            .await
            .accepted(200);
        assert_eq!(cancelled["error"], text);
        let timeline = site.get("reader", &format!("/tasks/{id}/events")).await.accepted(200);
        assert_eq!(timeline["items"][1]["reason"], text, "{timeline}");
        let event = json!({"event_type": "deploy.started", "payload": {text: text}, "metadata": {text: text}});
        site.post("crew", "/events/publish", &event).await.accepted(202);
    }
    let events = site.fleet.events().await;
    assert!(events.iter().all(|event| event.body["event_type"].is_string()));
    site.finish().await;
}

#[tokio::test]
async fn numbers_at_and_beyond_every_bound_are_refused_by_name() {
    let site = Site::open().await;
    let wrong = [
        "-1",
        "1.5",
        "1e2",
        "18446744073709551616",
        "99999999999999999999999999",
        "-0.0",
        "\"5\"",
        "true",
        "[]",
        "{}",
    ];

    let refused = async {
        for name in ["delay_ms", "max_retries", "timeout_ms", "alert_threshold"] {
            for number in wrong {
                let body = format!(r#"{{"type": "faq", "payload": {{}}, "{name}": {number}}}"#);
                let answer = site.call("crew", Method::POST, "/tasks").body(body).send().await;
                assert_eq!(answer.pointers(), [format!("/{name}")], "{number}");
            }
        }
        for number in wrong {
            let body = format!(r#"{{"attempt": {number}, "lease": "x"}}"#);
            let path = "/tasks/019ab3c4-0000-7000-8000-000077120000/complete";
            let answer = site.call("crew", Method::POST, path).body(body).send().await;
            assert_eq!(answer.pointers(), ["/attempt"], "{number}");
        }
        for (name, number) in [
            ("delay_ms", 31_536_000_001u64),
            ("max_retries", 101),
            ("timeout_ms", 604_800_001),
            ("alert_threshold", 0),
        ] {
            let mut body = new_body("faq");
            body[name] = json!(number);
            assert_eq!(site.post("crew", "/tasks", &body).await.pointers(), [format!("/{name}")]);
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_time_beyond_the_calendar_is_refused_by_name() {
    let site = Site::open().await;

    let refused = async {
        for time in [
            "",
            "0000-00-00T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "9999999-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01",
            "1764000000",
            "2026-01-01T00:00:00+99:99",
            "2026-01-01T25:00:00Z",
            "-2026-01-01T00:00:00Z",
        ] {
            for name in ["run_at", "sla_deadline"] {
                let mut body = new_body("faq");
                body[name] = json!(time);
                assert_eq!(
                    site.post("crew", "/tasks", &body).await.pointers(),
                    [format!("/{name}")],
                    "{time}"
                );
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_mixed_batch_of_hostile_items_refuses_each_of_them_alone() {
    let site = Site::open().await;
    let good = r#"{"type":"faq","payload":{}}"#;
    let deep =
        format!(r#"{{"type":"faq","payload":{{"a":{}{}}}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let items = [
        good,
        "null",
        "[]",
        "\"\\u0000\"",
        "1e400",
        r#"{"type":"faq"}"#,
        &deep,
        r#"{"payload":{}}"#,
        good,
    ];
    let body = format!(r#"{{"tasks":[{}]}}"#, items.join(","));

    let answer =
        site.call("crew", Method::POST, "/tasks/batch").body(body).send().await.accepted(200);

    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> =
        results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 422, 422, 422, 422, 422, 422, 201], "{answer}");
    for (nth, result) in results.iter().enumerate().filter(|(_, result)| result["status"] == 422) {
        let pointer = result["problem"]["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with(&format!("/tasks/{nth}")), "{result}");
        assert_eq!(result["task"], Value::Null);
    }
    site.finish().await;
}
