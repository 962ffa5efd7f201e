//! `GET /admin/audit`: who did what, from where, for admins only.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Site, id_of, new_body};

#[tokio::test]
async fn audit_origin_is_the_peer_address_despite_forwarded_headers() {
    let site = Site::open().await;
    let task = site.submit(&new_body("faq")).await;
    let path = format!("/tasks/{}/cancel", id_of(&task));
    let call = site.call("crew", Method::POST, &path).json(&json!({"reason": "no"}));
    call.header("x-forwarded-for", "10.9.8.7")
        .header("forwarded", "for=10.9.8.7")
        .send()
        .await
        .accepted(200);

    let page = site.get("root", "/admin/audit?limit=1").await.accepted(200);

    let entry = &page["items"][0];
    assert!(entry["origin"].as_str().unwrap().starts_with("127.0.0.1:"), "{entry}");
    assert_eq!((&entry["actor"], &entry["detail"]["reason"]), (&json!("key:crew"), &json!("no")));
    assert_eq!(entry["hash"], page["chains"][0]["hash"]);
    site.finish().await;
}

#[tokio::test]
async fn audit_list_takes_any_filter_and_refuses_bad_cursors_and_limits() {
    let site = Site::open().await;

    for query in ["cursor=1", "cursor=1-0-0-0"] {
        site.get("root", &format!("/admin/audit?{query}")).await.refused(400, "unreadable-request");
    }
    assert_eq!(site.get("root", "/admin/audit?limit=201").await.status, 400);
    for query in [
        "actor=%00",
        "action=%F0%9F%98%80",
        "subject='%7B0%7D",
        "cursor=18446744073709551615-255-0",
    ] {
        site.get("root", &format!("/admin/audit?{query}")).await.accepted(200);
    }
    site.finish().await;
}
