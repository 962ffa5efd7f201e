//! What refused calls leave behind.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Deployment, Site};

#[tokio::test]
async fn refusals_are_counted_by_cause() {
    let site = Site::open().await;
    for _ in 0..3 {
        site.anonymous(Method::GET, "/tasks").send().await.refused(401, "unauthenticated");
    }
    site.get("crew", "/admin/routing").await.refused(403, "missing-scope");
    site.get("crew", "/nothing").await.refused(404, "not-found");

    let denied = |cause: &str| format!(r#"orchestrator_http_denied_total{{cause="{cause}"}}"#);
    site.shows(&denied("unauthenticated"), |count| count == 3.0).await;
    site.shows(&denied("missing-scope"), |count| count == 1.0).await;
    site.shows(&denied("rate-limited"), |count| count == 0.0).await;
    assert!(!site.metrics().await.metrics().contains_key(&denied("not-found")));
    site.finish().await;
}

#[tokio::test]
async fn refused_calls_of_operators_stand_in_the_audit_log_once() {
    let site = Site::open().await;
    for _ in 0..5 {
        let pause = site.post("crew", "/agents/faq_agent/pause", &json!({})).await;
        pause.refused(403, "missing-scope");
    }
    // A refused call of another class leaves no entry.
    let submission = json!({"type": "faq", "payload": {}});
    site.post("reader", "/tasks", &submission).await.refused(403, "missing-scope");

    let log = site.get("root", "/admin/audit?action=refuse").await.accepted(200);

    let entries = log["items"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!(entries[0]["actor"], "key:crew");
    assert_eq!(entries[0]["subject"], "call:POST /agents/{agent}/pause");
    assert_eq!(entries[0]["detail"], json!({"cause": "missing-scope", "count": "1"}));
    assert!(entries[0]["origin"].as_str().unwrap().starts_with("127.0.0.1:"), "{log}");
    site.finish().await;
}

#[tokio::test]
async fn guesses_are_logged_once_with_the_address_of_the_guesser() {
    let deployment = Deployment::start_gateway().await;
    let url = deployment.gateway.url().await;
    let client = crate::harness::connections();
    for nth in 0..40 {
        let call = client.get(format!("{url}/tasks")).header("x-api-key", format!("guess-{nth}"));
        let status = call.send().await.unwrap().status().as_u16();
        assert_eq!(status, if nth < 10 { 401 } else { 429 });
    }

    deployment.gateway.says("cause=\"too-many-failures\"").await;
    let log = deployment.gateway.log();

    let lines: Vec<_> = log.lines().filter(|line| line.contains("calls refused")).collect();
    // A slow machine needs more than ten seconds, and has more lines then.
    assert!((2..=4).contains(&lines.len()), "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("caller=\"127.0.0.1\"")), "{lines:#?}");
    assert!(!log.contains("guess-"), "{log}");
    deployment.finish().await;
}
