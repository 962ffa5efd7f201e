//! What passes between callers: claims, approvals, events, idempotency keys, parents.

use serde_json::{Value, json};

use super::{Tenants, ids};
use crate::harness::{Fleet, channel_of, id_of, new_body, report_on};

#[tokio::test]
async fn agent_of_a_tenant_claims_and_reports_its_tasks_only() {
    let tenants = Tenants::without_approvals().await;
    let own = tenants.submit("acme-agent", &new_body("faq")).await;
    let of_none = tenants.submit("crew", &new_body("faq")).await;
    tenants.submit("beta-agent", &new_body("faq")).await;
    tenants.site.fleet.route().await;

    let claimed = tenants.claim("acme-agent").await;
    let of_none_claimed = tenants.claim("crew").await;

    let [held] = claimed.as_slice() else { panic!("{claimed:?}") };
    assert_eq!(id_of(&held["task"]), own);
    assert_eq!((&held["task"]["tenant"], of_none_claimed.len()), (&json!("acme"), 1));
    assert_eq!(id_of(&of_none_claimed[0]["task"]), of_none);
    let complete = format!("/tasks/{own}/complete");
    let report = report_on(held, json!({"result": 1}));
    let outcome = report_on(held, json!({"task_id": own, "outcome": "completed"}));
    let refused = async {
        tenants.post("beta-agent", &complete, &report).await.refused(404, "unknown-task");
        let results = json!({"outcomes": [outcome]});
        let answer = tenants.post("beta-agent", "/agents/faq_agent/results", &results).await;
        let result = &answer.accepted(200)["results"][0];
        assert_eq!(result["problem"]["type"], "urn:orchestrator:problem:unknown-task");
    };
    tenants.site.unchanged(refused).await;
    tenants.post("acme-agent", &complete, &report).await.accepted(200);
    tenants.finish().await;
}

#[tokio::test]
async fn waiting_claim_wakes_for_its_own_tenant() {
    let tenants = Tenants::without_approvals().await;
    let path = "/agents/faq_agent/claim";
    let claim = json!({"worker": "w1", "wait_ms": 30_000});
    let waiting = tenants.post("acme-agent", path, &claim);

    let submitting = async {
        tenants.submit("crew", &new_body("faq")).await;
        tenants.site.fleet.route().await;
        let own = tenants.submit("acme-agent", &new_body("faq")).await;
        tenants.site.fleet.route().await;
        own
    };
    let (answer, own) = tokio::join!(waiting, submitting);

    assert_eq!(id_of(&answer.accepted(200)["tasks"][0]["task"]), own);
    tenants.finish().await;
}

#[tokio::test]
async fn approver_of_a_tenant_decides_on_its_approvals_only() {
    let tenants = Tenants::open().await;
    let own = tenants.submit("acme-agent", &new_body("deploy")).await;
    tenants.submit("crew", &new_body("deploy")).await;
    let lists = ["/approvals", "/approvals/pending", "/approvals?for=me"];

    for path in lists {
        let page = tenants.get("acme-approver", path).await.accepted(200);
        assert_eq!(ids(&page, "task_id"), [own.as_str()], "{path}");
        assert_eq!(
            (&page["items"][0]["tenant"], &page["next_cursor"]),
            (&json!("acme"), &json!(null))
        );
        let page = tenants.get("beta-approver", path).await.accepted(200);
        assert_eq!(ids(&page, "task_id"), Vec::<String>::new(), "{path}");
        let page = tenants.site.get("judge", path).await.accepted(200);
        assert_eq!(ids(&page, "task_id").len(), 2, "{path}");
    }
    let page = tenants.get("acme-approver", "/approvals").await.accepted(200);
    let id = page["items"][0]["approval_id"].as_str().unwrap();
    let path = format!("/approvals/{id}/approve");
    let refused = tenants.post("beta-approver", &path, &json!({})).await;
    refused.refused(404, "unknown-approval");
    let many = json!({"decisions": [{"approval_id": id, "decision": "approve"}]});
    let answer = tenants.post("beta-approver", "/approvals/decide", &many).await.accepted(200);
    assert_eq!(answer["results"][0]["status"], 404);
    let decided = tenants.post("acme-approver", &path, &json!({})).await.accepted(200);
    assert_eq!((&decided["tenant"], &decided["agent"]), (&json!("acme"), &json!("ops_agent")));
    tenants.finish().await;
}

#[tokio::test]
async fn reader_of_a_tenant_gets_its_events_only() {
    let tenants = Tenants::without_approvals().await;
    let mut subscriber = tenants.site.fleet.redis.subscribe(&channel_of("task.created")).await;
    let own = tenants.submit("acme-agent", &new_body("faq")).await;
    let (_, on_channel) = subscriber.next().await;
    tenants.submit("crew", &new_body("faq")).await;
    tenants.site.fleet.route().await;
    tenants.claim("acme-agent").await;
    let event = json!({"event_type": "deploy.started", "payload": {}});
    tenants.post("acme-agent", "/events/publish", &event).await.accepted(202);
    tenants.post("beta-agent", "/events/publish", &event).await.accepted(202);

    let page = tenants.get("acme-user", "/events").await.accepted(200);

    let events = page["items"].as_array().unwrap();
    let types: Vec<_> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    let expected =
        ["task.created", "task.assigned", "agent.online", "task.started", "deploy.started"];
    assert_eq!(types, expected);
    for event in events {
        assert_eq!(event["tenant"], "acme", "{event}");
        let agent = &event["payload"]["agent"];
        assert!(agent.is_null() || *agent == "faq_agent", "{event}");
    }
    assert_eq!(events[0]["task_id"], own.as_str());
    assert_eq!(serde_json::from_str::<Value>(&on_channel).unwrap(), events[0]);
    let all = tenants.site.get("reader", "/events").await.accepted(200);
    let of_none =
        all["items"].as_array().unwrap().iter().find(|event| event.get("tenant").is_none());
    assert_eq!(of_none.unwrap()["event_type"], "task.created");
    tenants.finish().await;
}

#[tokio::test]
async fn task_of_a_tenant_has_no_part_of_another() {
    for partitions in [1, 4] {
        let fleet = Fleet::build().without_approvals().partitions(partitions).start().await;
        let tenants = Tenants::over(fleet).await;
        let parent = tenants.submit("acme-agent", &new_body("faq")).await;
        let child = |nth: u32| {
            let key = format!("child-{nth}");
            json!({"type": "faq", "payload": {}, "parent_task_id": parent, "idempotency_key": key})
        };

        for nth in 0..4 {
            let foreign = tenants.post("beta-agent", "/tasks", &child(nth)).await;
            let detail = &foreign.refused(422, "invalid-fields")["errors"][0]["detail"];
            assert!(detail.as_str().unwrap().starts_with("unknown task"), "{detail}");
            let unbound = tenants.site.post("crew", "/tasks", &child(nth)).await;
            let detail = &unbound.refused(422, "invalid-fields")["errors"][0]["detail"];
            assert!(detail.as_str().unwrap().contains("of tenant acme"), "{detail}");
            tenants.submit("acme-agent", &child(nth)).await;
        }

        let path = format!("/tasks?parent_task_id={parent}");
        let children = tenants.get("acme-user", &path).await.accepted(200);
        assert_eq!(ids(&children, "task_id").len(), 4);
        let none = tenants.get("beta-user", &path).await.accepted(200);
        assert_eq!(none["items"], json!([]));
        tenants.finish().await;
    }
}

#[tokio::test]
async fn cancel_of_a_tenants_task_ends_its_parts() {
    let tenants = Tenants::without_approvals().await;
    let parent = tenants.submit("acme-agent", &new_body("faq")).await;
    let body = json!({
        "type": "faq", "payload": {}, "parent_task_id": parent, "on_parent_cancel": "cancel",
    });
    let child = tenants.submit("acme-agent", &body).await;
    tenants.site.start_duties();

    let path = format!("/tasks/{parent}/cancel");
    tenants.post("beta-admin", &path, &json!({})).await.refused(404, "unknown-task");
    tenants.post("acme-agent", &path, &json!({})).await.accepted(200);

    let path = format!("/tasks/{child}?wait_ms=30000");
    let ended = tenants.get("acme-user", &path).await.accepted(200);
    assert_eq!(ended["status"], "cancelled");
    tenants.finish().await;
}

#[tokio::test]
async fn waiting_reader_of_a_tenant_gets_its_own_event() {
    let tenants = Tenants::without_approvals().await;
    let start = tenants.get("acme-user", "/events").await.accepted(200);
    let cursor = start["next_cursor"].as_str().unwrap().to_owned();
    let path = format!("/events?wait_ms=30000&after={cursor}");

    let waiting = tenants.get("acme-user", &path);
    let submitting = async {
        tenants.submit("crew", &new_body("faq")).await;
        tenants.submit("acme-agent", &new_body("faq")).await
    };
    let (page, own) = tokio::join!(waiting, submitting);

    let page = page.accepted(200);
    assert_eq!(ids(&page, "task_id"), [own]);
    tenants.finish().await;
}
