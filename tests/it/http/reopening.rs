//! Who may have a task done after all, and how often humans may be asked about it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fleet, HOUR, Site, approval_of, id_of, new_body, report_on};

/// A deployment that waits for an approval: its path and the approval's.
async fn waiting(site: &Site) -> (String, String) {
    let task = site.submit(&new_body("deploy")).await;
    (format!("/tasks/{}", id_of(&task)), format!("/approvals/{}", approval_of(&task)))
}

async fn retry(site: &Site, key: &str, task: &str) -> crate::harness::Answer {
    site.call(key, Method::POST, &format!("{task}/retry")).send().await
}

#[tokio::test]
async fn an_agent_does_not_undo_what_a_human_ended() {
    let site = Site::open().await;
    let (rejected, approval) = waiting(&site).await;
    let no = json!({"decisions": [{"approval_id": &approval[11..], "decision": "reject"}]});
    let answer = site.post("judge", "/approvals/decide", &no).await.accepted(200);
    assert_eq!(answer["results"][0]["status"], 200, "{answer}");
    let (cancelled, _) = waiting(&site).await;
    site.post("root", &format!("{cancelled}/cancel"), &json!({})).await.accepted(200);
    let (patched, _) = waiting(&site).await;
    let status = format!("{patched}/status?status=cancelled");
    site.call("root", Method::PATCH, &status).send().await.accepted(200);

    for (task, role) in [(&rejected, "approver"), (&cancelled, "admin"), (&patched, "admin")] {
        let refused = async {
            for key in ["crew", "rival"] {
                let problem = retry(&site, key, task).await.refused(403, "ended-by-human");
                let detail = problem["detail"].as_str().unwrap();
                assert!(detail.contains(&format!("requires role {role} or higher")), "{detail}");
            }
        };
        site.unchanged(refused).await;
        let again = retry(&site, "root", task).await.accepted(200);
        assert_eq!(again["status"], "blocked");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_yes_is_asked_for_again_when_the_task_is_run_again() {
    let site = Site::open().await;
    let (task, approval) = waiting(&site).await;
    site.post("judge", &format!("{approval}/approve"), &json!({})).await.accepted(200);
    let held = site.claim_one("ops_agent").await;
    let failed = report_on(&held, json!({"error": "x", "retryable": false}));
    site.post("crew", &format!("{task}/fail"), &failed).await.accepted(200);

    let again = retry(&site, "crew", &task).await.accepted(200);

    assert_eq!(again["status"], "blocked");
    assert_ne!(again["approval_id"], json!(&approval[11..]));
    let next = format!("/approvals/{}", approval_of(&again));
    assert_eq!(site.get("judge", &next).await.accepted(200)["status"], "pending");
    site.finish().await;
}

#[tokio::test]
async fn agent_retries_too_soon_get_a_wait_and_too_many_are_refused() {
    let fleet = Fleet::build().settings(|settings| settings.approvals.max_asks = 2);
    let site = Site::over(fleet.start().await).await;
    let (task, _) = waiting(&site).await;
    let cancel = async || {
        site.post("crew", &format!("{task}/cancel"), &json!({})).await.accepted(200);
    };
    cancel().await;
    retry(&site, "crew", &task).await.accepted(200);
    cancel().await;

    let soon = site.unchanged(retry(&site, "crew", &task)).await;
    soon.refused(429, "asked-too-soon");
    assert_eq!(soon.header("retry-after"), Some("1"), "{soon:?}");
    site.fleet.advance(Duration::from_secs(1));
    retry(&site, "crew", &task).await.accepted(200);
    cancel().await;
    site.fleet.advance(HOUR);
    let often: Value =
        site.unchanged(retry(&site, "crew", &task)).await.refused(409, "asks-exhausted");
    assert!(often["detail"].as_str().unwrap().contains("2 approvals"), "{often}");
    assert_eq!(retry(&site, "root", &task).await.accepted(200)["status"], "blocked");
    site.finish().await;
}
