//! What is read: lists, timelines, agents, figures, rules.

use serde_json::{Value, json};

use crate::harness::{Site, id_of, new_body};

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["task_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn task_list_filters_by_each_field_and_by_all_newest_first() {
    let site = Site::without_approvals().await;
    let mut tasks = Vec::new();
    for (kind, priority) in [("faq", "P2"), ("bugfix", "P1"), ("faq", "P1"), ("deploy", "P3")] {
        let body = json!({"type": kind, "payload": {}, "priority": priority, "parent_task_id": tasks.first()});
        tasks.push(id_of(&site.submit(&body).await));
    }
    site.post("crew", &format!("/tasks/{}/cancel", tasks[3]), &json!({})).await.accepted(200);
    site.fleet.route().await;

    for (query, expected) in [
        ("", &[3, 2, 1, 0][..]),
        ("?type=faq", &[2, 0]),
        ("?priority=P1", &[2, 1]),
        ("?status=cancelled", &[3]),
        ("?status=assigned&assigned_to=faq_agent&type=faq&priority=P1", &[2]),
        ("?assigned_to=dev_agent", &[1]),
        (&format!("?parent_task_id={}", tasks[0]), &[3, 2, 1]),
        ("?status=completed", &[]),
        ("?type=unheard_of", &[]),
    ] {
        let page = site.get("reader", &format!("/tasks{query}")).await.accepted(200);
        let expected: Vec<_> = expected.iter().map(|nth| &*tasks[*nth]).collect();
        let mut found = ids(&page);
        // Tasks of one state are in the order of that state.
        if query.contains("status=") {
            found.sort_by_key(|id| std::cmp::Reverse(tasks.iter().position(|task| task == id)));
        }
        assert_eq!(found, expected, "{query}");
    }
    site.finish().await;
}

#[tokio::test]
async fn pages_hold_every_task_once_and_the_last_has_no_cursor() {
    let site = Site::open().await;
    let mut expected: Vec<_> =
        site.fleet.submit_many("faq", 25).await.iter().map(ToString::to_string).collect();
    expected.reverse();

    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = site.get("reader", &format!("/tasks?limit=10{cursor}")).await.accepted(200);
        found.extend(ids(&page).into_iter().map(str::to_owned));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }

    assert_eq!((found, pages), (expected, 3));
    assert_eq!(ids(&site.get("reader", "/tasks").await.json()).len(), 25);
    assert_eq!(ids(&site.get("reader", "/tasks?limit=200").await.json()).len(), 25);
    site.finish().await;
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_refused_by_name() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);

    for (path, name) in [
        ("/tasks?limit=0", "limit"),
        ("/tasks?limit=201", "limit"),
        ("/tasks?limit=-1", "limit"),
        ("/tasks?limit=1e2", "limit"),
        ("/tasks?limit=", "limit"),
        ("/tasks?limit=99999999999999999999", "limit"),
        ("/tasks?limit=%00", "limit"),
        ("/tasks?status=done", "status"),
        ("/tasks?status=Pending", "status"),
        ("/tasks?priority=P4", "priority"),
        ("/tasks?type=NO", "type"),
        ("/tasks?assigned_to=a*", "assigned_to"),
        ("/tasks?parent_task_id=7", "parent_task_id"),
        (&format!("/tasks/{id}?wait_ms=60001"), "wait_ms"),
        (&format!("/tasks/{id}?wait_ms=-1"), "wait_ms"),
        (&format!("/tasks/{id}?wait_ms=NaN"), "wait_ms"),
        ("/approvals?status=open", "status"),
        ("/approvals?limit=201", "limit"),
        ("/approvals/pending?limit=x", "limit"),
        ("/approvals/history?limit=0", "limit"),
    ] {
        let answer = site.get("reader", path).await;
        let problem = answer.refused(400, "unreadable-request");
        assert!(
            problem["detail"].as_str().unwrap().contains(&format!("`{name}`")),
            "{path}: {answer:?}"
        );
    }
    site.finish().await;
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused() {
    let site = Site::open().await;
    let uuid = "019ab3c4-0000-7000-8000-000077120000";

    for path in [
        "/tasks",
        "/tasks?status=pending",
        "/approvals",
        "/approvals/pending",
        "/approvals/history",
    ] {
        for bad in [
            "",
            "x",
            "_",
            "NaN_",
            &format!("NaN_{uuid}"),
            &format!("inf_{uuid}"),
            &format!("-infinity_{uuid}"),
            "1_%00",
            "1_2",
            &format!("1e999_{uuid}"),
            &format!("_{uuid}"),
            &format!("({uuid}"),
            &"9".repeat(4_000),
        ] {
            let glue = if path.contains('?') { '&' } else { '?' };
            let answer = site.get("reader", &format!("{path}{glue}cursor={bad}")).await;
            let problem = answer.refused(400, "unreadable-request");
            assert!(problem["detail"].as_str().unwrap().contains("`cursor`"), "{path} {bad}");
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 3).await;
    site.fleet.submit_many("deploy", 3).await;
    let lists = [
        "/tasks?",
        "/tasks?status=pending&",
        "/tasks?status=blocked&",
        "/approvals?",
        "/approvals/pending?",
    ];
    let mut cursors = Vec::new();
    for list in lists {
        let page = site.get("reader", &format!("{list}limit=1")).await.accepted(200);
        cursors.push(page["next_cursor"].as_str().unwrap().to_owned());
    }
    for list in lists.into_iter().chain(["/approvals/history?", "/admin/audit?"]) {
        for (of, cursor) in lists.iter().zip(&cursors) {
            let answer = site.get("root", &format!("{list}limit=1&cursor={cursor}")).await;
            assert_eq!(answer.status, if *of == list { 200 } else { 400 }, "{of} in {list}");
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn a_timeline_tells_every_transition_who_made_it_when_and_why() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);
    site.claim_one("faq_agent").await;
    site.post("crew", &format!("/tasks/{id}/cancel"), &json!({"reason": "no need"}))
        .await
        .accepted(200);

    let timeline = site.get("reader", &format!("/tasks/{id}/events")).await.accepted(200);

    let items = timeline["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|item| (item["verb"].as_str().unwrap(), item["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("submit", "pending"),
            ("route", "assigned"),
            ("claim", "in_progress"),
            ("cancel", "cancelled")
        ]
    );
    let actors: Vec<_> = items.iter().map(|item| item["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, ["key:crew", "orchestrator", "key:crew", "key:crew"]);
    assert_eq!((&items[3]["reason"], &items[3]["attempt"]), (&json!("no need"), &json!(1)));
    assert!(
        items.iter().all(|item| item["at"].as_str().unwrap().ends_with('Z'))
            && timeline["next_cursor"].is_null()
    );
    site.finish().await;
}

#[tokio::test]
async fn agents_show_their_depth_their_sessions_and_whether_they_are_paused() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 3).await;
    let held = site.claim_one("faq_agent").await;
    assert_eq!(held["attempt"], 1);

    let paused = site.post("root", "/agents/faq_agent/pause", &json!({})).await.accepted(200);
    let claim = site
        .post("crew", "/agents/faq_agent/claim", &json!({"worker": "w2", "max": 10}))
        .await
        .accepted(200);
    let all = site.get("reader", "/agents").await.accepted(200);
    let agent = site.get("reader", "/agents/faq_agent").await.accepted(200);
    let resumed = site.post("root", "/agents/faq_agent/resume", &json!({})).await.accepted(200);

    assert_eq!((&paused["paused"], &resumed["paused"]), (&json!(true), &json!(false)));
    assert_eq!(claim, json!({"tasks": []}));
    assert_eq!(
        (&agent["depth"], &agent["in_progress"], &agent["paused"]),
        (&json!(2), &json!(1), &json!(true))
    );
    let workers: Vec<_> =
        agent["sessions"].as_array().unwrap().iter().map(|one| one["worker"].clone()).collect();
    assert!(workers.contains(&json!("w1")) && agent["last_seen"].is_string(), "{agent}");
    let names: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|one| one["agent"].as_str().unwrap()).collect();
    assert_eq!(
        (names, &all["next_cursor"]),
        (vec!["dev_agent", "faq_agent", "ops_agent"], &Value::Null)
    );
    site.finish().await;
}

#[tokio::test]
async fn figures_count_every_task_in_each_way() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 2).await;
    site.submit(&json!({"type": "faq", "payload": {}, "priority": "P0"})).await;
    site.claim_one("faq_agent").await;

    let stats = site.get("reader", "/stats").await.accepted(200);

    assert_eq!(
        stats["queue"],
        json!({"pending_tasks": 1, "processing_tasks": 1, "total_tasks": 3})
    );
    for (status, count) in [("blocked", 1), ("assigned", 1), ("in_progress", 1), ("completed", 0)] {
        assert_eq!(stats["by_status"][status], count, "{stats}");
    }
    assert_eq!(stats["by_priority"], json!({"P0": 1, "P1": 0, "P2": 2, "P3": 0}));
    assert_eq!(stats["by_agent"]["faq_agent"]["in_progress"], 1);
    assert!(
        stats["timestamp"].is_string()
            && stats.as_object().unwrap().contains_key("oldest_pending_ms")
    );
    site.finish().await;
}

#[tokio::test]
async fn sla_report_groups_as_asked_and_refuses_bad_queries() {
    let site = Site::open().await;
    let first = site.submit(&json!({"type": "faq", "payload": {}, "sla_target": "4h"})).await;
    let path = format!("/tasks/{}/cancel", id_of(&first));
    site.post("crew", &path, &json!({})).await.accepted(200);

    let all = site.get("reader", "/sla/report").await.accepted(200);
    let apart = site.get("reader", "/sla/report?group_by=priority,type").await.accepted(200);

    let figures = json!({
        "completed": 0, "failed": 0, "cancelled": 1, "met": 0, "warned": 0, "violated": 0, "attainment_percent": null,
        "start": {"met": 0, "warned": 0, "violated": 0, "attainment_percent": null},
        "wait_ms": {"count": 0, "p50": null, "p95": null, "p99": null},
        "run_ms": {"count": 0, "p50": null, "p95": null, "p99": null},
        "human_ms": {"count": 0, "p50": null, "p95": null, "p99": null},
    });
    assert_eq!(all["total"], figures);
    assert!(all["from"].as_str().unwrap().ends_with(":00:00.000Z"), "{all}");
    let group = &apart["groups"][0];
    assert_eq!(
        (&group["type"], &group["priority"], &group["agent"]),
        (&json!("faq"), &json!("P2"), &Value::Null)
    );
    assert_eq!((&group["cancelled"], apart["groups"].as_array().unwrap().len()), (&json!(1), 1));
    for (query, says) in [
        ("group_by=colour", "one or several of type, priority, agent"),
        ("group_by=", "one or several of type, priority, agent"),
        ("from=yesterday", "RFC 3339"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "before `to`"),
        ("from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", "31 days"),
        ("to=2125-12-31T23:59:59Z&from=1970-01-01T00:00:00Z", "31 days"),
    ] {
        let refused = site.get("reader", &format!("/sla/report?{query}")).await;
        let problem = refused.refused(400, "unreadable-request");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{query}: {problem}");
    }
    site.finish().await;
}

#[tokio::test]
async fn routing_rules_are_listed_and_explained_without_storing() {
    let site = Site::open().await;

    let rules = site.get("root", "/admin/routing").await.accepted(200);
    let explain = async |body: Value| site.post("root", "/admin/routing/explain", &body).await;
    let deploy = json!({"type": "deploy", "payload": {"environment": "production"}});
    let deploy = site.unchanged(explain(deploy)).await.accepted(200);
    let faq = site.unchanged(explain(new_body("faq"))).await.accepted(200);
    let bad = site.unchanged(explain(json!({"type": "fax", "payload": 1}))).await;

    assert_eq!(
        (&rules["rules"][0]["agent"], rules["approvals"].as_array().unwrap().len()),
        (&json!("faq_agent"), 3)
    );
    assert_eq!(
        deploy,
        json!({"agent": "ops_agent", "rule": 2, "approval_rule": "production change"})
    );
    assert_eq!(faq, json!({"agent": "faq_agent", "rule": 0, "approval_rule": null}));
    assert_eq!(bad.pointers(), ["/payload", "/type"]);
    site.finish().await;
}
