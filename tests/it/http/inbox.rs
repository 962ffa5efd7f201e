//! What waits for one approver: `GET /approvals?for=me`.

use std::collections::BTreeMap;

use orchestrator::domain::people::People;
use serde_json::{Value, json};

use crate::harness::{Fleet, MINUTE, Site, approval_of};

/// The ids that wait for the key of this name, in order.
async fn inbox(site: &Site, name: &str) -> Vec<String> {
    let page = site.get(name, "/approvals?for=me").await.accepted(200);
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["approval_id"].as_str().unwrap().to_owned()).collect()
}

/// The approval of a task of this type and priority that this key submits.
async fn asked(site: &Site, name: &str, kind: &str, priority: &str) -> String {
    let body =
        json!({"type": kind, "priority": priority, "payload": {"environment": "production"}});
    approval_of(&site.post(name, "/tasks", &body).await.accepted(201))
}

#[tokio::test]
async fn an_inbox_holds_what_its_approver_may_approve() {
    let fleet = Fleet::build().settings(|settings| {
        let terms = &mut settings.approvals.rules[1].terms;
        terms.groups = vec!["deployers".to_owned()];
        terms.quorum = Some(2);
        terms.four_eyes = true;
        let members = ["judge", "root", "second_judge"].map(str::to_owned).to_vec();
        settings.approvals.groups = BTreeMap::from([("deployers".to_owned(), members)]);
        let one_person = BTreeMap::from([("user:ann".to_owned(), "root".to_owned())]);
        settings.people = People::new(&one_person, &BTreeMap::new());
    });
    let site = Site::over(fleet.start().await).await;
    let urgent = asked(&site, "crew", "faq", "P0").await;
    let group = asked(&site, "crew", "deploy", "P2").await;
    let own = asked(&site, "root", "deploy", "P2").await;

    assert_eq!(inbox(&site, "judge").await, [&*urgent, &group, &own]);
    assert_eq!(inbox(&site, "root").await, [&*urgent, &group], "not what root submitted");
    for name in ["reader", "crew"] {
        assert!(inbox(&site, name).await.is_empty(), "{name} decides nothing");
    }
    let approve = format!("/approvals/{group}/approve");
    site.post("judge", &approve, &json!({})).await.accepted(200);
    assert_eq!(inbox(&site, "judge").await, [&*urgent, &own], "not what judge approved");
    let edit = json!({"payload": {"environment": "production", "canary": true}});
    site.post("second_judge", &approve, &edit).await.accepted(200);
    assert_eq!(inbox(&site, "second_judge").await, [&*urgent, &own], "not what it wrote");
    assert_eq!(inbox(&site, "judge").await, [&*urgent, &group, &own], "the content is another");
    site.post("judge", &format!("/approvals/{urgent}/reject"), &json!({})).await.accepted(200);
    assert_eq!(inbox(&site, "root").await, [&*group]);
    site.finish().await;
}

#[tokio::test]
async fn an_inbox_begins_with_what_expires_first_and_has_pages() {
    let site = Site::over(Fleet::build().partitions(2).start().await).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(asked(&site, "crew", "deploy", "P2").await);
        site.fleet.advance(MINUTE);
    }
    let (mut found, mut path) = (Vec::new(), "/approvals?for=me&limit=2".to_owned());

    loop {
        let page = site.get("judge", &path).await.accepted(200);
        let items = page["items"].as_array().unwrap();
        assert!(
            items.len() <= 2 && items.iter().all(|item| item["agent"] == "ops_agent"),
            "{page}"
        );
        found.extend(items.iter().map(|item| item["approval_id"].as_str().unwrap().to_owned()));
        let Value::String(cursor) = &page["next_cursor"] else { break };
        path = format!("/approvals?for=me&limit=2&cursor={cursor}");
    }
    assert_eq!(found, expected);
    let other = site.get("judge", "/approvals?limit=2").await.accepted(200);
    let cursor = other["next_cursor"].as_str().unwrap();
    let mixed = site.get("judge", &format!("/approvals?for=me&cursor={cursor}")).await;
    mixed.refused(400, "unreadable-request");
    for query in ["for=you", "for=me&status=approved"] {
        let answer = site.get("judge", &format!("/approvals?{query}")).await;
        answer.refused(400, "unreadable-request");
    }
    site.get("judge", "/approvals?for=me&status=pending").await.accepted(200);
    site.finish().await;
}
