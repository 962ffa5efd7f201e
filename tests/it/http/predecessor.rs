//! The calls of the predecessor's clients, as they send them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Site, bearer, channel_of, id_of, new_body};

async fn submitted(site: &Site) -> String {
    id_of(&site.submit(&new_body("faq")).await)
}

async fn patch(site: &Site, name: &str, id: &str, query: &str) -> Answer {
    site.call(name, Method::PATCH, &format!("/tasks/{id}/status{query}")).send().await
}

async fn patch_body(site: &Site, name: &str, id: &str, body: Value) -> Answer {
    site.call(name, Method::PATCH, &format!("/tasks/{id}/status")).json(&body).send().await
}

#[tokio::test]
async fn predecessor_calls_complete_a_task_and_notify_its_subscriber() {
    let fleet = Fleet::build().sources("user:support-bot", &["support"]).start().await;
    let site = Site::over(fleet).await;
    let mut subscriber = site.fleet.redis.subscribe(&channel_of("task.completed")).await;
    let bearer = bearer("support-bot", "agent");
    let call = |method, path: &str| site.anonymous(method, path).header("authorization", &bearer);
    let body = json!({
        "type": "faq", "payload": {"question": "why?"}, "priority": "P2", "source": "support", "sla_target": "4h",
        "sla_deadline": "2100-01-02T03:04:05.123456+00:00", "metadata": {"channel": "mail"},
    });

    let task = call(Method::POST, "/tasks").json(&body).send().await.accepted(201);
    let id = id_of(&task);
    assert_eq!(task["sla"]["deadline"], "2100-01-02T03:04:05.123Z");
    call(Method::GET, &format!("/tasks/{id}")).send().await.accepted(200);
    let path = format!("/tasks/{id}/status");
    let begun =
        call(Method::PATCH, &format!("{path}?status=in_progress")).send().await.accepted(200);
    let ended = call(Method::PATCH, &format!("{path}?status=completed")).send().await.accepted(200);

    for (answer, status) in [(&begun, "in_progress"), (&ended, "completed")] {
        assert_eq!(
            (&answer["success"], &answer["status"], &answer["task_id"]),
            (&json!(true), &json!(status), &json!(id))
        );
    }
    let (channel, event) = subscriber.next().await;
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(channel, channel_of("task.completed"));
    assert_eq!((&event["task_id"], &event["event_type"]), (&json!(id), &json!("task.completed")));
    for name in ["event_id", "priority", "source_agent", "payload", "timestamp", "metadata"] {
        assert!(!event[name].is_null(), "{name}: {event}");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_status_is_changed_by_query_or_by_body_and_the_body_goes_first() {
    let site = Site::open().await;

    let failed = submitted(&site).await;
    patch(&site, "crew", &failed, "?status=in_progress").await.accepted(200);
    let answer =
        patch(&site, "crew", &failed, "?status=failed&error=it%20broke").await.accepted(200);
    assert_eq!((&answer["status"], &answer["error"]), (&json!("failed"), &json!("it broke")));

    let completed = submitted(&site).await;
    patch_body(&site, "crew", &completed, json!({"status": "in_progress"})).await.accepted(200);
    let body = json!({"status": "completed", "result": {"answer": 42}});
    let answer = patch_body(&site, "crew", &completed, body).await.accepted(200);
    assert_eq!(answer["result"], json!({"answer": 42}));

    let cancelled = submitted(&site).await;
    let path = format!("/tasks/{cancelled}/status?status=completed&error=query");
    let body = json!({"status": "cancelled", "error": "body"});
    let answer = site.call("crew", Method::PATCH, &path).json(&body).send().await.accepted(200);
    assert_eq!((&answer["status"], &answer["error"]), (&json!("cancelled"), &json!("body")));
    site.finish().await;
}

#[tokio::test]
async fn a_status_that_cannot_be_read_is_a_wrong_field() {
    let site = Site::open().await;
    let id = submitted(&site).await;

    let refused = async {
        for query in ["", "?status=", "?status=done", "?status=pending"] {
            assert_eq!(patch(&site, "crew", &id, query).await.pointers(), ["/status"], "{query}");
        }
        patch(&site, "crew", &id, "?Status=completed").await.refused(400, "unreadable-request");
        let body = json!({"status": 7, "result": {}});
        assert_eq!(patch_body(&site, "crew", &id, body).await.pointers(), ["/status"]);
        let body = json!({"status": "failed", "error": ["x"]});
        assert_eq!(patch_body(&site, "crew", &id, body).await.pointers(), ["/error"]);
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn callers_cannot_end_a_task_they_do_not_hold_even_as_admin() {
    let site = Site::open().await;
    let id = submitted(&site).await;
    patch(&site, "crew", &id, "?status=in_progress").await.accepted(200);

    let refused = async {
        for name in ["rival", "root"] {
            for query in ["?status=completed", "?status=failed"] {
                patch(&site, name, &id, query).await.refused(409, "not-holder");
            }
            let problem = patch(&site, name, &id, "?status=in_progress")
                .await
                .refused(409, "illegal-transition");
            assert_eq!(problem["task_status"], "in_progress");
        }
    };
    site.unchanged(refused).await;
    patch(&site, "crew", &id, "?status=completed").await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn status_change_cannot_skip_the_approval_or_the_start_time() {
    let site = Site::open().await;
    let blocked = site.submit(&json!({"type": "faq", "payload": {}, "priority": "P0"})).await;
    let scheduled = site.submit(&json!({"type": "faq", "payload": {}, "delay_ms": 60_000})).await;

    let refused = async {
        for (task, status) in [(&blocked, "blocked"), (&scheduled, "scheduled")] {
            let id = task["task_id"].as_str().unwrap();
            for name in ["crew", "root"] {
                for query in ["?status=in_progress", "?status=completed", "?status=failed"] {
                    let problem =
                        patch(&site, name, id, query).await.refused(409, "illegal-transition");
                    assert_eq!(problem["task_status"], status, "{query}");
                }
            }
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn an_event_is_published_in_ones_own_name_and_marked_as_external() {
    let site = Site::open().await;
    let mut subscriber = site.fleet.redis.subscribe(&channel_of("*")).await;
    let body = json!({
        "event_type": "task.completed", "source_agent": "crew", "payload": {"n": 1}, "priority": "high",
        "trace_id": "t-1", "metadata": {"external": false, "k": "v"},
    });

    let answer = site.post("crew", "/events/publish", &body).await.accepted(202);

    let (channel, event) = subscriber.next().await;
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(channel, channel_of("task.completed"));
    assert_eq!(
        (&event["event_id"], &event["event_type"]),
        (&answer["event_id"], &answer["event_type"])
    );
    assert_eq!(
        (&event["source_agent"], &event["priority"], &event["payload"]),
        (&json!("crew"), &json!("high"), &json!({"n": 1}))
    );
    assert_eq!(event["metadata"], json!({"external": true, "k": "v"}));

    let foreign = json!({"event_type": "deploy.started", "source_agent": "rival", "payload": {}});
    site.unchanged(site.post("crew", "/events/publish", &foreign))
        .await
        .refused(403, "foreign-source");
    site.post("root", "/events/publish", &foreign).await.accepted(202);
    site.finish().await;
}

#[tokio::test]
async fn every_wrong_field_of_an_event_is_named_at_once() {
    let site = Site::open().await;
    let body = json!({
        "event_type": "Deploy Started", "source_agent": "", "payload": 1, "task_id": "7", "trace_id": "a b",
        "priority": "P0", "metadata": [],
    });

    let refused = async {
        let faults = [
            "/event_type",
            "/metadata",
            "/payload",
            "/priority",
            "/source_agent",
            "/task_id",
            "/trace_id",
        ];
        assert_eq!(site.post("crew", "/events/publish", &body).await.pointers(), faults);
        assert_eq!(
            site.post("crew", "/events/publish", &json!({})).await.pointers(),
            ["/event_type", "/payload"]
        );
    };
    site.unchanged(refused).await;
    site.finish().await;
}
