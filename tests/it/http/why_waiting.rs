//! A task says itself what it waits for.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Site, id_of, new_body, report_on};

async fn why(site: &Site, task: &Value) -> Value {
    let path = format!("/tasks/{}", id_of(task));
    site.get("reader", &path).await.accepted(200)["why_waiting"].clone()
}

#[tokio::test]
async fn an_open_task_says_what_it_waits_for_and_behind_how_many() {
    let site = Site::open().await;
    let plain = new_body("faq");

    let gated = site.post("crew", "/tasks", &new_body("deploy")).await.accepted(201);
    let reason = why(&site, &gated).await;
    assert_eq!(
        (&reason["reason"], &reason["approval_id"]),
        (&json!("approval"), &gated["approval_id"])
    );
    assert!(
        reason["until"].is_string()
            && reason["detail"].as_str().unwrap().contains("whose role may decide"),
        "{reason}"
    );

    let later = site.submit(&json!({"type": "faq", "payload": {}, "delay_ms": 60_000})).await;
    let reason = why(&site, &later).await;
    assert_eq!((&reason["reason"], &reason["until"]), (&json!("start"), &later["scheduled_for"]));

    let (_, second) = (site.submit(&plain).await, site.submit(&plain).await);
    let reason = why(&site, &second).await;
    assert_eq!((&reason["reason"], &reason["ahead"]), (&json!("router"), &json!(1)));

    site.fleet.route().await;
    let reason = why(&site, &second).await;
    assert_eq!(
        (&reason["reason"], &reason["agent"], &reason["ahead"]),
        (&json!("agent_absent"), &json!("faq_agent"), &json!(1))
    );
    let held = site.claim_one("faq_agent").await;
    let reason = why(&site, &second).await;
    assert_eq!((&reason["reason"], &reason["ahead"]), (&json!("agent_busy"), &json!(0)));
    site.call("root", Method::POST, "/agents/faq_agent/pause").send().await.accepted(200);
    assert_eq!(why(&site, &second).await["reason"], "agent_paused");
    assert!(why(&site, &held["task"]).await.is_null(), "it is at work");
    site.finish().await;
}

#[tokio::test]
async fn a_task_that_was_tried_or_whose_agent_asked_says_so() {
    let site = Site::open().await;
    let (id, held) = site.hold().await;
    let path = |verb: &str| format!("/tasks/{id}/{verb}");

    site.post("crew", &path("fail"), &report_on(&held, json!({"error": "x"}))).await.accepted(200);
    assert_eq!(why(&site, &held["task"]).await["reason"], "retry");

    site.fleet.advance(Duration::from_secs(60));
    site.fleet.engine.promote().await.unwrap();
    let again = site.claim_one("faq_agent").await;
    let asked = site
        .post("crew", &path("approval"), &report_on(&again, json!({"reason": "may I?"})))
        .await
        .accepted(201);
    let reason = why(&site, &held["task"]).await;
    assert_eq!(
        (&reason["reason"], &reason["approval_id"]),
        (&json!("answer"), &asked["approval_id"])
    );
    site.finish().await;
}
