//! The store goes away under running processes and comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Fate, LossyProxy, Program, Redis, digest_of, id_of, new_body,
};

#[tokio::test]
async fn read_only_redis_is_logged_once_and_so_is_its_return() {
    let deployment = Deployment::start_gateway().await;
    let crew = deployment.client("crew").await;
    let submission = new_body("faq");
    crew.is_ready(200).await;

    deployment.redis.demote().await;
    crew.is_ready(503).await;
    assert_eq!(crew.get("/health").await.status, 503);
    for _ in 0..50 {
        crew.post("/tasks", &submission).await.refused(503, "store-unavailable");
    }
    deployment.redis.promote().await;
    crew.is_ready(200).await;

    deployment.gateway.says("Redis takes writes again").await;
    let log = deployment.gateway.log();
    assert_eq!(log.matches("Redis takes no writes").count(), 1, "{log}");
    assert!(log.contains("READONLY"), "{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_started_again_is_noticed_and_work_goes_on() {
    let redis = Redis::told(true, &["--appendfsync", "always"]).await;
    let mut deployment = Deployment::over(redis);
    let crew = deployment.client("crew").await;
    let submission = new_body("faq");
    crew.post("/tasks", &submission).await.accepted(201);
    assert_eq!(crew.work().await.len(), 1);
    // Accepted, but not done, when the store goes.
    deployment.worker().pause();
    let open = id_of(&crew.post("/tasks", &submission).await.accepted(201));

    deployment.redis.kill();
    crew.is_ready(503).await;
    crew.post("/tasks", &submission).await.refused(503, "store-unavailable");
    assert_eq!(crew.get("/health/live").await.status, 200);
    deployment.worker().signal(rustix::process::Signal::CONT);
    deployment.redis.start_again().await;
    crew.is_ready(200).await;

    assert_eq!(crew.work().await, [open]);
    crew.post("/tasks", &submission).await.accepted(201);
    assert_eq!(crew.work().await.len(), 1);
    deployment.finish().await;
}

/// What `faq_agent` has to do: how many are submitted, and how many of them done.
async fn submit_and_work(crew: &Client, submitted: usize, done: usize) {
    for _ in 0..submitted {
        crew.post("/tasks", &new_body("faq")).await.accepted(201);
    }
    let mut worked = 0;
    while worked < done {
        worked += crew.work().await.len();
    }
}

/// Redis writes no file but a snapshot when it is asked to; it is killed and comes back with the last one.
async fn comes_back_with(snapshot: impl AsyncFn(&Redis, &Client), expected: &Value) {
    let redis = Redis::told(true, &["--appendonly", "no"]).await;
    let mut deployment = Deployment::over(redis);
    let crew = deployment.client("crew").await;
    snapshot(&deployment.redis, &crew).await;
    submit_and_work(&crew, 3, 3).await;

    deployment.redis.kill();
    crew.is_ready(503).await;
    deployment.redis.start_again().await;
    crew.is_ready(200).await;

    let stats = crew.get("/stats").await.accepted(200);
    let stands = json!({"total": stats["queue"]["total_tasks"], "completed": stats["by_status"]["completed"]});
    assert_eq!(stands, *expected, "{stats}");
    submit_and_work(&crew, 1, 1).await;
    deployment.finish().await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_has_lost_everything_and_work_goes_on() {
    comes_back_with(async |_, _| {}, &json!({"total": 0, "completed": 0})).await;
}

#[tokio::test]
async fn redis_restored_from_older_snapshot_loses_the_rest_and_work_goes_on() {
    let snapshot = async |redis: &Redis, crew: &Client| {
        submit_and_work(crew, 2, 2).await;
        redis.ask::<String>(&["SAVE"]).await;
    };

    comes_back_with(snapshot, &json!({"total": 2, "completed": 2})).await;
}

#[tokio::test]
async fn a_gateway_whose_store_falls_silent_while_it_starts_waits_for_it() {
    let redis = Redis::start().await;
    let proxy = LossyProxy::start(redis.url());
    proxy.arm(Some(digest_of("credentials")), Fate::AnswerLate(Duration::from_millis(800)));

    let gateway = Program::over(proxy.url())
        .with("ORCHESTRATOR__STORE__RESPONSE_TIMEOUT_MS", "300")
        .start(&["gateway"]);

    gateway.says("credentials not noted yet").await;
    gateway.client("crew").await.is_ready(200).await;
    gateway.stop().await;
}
