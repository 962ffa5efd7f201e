//! A whole fleet of processes: ten thousand tasks while workers are killed, each done once and by the right agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use orchestrator::domain::ids::Partition;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Client, Process, Program, Redis, approval_of, eventually, id_of, report_on};

const TASKS: usize = 10_000;
const CLIENTS: usize = 4;
const BATCH: usize = 100;
/// One worker is killed whenever so many more tasks are completed: about once a second.
const KILL_EVERY: usize = 1_000;

const KINDS: [(&str, &str); 9] = [
    ("faq", "faq_agent"),
    ("kb_update", "faq_agent"),
    ("bugfix", "dev_agent"),
    ("refactor", "dev_agent"),
    ("feature", "dev_agent"),
    ("investigate", "dev_agent"),
    ("deploy", "ops_agent"),
    ("monitor", "ops_agent"),
    ("alert", "ops_agent"),
];

/// The submission of this number; one of a hundred must be approved.
fn submission(nth: usize) -> Value {
    let (kind, _) = KINDS[nth % KINDS.len()];
    let priority = if nth.is_multiple_of(100) { "P1" } else { ["P2", "P3"][nth % 2] };
    json!({"type": kind, "priority": priority, "payload": {"n": nth, "environment": "staging"}})
}

/// Submits the numbers from `first` on in batches: task id → type.
async fn submit(crew: Client, first: usize) -> BTreeMap<String, String> {
    let mut accepted = BTreeMap::new();
    for start in (first..first + TASKS / CLIENTS).step_by(BATCH) {
        let tasks: Vec<_> = (start..start + BATCH).map(submission).collect();
        let answer = crew.post("/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["status"], 201, "{result}");
            let text = |name: &str| result["task"][name].as_str().unwrap().to_owned();
            accepted.insert(text("task_id"), text("type"));
        }
    }
    accepted
}

/// One session of an agent: reports what it holds and claims the next in the same call, until all is done. Returns
/// what it completed.
async fn work(
    crew: Client,
    agent: &'static str,
    nth: usize,
    done: Arc<AtomicUsize>,
) -> Vec<String> {
    let (mut outcomes, mut completed) = (Vec::new(), Vec::new());
    let path = format!("/agents/{agent}/results");
    while done.load(Ordering::Relaxed) < TASKS {
        let claim = json!({"worker": format!("{agent}-{nth}"), "max": 100, "wait_ms": 200});
        let answer =
            crew.post(&path, &json!({"outcomes": outcomes, "claim": claim})).await.accepted(200);
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["status"], "completed", "{result}");
            completed.push(id_of(result));
        }
        done.fetch_add(outcomes.len(), Ordering::Relaxed);
        let held = answer["claimed"]["tasks"].as_array().unwrap().iter();
        let outcome = |one: &Value| {
            assert_eq!(
                (&one["task"]["assigned_to"], &one["attempt"]),
                (&json!(agent), &json!(1)),
                "{one}"
            );
            let id = &one["task"]["task_id"];
            let outcome = json!({"task_id": id, "outcome": "completed", "result": {"by": nth}});
            report_on(one, outcome)
        };
        outcomes = held.map(outcome).collect();
    }
    assert!(outcomes.is_empty(), "more was handed out than there is");
    completed
}

/// Approves every pending approval, until all tasks are done.
async fn approve(judge: Client, done: Arc<AtomicUsize>) -> usize {
    let mut approved = 0;
    while done.load(Ordering::Relaxed) < TASKS {
        let pending = judge.get("/approvals/pending?limit=200").await.accepted(200);
        for approval in pending["items"].as_array().unwrap() {
            let path = format!("/approvals/{}/approve", approval_of(approval));
            judge.post(&path, &json!({})).await.accepted(200);
            approved += 1;
        }
    }
    approved
}

/// Kills one worker after the other as the work goes on, each time starting another in its place.
async fn kill(program: &Program, workers: &mut [Process], done: &AtomicUsize) -> usize {
    let mut killed = 0;
    while done.load(Ordering::Relaxed) < TASKS {
        let wanted = (killed + 1) * KILL_EVERY;
        eventually(&format!("{wanted} tasks are completed"), async || {
            let done = done.load(Ordering::Relaxed);
            if done >= wanted.min(TASKS) { Ok(()) } else { Err(done) }
        })
        .await;
        let worker = &mut workers[killed % 3];
        worker.kill().await;
        *worker = program.start(&["worker"]);
        killed += 1;
    }
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tasks_complete_once_by_the_right_agent_amid_worker_kills() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url()).quiet();
    let gateways = [program.start(&["gateway"]), program.start(&["gateway"])];
    let mut workers = [(); 3].map(|()| program.start(&["worker"]));
    let done = Arc::new(AtomicUsize::new(0));
    let (mut clients, mut agents, mut humans) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for nth in 0..CLIENTS {
        clients.spawn(submit(gateways[nth % 2].client("crew").await, nth * TASKS / CLIENTS));
    }
    for nth in 0..9 {
        let agent = ["faq_agent", "dev_agent", "ops_agent"][nth % 3];
        agents.spawn(work(gateways[nth % 2].client("crew").await, agent, nth, Arc::clone(&done)));
    }
    humans.spawn(approve(gateways[0].client("judge").await, Arc::clone(&done)));

    let killed = kill(&program, &mut workers, &done).await;

    let mut accepted = BTreeMap::new();
    for more in clients.join_all().await {
        accepted.extend(more);
    }
    let completed: Vec<_> = agents.join_all().await.into_iter().flatten().collect();
    let different: BTreeSet<_> = completed.iter().collect();
    assert_eq!((accepted.len(), completed.len(), different.len()), (TASKS, TASKS, TASKS));
    assert!(different.into_iter().eq(accepted.keys()), "others were completed than were submitted");
    assert_eq!((humans.join_all().await, killed >= TASKS / KILL_EVERY), (vec![TASKS / 100], true));
    let reader = gateways[1].client("reader").await;
    check(&redis, &reader, &accepted).await;
    program.finds_the_store_sound().await;
    for process in gateways.into_iter().chain(workers) {
        process.stop().await;
    }
}

/// What the store says of it all: figures, and one event for each transition.
async fn check(redis: &Redis, reader: &Client, accepted: &BTreeMap<String, String>) {
    let stats = reader.get("/stats").await.accepted(200);
    let expected = json!({"pending_tasks": 0, "processing_tasks": 0, "total_tasks": TASKS});
    assert_eq!(
        (&stats["queue"], &stats["by_status"]["completed"]),
        (&expected, &json!(TASKS)),
        "{stats}"
    );
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let events = redis.events(Partition(0)).await.into_iter().map(|event| event.body);
    for event in events.filter(|event| event["task_id"].is_string()) {
        let [kind, id] =
            ["event_type", "task_id"].map(|name| event[name].as_str().unwrap().to_owned());
        if let Some((_, agent)) =
            KINDS.iter().find(|(kind, _)| accepted.get(&id).is_some_and(|own| own == kind))
        {
            assert!(
                kind.starts_with("approval.") || event["payload"]["agent"] == *agent,
                "{event}"
            );
        }
        assert!(told.entry(kind.clone()).or_default().insert(id), "said twice: {kind} {event}");
    }
    for (kind, count) in [
        ("task.created", TASKS),
        ("task.assigned", TASKS),
        ("task.started", TASKS),
        ("task.completed", TASKS),
        ("approval.approved", TASKS / 100),
        ("task.lost", 0),
        ("task.retrying", 0),
    ] {
        assert_eq!(told.get(kind).map_or(0, BTreeSet::len), count, "{kind}");
    }
}
