//! The forms of events, and requests that are refused.

use serde_json::Value;

use crate::harness::{Site, json, number};

/// Names and values.
type Headers<'h> = &'h [(&'h str, &'h str)];

fn assert_is_cloud_event(event: &Value) {
    assert_eq!(
        (&event["specversion"], &event["datacontenttype"]),
        (&"1.0".into(), &"application/json".into())
    );
    assert_eq!(event["source"], "/orchestrator/alice");
    assert_eq!(event["type"], event["data"]["event_type"]);
    assert_eq!(event["time"], event["data"]["timestamp"]);
    assert_eq!(event["id"], event["data"]["event_id"]);
    assert!(event["id"].is_string() && event["time"].is_string() && event["type"].is_string());
    let known = [
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "datacontenttype",
        "subject",
        "traceparent",
        "data",
    ];
    assert!(
        event
            .as_object()
            .unwrap()
            .iter()
            .all(|(name, value)| known.contains(&name.as_str()) && !value.is_null())
    );
}

#[tokio::test]
async fn cloud_events_come_in_a_page_and_in_a_stream() {
    let site = Site::open().await;
    site.publish("pr.merged", 1).await;

    let response = site.events("", &[("accept", "application/cloudevents+json")]).await;
    assert_eq!(response.headers()["content-type"], "application/cloudevents+json");
    let page: Value = response.json().await.unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_is_cloud_event(&page["items"][0]);

    let both = [("accept", "text/event-stream, application/cloudevents+json")];
    let mut reader = site.stream("?after=0-0-0", &both).await;
    let event = reader.next().await;
    assert_eq!(event.event, "pr.merged");
    assert_is_cloud_event(&event.json());
    assert_eq!(number(&event.json()["data"]), 1);
    site.finish().await;
}

#[tokio::test]
async fn an_item_of_a_page_is_the_event_byte_for_byte() {
    let site = Site::open().await;
    let payload = r#"{"z" : [ ], "big":12345678901234567890123, "a":1.0,"u":"\u00e9"}"#;
    site.publish_with("kb.updated", |event| event.payload = json(payload)).await;

    let page = site.events("", &[("accept", "application/json")]).await.text().await.unwrap();
    let streamed = site.stream("?after=0-0-0", &[]).await.next().await.data;

    assert!(page.contains(&format!(r#""payload":{payload},"#)), "{page}");
    assert!(page.contains(&streamed), "{page} {streamed}");
    site.finish().await;
}

#[tokio::test]
async fn a_wrong_parameter_is_refused_by_name() {
    let site = Site::open().await;
    let json = ("accept", "application/json");
    let cases: [(&str, Headers, &str); 11] = [
        ("?types=deploy", &[], "`types`"),
        ("?types=deploy.*,,pr.merged", &[json], "`types`"),
        ("?task_id=7", &[], "`task_id`"),
        ("?source=", &[], "`source`"),
        ("?limit=0", &[json], "`limit`"),
        ("?limit=201", &[json], "`limit`"),
        ("?after=yesterday", &[], "`after`"),
        ("?after=yesterday", &[json], "`after`"),
        ("?after=0-0-0.0-0-0", &[], "`after`"),
        ("", &[("last-event-id", "yesterday"), json], "`Last-Event-ID`"),
        // A task's id is not the id of an event.
        ("?after=019ab3c4-7d2e-7abc-8000-0000000000a0", &[], "`after`"),
    ];

    for (query, headers, named) in cases {
        let response = site.events(query, headers).await;
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(named), "{query}: {problem}");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_form_that_there_is_not_is_refused_with_those_that_there_are() {
    let site = Site::open().await;

    let response = site.events("", &[("accept", "text/html, application/xml")]).await;

    assert_eq!(response.status(), 406);
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("text/event-stream"), "{problem}");
    assert_eq!(problem["type"], "urn:orchestrator:problem:not-acceptable");
    assert_eq!(site.events("", &[("authorization", "Bearer none")]).await.status(), 401);
    site.finish().await;
}
