//! Bulks over the API: what is refused, what a dry run shows, and how an answer reads.

use serde_json::{Value, json};

use crate::harness::{Site, id_of, new_body};

#[tokio::test]
async fn bulk_over_the_api_shows_its_order_and_its_counts() {
    let site = Site::without_approvals().await;
    let task = site.submit(&json!({"type": "faq", "payload": {}, "title": "Refund"})).await;
    site.submit(&new_body("bugfix")).await;
    let body = json!({"action": "cancel", "filter": {"type": "faq"}, "reason": "outage"});
    let tried = joined(&body, json!({"dry_run": true}));

    let tried = site.post("crew", "/tasks/bulk", &tried).await;
    let path = tried.header("location").unwrap().to_owned();
    let tried = tried.accepted(202);
    site.fleet.run_bulks().await.unwrap();
    let counted = site.get("reader", &path).await.accepted(200);
    let started = site.post("crew", "/tasks/bulk", &body).await.accepted(202);
    site.fleet.run_bulks().await.unwrap();
    let path = format!("/bulk/{}", started["bulk_id"].as_str().unwrap());
    let done = site.get("reader", &path).await.accepted(200);

    assert_eq!((&tried["status"], &tried["started_by"]), (&json!("running"), &json!("key:crew")));
    let first = json!([{"task_id": id_of(&task), "type": "faq", "title": "Refund"}]);
    assert_eq!((&counted["matched"], &counted["done"]), (&json!(1), &json!(0)));
    assert_eq!((&counted["first"], &counted["filter"]["type"]), (&first, &json!("faq")));
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)));
    assert_eq!((&done["status"], &done["refused"]), (&json!("completed"), &json!([])));
    let shown = site.get("reader", &format!("/tasks/{}", id_of(&task))).await.json();
    assert_eq!(shown["status"], "cancelled");
    site.finish().await;
}

fn joined(body: &Value, more: Value) -> Value {
    super::operations::joined(body.clone(), &more)
}

#[tokio::test]
async fn bulk_that_makes_no_sense_is_refused_by_its_fields() {
    let site = Site::open().await;
    for (body, expected) in [
        (json!({}), vec!["/action", "/filter"]),
        (json!({"action": "delete", "filter": {}}), vec!["/action"]),
        (json!({"action": "retry", "filter": []}), vec!["/filter"]),
        (json!({"action": "retry", "filter": {"status": "pending"}}), vec!["/filter/status"]),
        (json!({"action": "cancel", "filter": {"status": "failed"}}), vec!["/filter/status"]),
        (json!({"action": "cancel", "filter": {"stauts": "failed"}}), vec!["/filter/stauts"]),
        (json!({"action": "raise", "filter": {}}), vec!["/priority"]),
        (json!({"action": "retry", "filter": {}, "priority": "P0"}), vec!["/priority"]),
        (
            json!({"action": "retry", "filter": {"type": "A B", "created_after": "now"}}),
            vec!["/filter/type", "/filter/created_after"],
        ),
        (
            json!({"action": "retry", "filter": {}, "dry_run": "no", "reason": 1}),
            vec!["/reason", "/dry_run"],
        ),
    ] {
        let answer = site.post("root", "/tasks/bulk", &body).await;
        answer.refused(422, "invalid-fields");
        let mut found = super::operations::pointers(&answer);
        let mut expected = expected;
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{body}");
    }
    site.post("judge", "/tasks/bulk", &json!({"action": "retry", "filter": {}}))
        .await
        .refused(403, "missing-scope");
    site.finish().await;
}

#[tokio::test]
async fn bulk_is_repeated_by_its_key_and_refused_beyond_the_limit() {
    let site = Site::open().await;
    let body = json!({"action": "retry", "filter": {}});
    let start = async |key: &str, body: &Value| {
        let call = site.call("crew", reqwest::Method::POST, "/tasks/bulk");
        call.header("idempotency-key", key).json(body).send().await
    };

    let first = start("one", &body).await.accepted(202);
    let again = start("one", &body).await;
    let other = start("one", &json!({"action": "cancel", "filter": {}})).await;
    for nth in 1..4 {
        start(&format!("key-{nth}"), &body).await.accepted(202);
    }
    let full = start("five", &body).await;

    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.accepted(200)["bulk_id"], first["bulk_id"]);
    other.refused(422, "idempotency-mismatch");
    assert!(full.header("retry-after").is_some());
    let problem = full.refused(429, "too-many-bulks");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(first["bulk_id"].as_str().unwrap()), "{detail}");
    let abort = format!("/bulk/{}/abort", first["bulk_id"].as_str().unwrap());
    let aborting = site.post("root", &abort, &json!({})).await.accepted(200);
    assert_eq!(aborting["status"], "aborting");
    let nothing = "/bulk/0198c4de-0000-7000-8000-000000000000";
    site.get("reader", nothing).await.refused(404, "unknown-bulk");
    site.post("root", &format!("{nothing}/abort"), &json!({})).await.refused(404, "unknown-bulk");
    site.get("reader", "/bulk/x").await.refused(400, "unreadable-request");
    site.finish().await;
}
