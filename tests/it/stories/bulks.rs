//! A bulk over thousands of tasks, whose worker processes are killed one after another.

use serde_json::{Value, json};

use crate::harness::{
    Client, Fate, LossyProxy, Program, Redis, digest_of, eventually, id_of, new_body, report_on,
};

/// How many tasks there are. A batch has a thousand.
const TASKS: usize = 2_000;

/// Where each worker process is killed: at the change of a task or after a step.
const KILLS: [(&str, Fate); 3] = [
    ("requeue", Fate::AnswerHeld),
    ("bulk_note", Fate::QuestionHeld),
    ("bulk_note", Fate::AnswerHeld),
];

/// Submits the tasks, and fails each of them.
async fn fail_all(crew: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..TASKS / 1_000 {
        let tasks = vec![new_body("faq"); 1_000];
        let batch = crew.post("/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
        ids.extend(batch["results"].as_array().unwrap().iter().map(|one| id_of(&one["task"])));
    }
    let claim = json!({"worker": "w1", "max": 100, "wait_ms": 1_000, "lease_ms": 60_000});
    let mut left = TASKS;
    while left > 0 {
        let claimed = crew.post("/agents/faq_agent/claim", &claim).await.accepted(200);
        let held = claimed["tasks"].as_array().unwrap();
        let failed = |one: &Value| {
            let more =
                json!({"task_id": id_of(&one["task"]), "outcome": "failed", "retryable": false});
            report_on(one, more)
        };
        let outcomes: Vec<_> = held.iter().map(failed).collect();
        if !outcomes.is_empty() {
            let body = json!({"outcomes": outcomes});
            crew.post("/agents/faq_agent/results", &body).await.accepted(200);
        }
        left -= held.len();
    }
    ids
}

#[tokio::test]
async fn bulk_retry_of_killed_workers_counts_every_task_once() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url());
    let gateway = program.start(&["gateway"]);
    let first = program.start(&["worker"]);
    let crew = gateway.client("crew").await;
    let ids = fail_all(&crew).await;
    first.stop().await;
    let order = json!({"action": "retry", "filter": {"status": "failed", "type": "faq"}});
    let bulk = crew.post("/tasks/bulk", &order).await.accepted(202);
    let path = format!("/bulk/{}", bulk["bulk_id"].as_str().unwrap());

    for (script, fate) in KILLS {
        let proxy = LossyProxy::start(redis.url());
        proxy.arm(Some(digest_of(script)), fate);
        let mut doomed = Program::over(proxy.url()).start(&["worker"]);
        proxy.has_caught_it().await;
        doomed.kill().await;
    }
    let worker = program.start(&["worker"]);
    let done = eventually("the bulk has ended", async || {
        let bulk = crew.get(&path).await.json();
        if bulk["status"] == "completed" { Ok(bulk) } else { Err(bulk) }
    })
    .await;

    let counts = (&done["matched"], &done["done"], &done["refused"]);
    assert_eq!(counts, (&json!(TASKS), &json!(TASKS), &json!([])));
    for id in ids.iter().step_by(7) {
        let timeline = crew.get(&format!("/tasks/{id}/events")).await.accepted(200);
        let entries = timeline["items"].as_array().unwrap();
        assert_eq!(entries.iter().filter(|entry| entry["verb"] == "requeue").count(), 1, "{id}");
    }
    worker.stop().await;
    program.finds_the_store_sound().await;
    gateway.stop().await;
}
