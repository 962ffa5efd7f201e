//! The title of a task: what it is about, wherever people look at it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Site;

/// A title whose words, marks and letters each form of the store has to keep.
const TITLE: &str = "Deploy \"checkout\" 2.14 \\u0020 – für alle 🚀";

fn deploy(title: &Value) -> Value {
    json!({"type": "deploy", "payload": {"environment": "production"}, "title": title})
}

#[tokio::test]
async fn a_title_stands_on_task_lists_approvals_and_events() {
    let site = Site::open().await;
    let task = site.submit(&deploy(&json!(TITLE))).await;
    let id = task["task_id"].as_str().unwrap();

    let read = site.get("crew", &format!("/tasks/{id}")).await.accepted(200);
    let tasks = site.get("crew", "/tasks").await.accepted(200);
    let approvals = site.get("judge", "/approvals").await.accepted(200);
    for shown in [&task, &read, &tasks["items"][0], &approvals["items"][0], &read["approval"]] {
        assert_eq!((&shown["title"], &shown["type"]), (&json!(TITLE), &json!("deploy")), "{shown}");
    }

    site.post(
        "judge",
        &format!("/approvals/{}/approve", read["approval_id"].as_str().unwrap()),
        &json!({}),
    )
    .await
    .accepted(200);
    let events = events(&site, &format!("/events?task_id={id}")).await;
    let items = events["items"].as_array().unwrap();
    assert!(items.len() >= 3, "{events}");
    for event in items {
        assert_eq!(event["payload"]["title"], TITLE, "{event}");
    }
    site.finish().await;
}

async fn events(site: &Site, path: &str) -> Value {
    let call = site.call("crew", Method::GET, path).header("accept", "application/json");
    call.send().await.accepted(200)
}

#[tokio::test]
async fn a_task_without_a_title_has_none_anywhere() {
    let site = Site::open().await;
    let task = site.submit(&json!({"type": "deploy", "payload": {}})).await;

    let approvals = site.get("judge", "/approvals").await.accepted(200);
    assert!(task["title"].is_null() && approvals["items"][0]["title"].is_null(), "{approvals}");
    let events = events(&site, "/events").await;
    let payload = &events["items"][0]["payload"];
    assert!(payload.is_object() && payload.get("title").is_none(), "{events}");
    site.finish().await;
}

#[tokio::test]
async fn a_title_has_1_to_200_characters() {
    let site = Site::open().await;
    for title in ["x".repeat(200), "é".repeat(200), "🚀".repeat(200)] {
        let task = site.submit(&deploy(&json!(title))).await;
        assert_eq!(task["title"], title);
    }
    for title in [json!(""), json!("x".repeat(201)), json!("\u{1}".repeat(200)), json!(7)] {
        let answer = site.post("crew", "/tasks", &deploy(&title)).await;
        answer.refused(422, "invalid-fields");
        assert_eq!(answer.pointers(), ["/title"]);
    }
    site.finish().await;
}
