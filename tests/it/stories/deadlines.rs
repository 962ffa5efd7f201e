//! Deadlines over real processes: each is announced once and in time, though workers die.

use std::collections::BTreeMap;

use orchestrator::domain::ids::Partition;
use serde_json::{Value, json};

use crate::harness::{Client, Process, Program, Redis, eventually};

const TASKS: usize = 3_000;
/// Of each task: warned and violated, of its start and of its end.
const ANNOUNCEMENTS: usize = 4 * TASKS;
/// A worker is killed whenever so many more tasks have nothing ahead of them.
const KILL_EVERY: usize = 250;
/// How late an announcement may be while workers are killed, ms.
const LATEST: u64 = 2_000;

/// Submits tasks that must be started within 4 to 8 seconds, and finished within 5 to 9.
async fn submit(crew: &Client) {
    for first in (0..TASKS).step_by(500) {
        let now = chrono::Utc::now();
        let by = |ms: usize| {
            (now + chrono::Duration::milliseconds(i64::try_from(ms).unwrap())).to_rfc3339()
        };
        let task = |nth: usize| {
            let start_within = 4_000 + nth * 4_000 / TASKS;
            json!({"type": "faq", "payload": {}, "alert_threshold": 50,
                "sla_start_deadline": by(start_within), "sla_deadline": by(start_within + 1_000)})
        };
        let tasks: Vec<_> = (first..first + 500).map(task).collect();
        let answer = crew.post("/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
        assert!(
            answer["results"].as_array().unwrap().iter().all(|result| result["status"] == 201),
            "{answer}"
        );
    }
}

/// Kills one worker after the other, starting another in its place, until nothing is ahead.
async fn kill(program: &Program, workers: &mut [Process], redis: &Redis) -> usize {
    let mut killed = 0;
    loop {
        let wanted = TASKS.saturating_sub((killed + 1) * KILL_EVERY);
        eventually(&format!("at most {wanted} timers are left"), async || {
            let left = redis.count("timers").await;
            if left <= wanted { Ok(()) } else { Err(left) }
        })
        .await;
        if wanted == 0 {
            return killed;
        }
        let worker = &mut workers[killed % 3];
        worker.kill().await;
        *worker = program.start(&["worker"]);
        killed += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_deadlines_are_announced_once_in_time_amid_worker_kills() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url()).quiet();
    let gateway = program.start(&["gateway"]);
    let mut workers = [(); 3].map(|()| program.start(&["worker"]));
    submit(&gateway.client("crew").await).await;

    let killed = kill(&program, &mut workers, &redis).await;

    assert_eq!(killed, TASKS / KILL_EVERY - 1);
    let mut told: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut latest = 0;
    for event in redis.events(Partition(0)).await {
        if event.event_type().starts_with("sla.") {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let payload = &event.body["payload"];
            let due_at = chrono::DateTime::parse_from_rfc3339(&text(&payload["due_at"])).unwrap();
            latest = latest.max(
                event.id.at_ms.saturating_sub(u64::try_from(due_at.timestamp_millis()).unwrap()),
            );
            let key =
                (text(&event.body["task_id"]), text(&payload["clock"]), text(&payload["verb"]));
            *told.entry(key).or_default() += 1;
        }
    }
    assert_eq!(told.len(), ANNOUNCEMENTS);
    assert!(told.values().all(|count| *count == 1), "something was said twice");
    println!(
        "{killed} workers killed; the latest of {ANNOUNCEMENTS} announcements came {latest} ms after its time"
    );
    assert!(latest <= LATEST, "an announcement came {latest} ms after its time");
    let (code, output, log) = program.run(&["doctor"]).await;
    assert_eq!((code, &*output), (0, "The store is consistent.\n"), "{log}");
    for process in workers.into_iter().chain([gateway]) {
        process.stop().await;
    }
}
