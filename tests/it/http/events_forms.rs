//! The forms of events, and requests that are refused.

use serde_json::Value;

use crate::harness::{Site, json, number, within};

/// The media type of a page of CloudEvents.
const BATCH: &str = "application/cloudevents-batch+json";

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

    let response = site.events("", &[("accept", BATCH)]).await;
    assert_eq!(response.headers()["content-type"], BATCH);
    let page: Value = response.json().await.unwrap();
    assert_eq!(page.as_array().unwrap().len(), 1);
    assert_is_cloud_event(&page[0]);

    for accept in [
        "application/cloudevents+json",
        "text/event-stream, application/cloudevents+json",
        "*/*;q=0.1, application/cloudevents+json;q=0.2",
    ] {
        let mut reader = site.stream("?after=start", &[("accept", accept)]).await;
        assert_eq!(reader.response.headers()["content-type"], "text/event-stream");
        let event = reader.next().await;
        assert_eq!(event.event, "pr.merged");
        assert_is_cloud_event(&event.json());
        assert_eq!(number(&event.json()["data"]), 1);
    }
    site.finish().await;
}

#[tokio::test]
async fn pages_of_cloud_events_continue_by_the_link() {
    let site = Site::open().await;
    for number in 0..5 {
        site.publish("pr.merged", number).await;
        site.publish("kb.updated", number).await;
    }

    let (mut numbers, mut next) = (Vec::new(), "?limit=2&types=pr.*".to_owned());
    loop {
        let response = site.events(&next, &[("accept", BATCH)]).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let link = header("link");
        let path = link.strip_prefix("</events").unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        let has_more = header("x-has-more");
        assert_eq!(header("x-has-gap"), "false");
        next = path.to_owned();
        let page: Vec<Value> = response.json().await.unwrap();
        numbers.extend(page.iter().map(|event| number(&event["data"])));
        if has_more == "false" {
            break;
        }
    }

    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    site.finish().await;
}

#[tokio::test]
async fn events_stream_by_accept_is_the_same_stream() {
    let site = Site::open().await;
    site.publish("pr.merged", 1).await;

    let mut by_accept = site.stream_of_events("?after=start").await;
    let mut by_path = site.stream("?after=start", &[]).await;

    assert_eq!(by_accept.next().await, by_path.next().await);
    site.finish().await;
}

#[tokio::test]
async fn long_poll_of_events_ends_with_the_first_match() {
    let site = Site::open().await;
    site.publish("kb.updated", 0).await;
    let end = site.page("").await["next_cursor"].as_str().unwrap().to_owned();
    let query = format!("?types=pr.merged&wait_ms=60000&after={end}");

    let poll = site.page(&query);
    let publish = async {
        site.publish("kb.updated", 1).await;
        site.publish("pr.merged", 2).await;
    };
    let (page, ()) = tokio::join!(within("the end of a long-poll", poll), publish);

    assert_eq!(page["items"].as_array().unwrap().iter().map(number).collect::<Vec<_>>(), [2]);
    site.finish().await;
}

#[tokio::test]
async fn long_poll_without_a_match_moves_its_cursor_on() {
    let site = Site::open().await;
    let end = site.page("").await["next_cursor"].as_str().unwrap().to_owned();
    let query = format!("?types=pr.merged&wait_ms=50&after={end}");
    site.publish("kb.updated", 0).await;

    let page = site.page(&query).await;

    assert_eq!((&page["items"], &page["has_more"]), (&Value::Array(Vec::new()), &false.into()));
    let next = page["next_cursor"].as_str().unwrap();
    let rest = site.page(&format!("?after={next}")).await;
    assert_eq!(rest["items"], Value::Array(Vec::new()));
    site.finish().await;
}

#[tokio::test]
async fn an_item_of_a_page_is_the_event_byte_for_byte() {
    let site = Site::open().await;
    let payload = r#"{"z" : [ ], "big":12345678901234567890123, "a":1.0,"u":"\u00e9"}"#;
    site.publish_with("kb.updated", |event| event.payload = json(payload)).await;

    let page = site.events("", &[]).await.text().await.unwrap();
    let streamed = site.stream("?after=0-0-0", &[]).await.next().await.data;

    assert!(page.contains(&format!(r#""payload":{payload},"#)), "{page}");
    assert!(page.contains(&streamed), "{page} {streamed}");
    site.finish().await;
}

#[tokio::test]
async fn a_wrong_parameter_is_refused_by_name() {
    let site = Site::open().await;
    let sse = ("accept", "text/event-stream");
    let cases: [(&str, Headers, &str); 12] = [
        ("?types=deploy", &[], "`types`"),
        ("?types=deploy.*,,pr.merged", &[sse], "`types`"),
        ("?task_id=7", &[], "`task_id`"),
        ("?source=", &[], "`source`"),
        ("?limit=0", &[], "`limit`"),
        ("?limit=201", &[], "`limit`"),
        ("?wait_ms=60001", &[], "`wait_ms`"),
        ("?after=yesterday", &[], "`after`"),
        ("?after=yesterday", &[sse], "`after`"),
        ("?after=0-0-0.0-0-0", &[], "`after`"),
        ("", &[("last-event-id", "yesterday")], "`Last-Event-ID`"),
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
    let call = site.anonymous(reqwest::Method::GET, "/events");
    call.header("authorization", "Bearer none").send().await.refused(401, "unauthenticated");
    site.finish().await;
}
