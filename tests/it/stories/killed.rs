//! Processes that are killed at a chosen point: with a call on its way to the store, or done and not yet answered.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Fate, LossyProxy, Program, Redis, digest_of, eventually, id_of, new_body,
};

/// Whether the script ran before the kill.
const POINTS: [(Fate, bool); 2] = [(Fate::QuestionHeld, false), (Fate::AnswerHeld, true)];

#[tokio::test]
async fn submission_to_a_killed_gateway_is_stored_once_when_repeated() {
    for (point, has_run) in POINTS {
        let redis = Redis::start().await;
        let proxy = LossyProxy::start(redis.url());
        let mut doomed = Program::over(proxy.url()).start(&["gateway"]);
        let program = Program::over(redis.url());
        let other = program.start(&["gateway"]);
        let task = json!({"type": "faq", "payload": {"n": 1}, "idempotency_key": "k"});
        let first = doomed.client("crew").await;
        proxy.arm(Some(digest_of("submit")), point);

        let (answer, ()) = futures_util::future::join(first.try_post("/tasks", &task), async {
            proxy.has_caught_it().await;
            doomed.signal(Signal::KILL);
        })
        .await;
        assert_eq!((answer.is_none(), doomed.ended().await), (true, -9));
        assert_eq!(redis.count_tasks().await, usize::from(has_run), "{point:?}");

        let crew = other.client("crew").await;
        let again = crew.post("/tasks", &task).await.json()["task_id"].clone();
        assert_eq!(crew.post("/tasks", &task).await.json()["task_id"], again);
        assert_eq!(redis.count_tasks().await, 1, "{point:?}");
        program.finds_the_store_sound().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn tasks_of_a_worker_killed_while_routing_reach_their_agent_once() {
    for (point, _) in POINTS {
        let redis = Redis::start().await;
        let proxy = LossyProxy::start(redis.url());
        let program = Program::over(redis.url());
        let gateway = program.start(&["gateway"]);
        let crew = gateway.client("crew").await;
        let tasks = vec![new_body("faq"); 20];
        crew.post("/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
        proxy.arm(Some(digest_of("route")), point);
        let mut doomed = Program::over(proxy.url()).start(&["worker"]);
        proxy.has_caught_it().await;
        doomed.kill().await;

        let worker = program.start(&["worker"]);
        let routed = json!({"pending": 0, "assigned": 20});
        eventually("every task is in its subject", async || {
            let by_status = crew.get("/stats").await.json()["by_status"].clone();
            let now = json!({"pending": by_status["pending"], "assigned": by_status["assigned"]});
            if now == routed { Ok(()) } else { Err(now) }
        })
        .await;
        let claim = json!({"worker": "w1", "max": 100});
        let held = crew.post("/agents/faq_agent/claim", &claim).await.accepted(200);
        let held = held["tasks"].as_array().unwrap();
        assert!(held.len() == 20 && held.iter().all(|one| one["attempt"] == 1), "{held:?}");
        program.finds_the_store_sound().await;
        worker.stop().await;
        gateway.stop().await;
    }
}

/// Claims one task of `faq_agent` for a second, waiting for it; its id and what was handed out.
async fn hold(crew: &Client) -> (String, Value) {
    let claim = json!({"worker": "w1", "max": 1, "wait_ms": 15_000, "lease_ms": 1_000});
    let mut claimed = crew.post("/agents/faq_agent/claim", &claim).await.accepted(200);
    let held = claimed["tasks"][0].take();
    (id_of(&held["task"]), held)
}

fn millis(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_millis()
}

#[tokio::test]
async fn silent_agent_loses_its_task_within_a_second_and_gets_lease_lost() {
    let deployment = Deployment::start().await;
    let crew = deployment.client("crew").await;
    crew.post("/tasks", &new_body("faq")).await.accepted(201);

    let (id, first) = hold(&crew).await;
    let (again, second) = hold(&crew).await;

    crew.complete(&first).await.refused(409, "lease-lost");
    let task = crew.complete(&second).await.accepted(200);
    let attempts = [&first["attempt"], &second["attempt"]];
    assert_eq!((again, attempts), (id.clone(), [&json!(1), &json!(2)]));
    let shown = crew.get(&format!("/tasks/{id}")).await.json();
    assert_eq!((&shown["lost_count"], &shown["retry_count"]), (&json!(1), &json!(0)), "{task}");
    let timeline = crew.get(&format!("/tasks/{id}/events")).await.json();
    let reaped = timeline["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["verb"] == "reap")
        .unwrap()
        .clone();
    let late_ms = millis(&reaped["at"]) - millis(&first["lease_expires_at"]);
    assert!((0..=1_000).contains(&late_ms), "taken back {late_ms} ms after its lease");
    deployment.finish().await;
}

#[tokio::test]
async fn task_that_kills_every_agent_fails_with_a_reason_and_retry_starts_over() {
    let deployment = Deployment::start().await;
    let (crew, root) = (deployment.client("crew").await, deployment.client("root").await);
    crew.post("/tasks", &new_body("faq")).await.accepted(201);
    let (mut id, mut attempts) = (String::new(), Vec::new());
    for _ in 0..3 {
        let (task, held) = hold(&crew).await;
        attempts.push(held["attempt"].clone());
        id = task;
    }

    let shown = crew.get(&format!("/tasks/{id}?wait_ms=15000")).await.accepted(200);

    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(
        (&shown["status"], &shown["lost_count"], &shown["retry_count"]),
        (&json!("failed"), &json!(3), &json!(0))
    );
    assert!(shown["error"].as_str().unwrap().contains("lost"), "{shown}");
    root.post(&format!("/tasks/{id}/retry"), &json!({})).await.accepted(200);
    let (task, held) = hold(&crew).await;
    assert_eq!((&task, &held["attempt"]), (&id, &json!(4)));
    let shown = crew.get(&format!("/tasks/{id}")).await.json();
    assert_eq!((&shown["lost_count"], &shown["retry_count"]), (&json!(0), &json!(0)));
    deployment.finish().await;
}
