//! SIGTERM under load: nothing that was acknowledged is lost, no attempt is burnt, and the process ends well.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    BOUND, Client, Process, Program, Redis, eventually, id_of, new_body, report_on,
};

/// What one client was told.
#[derive(Default)]
struct Told {
    accepted: BTreeSet<String>,
    /// What an agent holds and has not reported on.
    held: BTreeSet<String>,
    completed: BTreeSet<String>,
}

/// Submits until the gateway is gone.
async fn submit(crew: Client) -> Told {
    let mut told = Told::default();
    while let Some(answer) = crew.try_post("/tasks", &new_body("faq")).await {
        told.accepted.insert(id_of(&answer.accepted(201)));
    }
    told
}

/// Claims and completes until the gateway is gone.
async fn work(crew: Client) -> Told {
    let mut told = Told::default();
    let claim = json!({"worker": "w1", "max": 5, "wait_ms": 60_000});
    while let Some(answer) = crew.try_post("/agents/faq_agent/claim", &claim).await {
        let claimed = answer.accepted(200);
        for one in claimed["tasks"].as_array().unwrap() {
            let id = id_of(&one["task"]);
            told.held.insert(id.clone());
            let path = format!("/tasks/{id}/complete");
            if let Some(answer) = crew.try_post(&path, &report_on(one, json!({}))).await {
                answer.accepted(200);
                told.held.remove(&id);
                told.completed.insert(id);
            }
        }
    }
    told
}

/// Four clients that submit and four that work, until the gateway is gone.
fn load(crew: &Client) -> JoinSet<Told> {
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(submit(crew.clone()));
        clients.spawn(work(crew.clone()));
    }
    clients
}

/// Waits until so many tasks are completed.
async fn is_on(reader: &Client, wanted: u64) {
    eventually("the load is on", async || {
        let completed =
            reader.get("/stats").await.json()["by_status"]["completed"].as_u64().unwrap();
        if completed > wanted { Ok(()) } else { Err(completed) }
    })
    .await;
}

/// Processes that would wait longer for a request that is stuck than any test waits.
fn patient(redis: &Redis) -> Program {
    let grace_ms = 2 * BOUND.as_millis();
    Program::over(redis.url()).with("ORCHESTRATOR__HTTP__GRACE_MS", &grace_ms.to_string())
}

/// Compares what the clients were told with what is stored: nothing lost, no attempt burnt, no
/// lease that no client knows.
async fn check(program: &Program, reader: &Client, clients: JoinSet<Told>) {
    let mut all = Told::default();
    for told in clients.join_all().await {
        all.accepted.extend(told.accepted);
        all.held.extend(told.held);
        all.completed.extend(told.completed);
    }
    let (mut stored, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = reader.get(&format!("/tasks?limit=200{cursor}")).await.accepted(200);
        for task in page["items"].as_array().unwrap() {
            assert_eq!(
                (&task["retry_count"], &task["lost_count"]),
                (&json!(0), &json!(0)),
                "{task}"
            );
            assert!(task["attempt"].as_u64().unwrap() <= 1, "{task}");
            if task["status"] == "in_progress" {
                assert!(all.held.contains(&id_of(task)), "no client knows of the lease: {task}");
            }
            if all.completed.contains(&id_of(task)) {
                assert_eq!(task["status"], "completed", "{task}");
            }
            stored.insert(id_of(task));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(
        all.accepted.is_subset(&stored),
        "lost: {:?}",
        all.accepted.difference(&stored).collect::<Vec<_>>()
    );
    program.finds_the_store_sound().await;
}

#[tokio::test]
async fn gateway_stopped_under_load_answers_its_calls_and_burns_no_attempt() {
    let redis = Redis::start().await;
    let program = patient(&redis);
    let (mut gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
    let clients = load(&gateway.client("crew").await);
    let other = program.start(&["gateway"]);
    let reader = other.client("reader").await;
    is_on(&reader, 200).await;

    gateway.stops_within(BOUND).await;

    check(&program, &reader, clients).await;
    worker.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn workers_stopped_in_turn_under_load_burn_no_attempt_and_work_goes_on() {
    let redis = Redis::start().await;
    let program = patient(&redis);
    let (mut gateway, other) = (program.start(&["gateway"]), program.start(&["gateway"]));
    let mut worker = program.start(&["worker"]);
    let clients = load(&gateway.client("crew").await);
    let reader = other.client("reader").await;

    for wave in 1..=3 {
        is_on(&reader, wave * 150).await;
        let next = program.start(&["worker"]);
        next.says("the worker runs").await;
        worker.stops_within(BOUND).await;
        worker = next;
    }

    is_on(&reader, 700).await;
    gateway.stops_within(BOUND).await;
    check(&program, &reader, clients).await;
    worker.stop().await;
    other.stop().await;
}

/// Who sends each call to one of the gateways that say they are ready.
#[derive(Clone, Default)]
struct Balancer {
    gateways: Arc<Mutex<Vec<Client>>>,
    is_over: CancellationToken,
}

impl Balancer {
    /// Takes the gateway in as soon as it is ready.
    async fn add(&self, gateway: &Process) {
        let client = gateway.client("crew").await;
        client.is_ready(200).await;
        self.gateways.lock().unwrap().push(client);
    }

    /// Tells the oldest gateway to stop, and sends it nothing more once it says that it is not ready.
    async fn retire(&self, gateway: &mut Process) {
        let client = self.gateways.lock().unwrap()[0].clone();
        let stop = gateway.stops_within(BOUND);
        let notice = async {
            eventually("the gateway says that it is about to stop", async || {
                match client.call(reqwest::Method::GET, "/health/ready").try_send().await {
                    Ok(ready) if ready.status == 200 => Err(ready),
                    _ => Ok(()),
                }
            })
            .await;
            self.gateways.lock().unwrap().remove(0);
        };
        futures_util::future::join(stop, notice).await;
    }

    fn next(&self) -> Client {
        let gateways = self.gateways.lock().unwrap();
        gateways[fastrand::usize(..gateways.len())].clone()
    }

    /// Submits and works until it is over; every call must be answered, and well. Returns how many were.
    async fn call_on(self) -> u64 {
        let mut calls = 0;
        while !self.is_over.is_cancelled() {
            self.next().post("/tasks", &new_body("faq")).await.accepted(201);
            let claim = json!({"worker": "w1", "max": 2, "wait_ms": 1_000});
            let claimed = self.next().post("/agents/faq_agent/claim", &claim).await.accepted(200);
            for one in claimed["tasks"].as_array().unwrap() {
                self.next().complete(one).await.accepted(200);
            }
            calls += 2 + claimed["tasks"].as_array().unwrap().len() as u64;
        }
        calls
    }
}

#[tokio::test]
async fn gateways_that_are_replaced_one_after_the_other_show_no_client_an_error() {
    let redis = Redis::start().await;
    let program = patient(&redis).with("ORCHESTRATOR__HTTP__DRAIN_MS", "1000");
    let worker = program.start(&["worker"]);
    let mut gateways = VecDeque::from([program.start(&["gateway"]), program.start(&["gateway"])]);
    let balancer = Balancer::default();
    for gateway in &gateways {
        balancer.add(gateway).await;
    }
    let mut clients = JoinSet::new();
    for _ in 0..6 {
        clients.spawn(balancer.clone().call_on());
    }

    for _ in 0..2 {
        let mut old = gateways.pop_front().unwrap();
        balancer.retire(&mut old).await;
        let new = program.start(&["gateway"]);
        balancer.add(&new).await;
        gateways.push_back(new);
    }

    is_on(&gateways[0].client("reader").await, 200).await;
    balancer.is_over.cancel();
    let calls: u64 = clients.join_all().await.into_iter().sum();
    assert!(calls > 400, "only {calls} calls");
    program.finds_the_store_sound().await;
    for process in gateways.into_iter().chain([worker]) {
        process.stop().await;
    }
}
