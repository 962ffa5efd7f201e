//! How large a request may be, and how large its answer is.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Site;

/// A body whose list `name` has this many items.
fn list_of(name: &str, item: &str, count: usize) -> String {
    format!(r#"{{"{name}": [{}]}}"#, vec![item; count].join(","))
}

#[tokio::test]
async fn three_million_empty_outcomes_are_one_fault() {
    let site = Site::open().await;

    for (path, name, most) in [
        ("/agents/faq_agent/results", "outcomes", 1_000),
        ("/tasks/batch", "tasks", 1_000),
        ("/approvals/decide", "decisions", 100),
    ] {
        for (item, count) in [("{}", 3_000_000), ("null", 10_000), ("[[]]", 10_000)] {
            let body = list_of(name, item, count);
            let call = site.call("root", Method::POST, path).body(body);
            let answer = site.unchanged(call.send()).await;

            assert!(answer.body.len() < 1_000, "{path}: {}", answer.body.len());
            if answer.status != 413 {
                assert_eq!(answer.pointers(), [format!("/{name}")], "{answer:?}");
            }
        }
        let longest = list_of(name, "{}", most + 1);
        let answer = site.call("root", Method::POST, path).body(longest).send().await;
        let problem = answer.refused(422, "invalid-fields");
        assert_eq!(problem["errors"][0]["detail"], format!("must have at most {most} items"));
    }
    site.finish().await;
}

#[tokio::test]
async fn a_list_of_faulty_items_is_told_of_a_hundred_faults() {
    let site = Site::open().await;
    let faults_of = |problem: &Value| problem["errors"].as_array().map_or(0, Vec::len);

    let outcomes = list_of("outcomes", "{}", 1_000);
    let call = site.call("crew", Method::POST, "/agents/faq_agent/results").body(outcomes);
    let problem = call.send().await.refused(422, "invalid-fields");
    assert_eq!(faults_of(&problem), 101, "{problem}");
    assert_eq!(problem["errors"][100]["detail"], "has 3900 more faults");

    let batch = list_of("tasks", "{}", 1_000);
    let answer = site.call("crew", Method::POST, "/tasks/batch").body(batch).send().await;
    let results = answer.accepted(200)["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 1_000);
    assert!(results.iter().all(|result| result["status"] == 422));
    let faults: usize = results.iter().map(|result| faults_of(&result["problem"])).sum();
    assert_eq!(faults, 100);
    assert!(answer.body.len() < 400_000, "{}", answer.body.len());
    site.finish().await;
}

/// Texts of as many characters as are allowed, each of which takes many bytes where it is kept.
fn heavy_texts(chars: usize) -> [String; 4] {
    ["\u{1}", "\u{7f}", "😀", "\""].map(|character| character.repeat(chars))
}

/// How many bytes of a task stand in this hash.
async fn kept(site: &Site, hash: &str, id: &str) -> usize {
    site.fleet.redis.ask(&["HSTRLEN", &format!("orchestrator:{{0}}:{hash}"), id]).await
}

#[tokio::test]
async fn a_reason_is_refused_where_it_is_too_large_as_it_is_kept() {
    let site = Site::open().await;
    for (text, is_taken) in [
        ("x".repeat(1_000), true),
        ("😀".repeat(1_000), true),
        ("\u{1}".repeat(682), true),
        ("\u{1}".repeat(683), false),
        ("\u{7f}".repeat(683), false),
        ("x".repeat(1_001), false),
    ] {
        let task = site.submit(&json!({"type": "deploy", "payload": {}})).await;
        let approval = task["approval_id"].as_str().unwrap();
        let path = format!("/approvals/{approval}/reject");
        let answer = site.post("judge", &path, &json!({"reason": text})).await;
        if is_taken {
            assert_eq!(answer.accepted(200)["comment"], text);
        } else {
            assert_eq!(answer.pointers(), ["/reason"]);
            let detail = &answer.json()["errors"][0]["detail"];
            assert!(
                detail.as_str().unwrap().contains("must have 1 to 1000 characters"),
                "{detail}"
            );
        }
    }
    for text in heavy_texts(64) {
        let body = json!({"type": "faq", "payload": {}, "sla_target": text});
        let is_heavy = text.len() * if text.starts_with('😀') { 1 } else { 6 } > 256;
        let answer = site.post("crew", "/tasks", &body).await;
        if is_heavy && !text.starts_with('"') {
            assert_eq!(answer.pointers(), ["/sla_target"], "{text:?}");
        } else {
            assert_eq!(answer.accepted(201)["sla"]["target"], text);
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn an_error_that_is_too_large_is_cut_and_its_report_gets_through() {
    let site = Site::without_approvals().await;
    for text in heavy_texts(20_000) {
        let task = site.submit(&json!({"type": "faq", "payload": {}, "max_retries": 0})).await;
        let id = task["task_id"].as_str().unwrap();
        let held = site.claim_one("faq_agent").await;

        let progress = json!({"percent": 1, "message": text});
        let heartbeat = json!({"attempt": 1, "lease": held["lease"], "progress": progress});
        site.post("crew", &format!("/tasks/{id}/heartbeat"), &heartbeat).await.accepted(200);
        assert!(kept(&site, "progress", id).await < 2_048 + 100);
        let report = json!({"attempt": 1, "lease": held["lease"], "error": text});
        site.post("crew", &format!("/tasks/{id}/fail"), &report).await.accepted(200);
        assert!(kept(&site, "records", id).await < 8_192 + 1_000);

        let task = site.get("crew", &format!("/tasks/{id}")).await.accepted(200);
        for shown in [&task["error"], &task["progress"]["message"]] {
            let (shown, mark) = (shown.as_str().unwrap(), "… (cut)");
            assert!(shown.ends_with(mark) && text.starts_with(shown.trim_end_matches(mark)));
        }
    }
    site.finish().await;
}
