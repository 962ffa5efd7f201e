//! Every time that a request can carry, as the document lists them, and every time that an answer shows.

use orchestrator::domain::time;
use orchestrator::http::openapi;
use serde_json::{Value, json};

use crate::harness::{Site, new_body};

use super::operations::{Operation, joined, pointers};

/// What a reader that is lenient in one way or another would take.
#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    "0000-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
    "2126-01-01T00:00:00Z", "2125-12-31T23:59:59-00:01", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z",
    "+10000-01-01T00:00:00Z", "-2026-01-01T00:00:00Z", "9999999-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T25:00:00Z", "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01", "2026-01-01T00:00Z", "20260101T000000Z",
    "2026-01-01T00:00:00.1234567890123456789012345678901234567890Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00\u{2212}01:00",
    "1764000000", "1764000000000", "1e9", "now", "", " ", "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00Z\0",
    "\u{662}026-01-01T00:00:00Z", "2026-01-01T00:00:00Z[Europe/Berlin]", "Thu, 01 Jan 2026 00:00:00 GMT",
];

/// Each place for a time in what a schema describes, as a pointer and a value that has `given` there.
fn places(document: &Value, schema: &Value, given: &Value) -> Vec<(String, Value)> {
    let target = schema["$ref"].as_str().or_else(|| schema["oneOf"][0]["$ref"].as_str());
    if let Some(target) = target {
        return places(document, document.pointer(target.trim_start_matches('#')).unwrap(), given);
    }
    if schema["format"] == "date-time" {
        return vec![(String::new(), given.clone())];
    }
    let items = places_of_items(document, &schema["items"], given).into_iter();
    let members = schema["properties"].as_object().into_iter().flatten();
    let members = members.flat_map(|(name, inner)| {
        let inner = places(document, inner, given).into_iter();
        inner.map(move |(pointer, value)| (format!("/{name}{pointer}"), json!({ name: value })))
    });
    items.chain(members).collect()
}

fn places_of_items(document: &Value, schema: &Value, given: &Value) -> Vec<(String, Value)> {
    if !schema.is_object() {
        return Vec::new();
    }
    let inner = places(document, schema, given).into_iter();
    inner.map(|(pointer, value)| (format!("/0{pointer}"), json!([value]))).collect()
}

#[tokio::test]
async fn a_hostile_time_is_refused_by_name_in_every_member_that_takes_one() {
    let site = Site::open().await;
    let document = openapi::document();
    let mut members = 0;
    let walk = async {
        for operation in Operation::all().iter().filter(|operation| operation.takes_body) {
            let schema = operation.schema(&document);
            let numbers = [json!(1_764_000_000), json!(1.5), json!(true), json!([])];
            let times = HOSTILE.iter().map(|time| json!(time)).chain(numbers);
            for (pointer, value) in times.flat_map(|time| places(&document, &schema, &time)) {
                let body = joined(operation.body().unwrap_or_default(), &value);
                let answer = operation.ask(&site, "", Some(&body)).await;
                assert_eq!(pointers(&answer), [pointer], "{} {body}: {answer:?}", operation.id);
                members += 1;
            }
        }
    };
    site.unchanged(walk).await;
    assert!(members >= 9 * HOSTILE.len(), "{members} were tried");
    site.finish().await;
}

#[tokio::test]
async fn a_hostile_time_is_refused_in_every_parameter_that_takes_one() {
    let site = Site::open().await;
    let document = openapi::document();
    let mut tried = 0;
    let walk = async {
        for operation in Operation::all() {
            let parameters = operation.parameters(&document);
            for parameter in parameters.iter().filter(|one| one["schema"]["format"] == "date-time")
            {
                let name = parameter["name"].as_str().unwrap();
                for time in HOSTILE {
                    let time: String = time.bytes().map(|byte| format!("%{byte:02X}")).collect();
                    let answer = operation.ask(&site, &format!("?{name}={time}"), None).await;
                    let problem = answer.refused(400, "unreadable-request");
                    assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
                    tried += 1;
                }
            }
        }
    };
    site.unchanged(walk).await;
    assert!(tried >= 2 * HOSTILE.len(), "{tried} were tried");
    site.finish().await;
}

/// Every text in `value` that looks like a time, with where it stands.
fn times_in(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            let has = |nth: usize, byte: u8| text.as_bytes().get(nth) == Some(&byte);
            let is_time = (8..14).any(|nth| has(nth, b'T') && has(nth + 3, b':'));
            found.extend(is_time.then(|| (place.to_owned(), text.clone())));
        }
        Value::Array(items) => items.iter().for_each(|item| times_in(item, place, found)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| times_in(value, &format!("{place}/{name}"), found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_time_in_an_answer_is_rfc_3339_in_utc() {
    let site = Site::open().await;
    let task = json!({
        "type": "faq", "payload": {}, "run_at": "2126-01-01T13:59:59.999999999+14:00",
        "sla_deadline": "2125-12-31T23:59:59.999z", "sla_start_deadline": "2125-12-31t10:00:00-13:59",
    });
    let task = site.submit(&task).await;
    let gated = site.submit(&new_body("deploy")).await;
    site.hold().await;
    let late = "/sla/report?to=2125-12-31T23:59:59.999Z&from=2125-12-31T00:00:00%2B00:00";
    let late = site.get("root", late).await.accepted(200);
    let mut answers = vec![("late report".to_owned(), late)];
    for operation in Operation::all().into_iter().filter(|one| one.method == "GET") {
        let id = if operation.template.contains("approvals") { "approval_id" } else { "task_id" };
        let path = operation.path_of(gated[id].as_str().unwrap());
        let call = site.call("root", operation.method.clone(), &path);
        let answer = call.header("accept", "application/json").send().await;
        answers.extend(serde_json::from_str(&answer.body).ok().map(|json| (operation.id, json)));
    }
    answers.push(("submitted".to_owned(), task.clone()));

    let mut found = Vec::new();
    for (operation, answer) in answers.iter().filter(|(id, _)| !id.contains("openapi")) {
        times_in(answer, operation, &mut found);
    }

    for (place, text) in &found {
        // What follows from a time that a client named may lie after the last that one can name.
        let read = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        assert_eq!(time::written(read.try_into().unwrap()), *text, "{place}");
    }
    assert!(found.len() > 40, "{found:?}");
    assert_eq!(task["scheduled_for"], "2125-12-31T23:59:59.999Z");
    assert_eq!(task["sla"]["start_deadline"], "2125-12-31T23:59:00.000Z");
    site.finish().await;
}
