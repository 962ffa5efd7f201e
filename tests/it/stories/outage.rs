//! The store goes away under running processes and comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Fate, LossyProxy, Program, Redis, digest_of, eventually, report_on};

async fn is_ready(client: &Client, wanted: u16) {
    eventually(&format!("/health/ready says {wanted}"), async || {
        let answer = client.get("/health/ready").await;
        if answer.status == wanted { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// Claims for `faq_agent` until there is something, and completes it: the ids.
async fn work(crew: &Client) -> Vec<Value> {
    eventually("a task is handed out", async || {
        let answer = crew
            .post("/agents/faq_agent/claim", &json!({"worker": "w1", "max": 10, "wait_ms": 1_000}))
            .await;
        let tasks = if answer.status == 200 {
            answer.json()["tasks"].as_array().unwrap().clone()
        } else {
            Vec::new()
        };
        let ids: Vec<_> = tasks.iter().map(|one| one["task"]["task_id"].clone()).collect();
        for one in &tasks {
            let path = format!("/tasks/{}/complete", one["task"]["task_id"].as_str().unwrap());
            crew.post(&path, &report_on(one, json!({}))).await.accepted(200);
        }
        if ids.is_empty() { Err(answer) } else { Ok(ids) }
    })
    .await
}

#[tokio::test]
async fn read_only_redis_is_logged_once_and_so_is_its_return() {
    let redis = Redis::start(false, &[]).await;
    let gateway = Program::over(redis.url()).start(&["gateway"]);
    let crew = gateway.client("crew").await;
    let submission = json!({"type": "faq", "payload": {}});
    is_ready(&crew, 200).await;

    redis.ask::<String>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    is_ready(&crew, 503).await;
    assert_eq!(crew.get("/health").await.status, 503);
    for _ in 0..50 {
        crew.post("/tasks", &submission).await.refused(503, "store-unavailable");
    }
    redis.ask::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    is_ready(&crew, 200).await;

    gateway.says("Redis takes writes again").await;
    let log = gateway.log();
    assert_eq!(log.matches("Redis takes no writes").count(), 1, "{log}");
    assert!(log.contains("READONLY"), "{log}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_started_again_is_noticed_and_work_goes_on() {
    let mut redis = Redis::start(true, &["--appendfsync", "always"]).await;
    let program = Program::over(redis.url());
    let (gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
    let crew = gateway.client("crew").await;
    let submission = json!({"type": "faq", "payload": {}});
    crew.post("/tasks", &submission).await.accepted(201);
    assert_eq!(work(&crew).await.len(), 1);
    // Accepted, but not done, when the store goes.
    worker.pause();
    let open = crew.post("/tasks", &submission).await.accepted(201)["task_id"].clone();

    redis.kill();
    is_ready(&crew, 503).await;
    crew.post("/tasks", &submission).await.refused(503, "store-unavailable");
    assert_eq!(crew.get("/health/live").await.status, 200);
    worker.signal(rustix::process::Signal::CONT);
    redis.start_again().await;
    is_ready(&crew, 200).await;

    assert_eq!(work(&crew).await, [open]);
    crew.post("/tasks", &submission).await.accepted(201);
    assert_eq!(work(&crew).await.len(), 1);
    let (code, output, log) = program.run(&["doctor"]).await;
    assert_eq!(code, 0, "{output}{log}");
    worker.stop().await;
    gateway.stop().await;
}

/// What `faq_agent` has to do: how many are submitted, and how many of them done.
async fn submit_and_work(crew: &Client, submitted: usize, done: usize) {
    for _ in 0..submitted {
        crew.post("/tasks", &json!({"type": "faq", "payload": {}})).await.accepted(201);
    }
    let mut worked = 0;
    while worked < done {
        worked += work(crew).await.len();
    }
}

/// Redis writes no file but a snapshot when it is asked to; it is killed and comes back with the last one.
async fn comes_back_with(snapshot: impl AsyncFn(&Redis, &Client), expected: &Value) {
    let mut redis = Redis::start(true, &["--appendonly", "no"]).await;
    let program = Program::over(redis.url());
    let (gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
    let crew = gateway.client("crew").await;
    snapshot(&redis, &crew).await;
    submit_and_work(&crew, 3, 3).await;

    redis.kill();
    is_ready(&crew, 503).await;
    redis.start_again().await;
    is_ready(&crew, 200).await;

    let stats = crew.get("/stats").await.accepted(200);
    let stands = json!({"total": stats["queue"]["total_tasks"], "completed": stats["by_status"]["completed"]});
    assert_eq!(stands, *expected, "{stats}");
    submit_and_work(&crew, 1, 1).await;
    let (code, output, log) = program.run(&["doctor"]).await;
    assert_eq!(code, 0, "{output}{log}");
    worker.stop().await;
    gateway.stop().await;
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
    let redis = Redis::start(false, &[]).await;
    let proxy = LossyProxy::start(redis.url());
    proxy.arm(Some(digest_of("credentials")), Fate::AnswerLate(Duration::from_millis(800)));

    let gateway = Program::over(proxy.url())
        .with("ORCHESTRATOR__STORE__RESPONSE_TIMEOUT_MS", "300")
        .start(&["gateway"]);

    gateway.says("credentials not noted yet").await;
    is_ready(&gateway.client("crew").await, 200).await;
    gateway.stop().await;
}
