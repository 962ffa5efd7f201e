//! Quotas: how many open tasks a caller may have, and how much it may submit.

use serde_json::{Value, json};

use crate::harness::{Fleet, Site, id_of, key, new_body};

/// A site at which each caller may have so many open tasks.
async fn with_open_tasks(most: u64) -> Site {
    let told = |settings: &mut orchestrator::engine::Settings| settings.limits.open_tasks = most;
    Site::over(Fleet::build().without_approvals().settings(told).start().await).await
}

/// The problem types of the results of a batch; an accepted item has none.
fn problems(answer: &Value) -> Vec<Option<&str>> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|result| result["problem"]["type"].as_str()).collect()
}

#[tokio::test]
async fn a_caller_with_too_many_open_tasks_waits_for_one_to_end() {
    let site = with_open_tasks(3).await;
    for _ in 0..2 {
        site.submit(&new_body("faq")).await;
    }
    let batch = json!({"tasks": vec![new_body("faq"); 2]});
    let answer = site.post("crew", "/tasks/batch", &batch).await.accepted(200);
    let over = "urn:orchestrator:problem:too-many-open-tasks";
    assert_eq!(problems(&answer), [None, Some(over)], "{answer}");
    let refused = site.post("crew", "/tasks", &new_body("faq")).await;
    refused.refused(429, "too-many-open-tasks");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // Another caller has a quota of its own.
    site.post("rival", "/tasks", &new_body("faq")).await.accepted(201);

    let held = site.claim_one("faq_agent").await;
    let report = crate::harness::report_on(&held, json!({}));
    let path = format!("/tasks/{}/complete", id_of(&held["task"]));
    site.post("crew", &path, &report).await.accepted(200);

    site.submit(&new_body("faq")).await;
    site.post("crew", "/tasks", &new_body("faq")).await.refused(429, "too-many-open-tasks");
    site.finish().await;
}

#[tokio::test]
async fn repeating_a_submission_takes_no_place_of_the_quota() {
    let site = with_open_tasks(1).await;
    let keyed = json!({"type": "faq", "payload": {}, "idempotency_key": "k"});
    let batch = json!({"tasks": [keyed]});
    for _ in 0..3 {
        let answer = site.post("crew", "/tasks/batch", &batch).await.accepted(200);
        assert_eq!(problems(&answer), [None], "{answer}");
    }

    site.post("crew", "/tasks", &new_body("faq")).await.refused(429, "too-many-open-tasks");
    assert_eq!(site.fleet.redis.count_tasks().await, 1);
    site.finish().await;
}

#[tokio::test]
async fn deleted_and_ended_tasks_leave_the_quota_of_their_caller() {
    let site = with_open_tasks(1_000).await;
    let batch = json!({"tasks": vec![new_body("faq"); 500]});
    for _ in 0..2 {
        site.post("crew", "/tasks/batch", &batch).await.accepted(200);
    }
    site.post("crew", "/tasks", &new_body("faq")).await.refused(429, "too-many-open-tasks");
    let ids: Vec<String> = site.fleet.redis.ask(&["SMEMBERS", &key("owned:key:crew")]).await;
    for id in &ids {
        site.fleet.cancel(id.parse().unwrap()).await.unwrap();
    }

    let answer = site.post("crew", "/tasks/batch", &batch).await.accepted(200);

    let accepted = problems(&answer).iter().filter(|problem| problem.is_none()).count();
    assert_eq!(accepted, 500, "{answer}");
    let left: i64 = site.fleet.redis.ask(&["TTL", &key("owned:key:crew")]).await;
    assert!((1..=2_592_000).contains(&left), "{left}");
    site.finish().await;
}

#[tokio::test]
async fn without_a_quota_nothing_is_counted() {
    let site = Site::open().await;

    site.submit(&new_body("faq")).await;

    assert!(!site.fleet.redis.ask::<bool>(&["EXISTS", &key("owned:key:crew")]).await);
    site.finish().await;
}

#[tokio::test]
async fn bytes_beyond_those_of_an_hour_are_refused() {
    let told = |settings: &mut orchestrator::engine::Settings| {
        settings.limits.submitted_bytes_per_hour = 10_000;
    };
    let site = Site::over(Fleet::build().settings(told).start().await).await;
    let body = |bytes: usize| json!({"type": "faq", "payload": {"x": "x".repeat(bytes)}});

    // An hour may end in between: two windows have room for six at the most.
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(site.post("crew", "/tasks", &body(3_000)).await);
    }

    assert!(statuses[..3].iter().all(|answer| answer.status == 201), "{statuses:?}");
    let over = statuses.iter().find(|answer| answer.status == 429).unwrap();
    over.refused(429, "bytes-used");
    let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{over:?}");
    site.post("rival", "/tasks", &body(3_000)).await.accepted(201);
    site.finish().await;
}
