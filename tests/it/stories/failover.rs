//! A replica takes the place of the Redis that everybody spoke to, under the same address, as a virtual IP or a name
//! does that is pointed elsewhere.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Client, LossyProxy, Program, Redis, eventually};

/// A Redis that other ones can replicate, and the port at which they do.
async fn replicable(more: &[&str]) -> (Redis, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let arguments = [&["--bind", "127.0.0.1", "--port", &port], more].concat();
    (Redis::start(false, &arguments).await, port)
}

/// Submits so many tasks: the ids that were acknowledged.
async fn submit(crew: &Client, count: usize) -> BTreeSet<String> {
    let tasks = vec![json!({"type": "faq", "payload": {}}); count];
    let answer = crew.post("/tasks/batch", &json!({"tasks": tasks})).await.accepted(200);
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|result| result["task"]["task_id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the replica has everything that the primary has.
async fn has_caught_up(primary: &Redis, replica: &Redis) {
    eventually("the replica has caught up", async || {
        let (role, offset) =
            (primary.replication("master_repl_offset").await, replica.replication("slave_repl_offset"));
        let (offset, link) = (offset.await, replica.replication("master_link_status").await);
        if role == offset && link == "up" { Ok(()) } else { Err((role, offset, link)) }
    })
    .await;
}

#[tokio::test]
async fn a_promoted_replica_has_all_that_it_had_received_and_work_goes_on_without_a_restart_of_ours() {
    let (mut primary, port) = replicable(&[]).await;
    let (replica, _) = replicable(&["--replicaof", &format!("127.0.0.1 {port}")]).await;
    let address = LossyProxy::start(primary.url());
    let program = Program::over(address.url());
    let (gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
    let crew = gateway.client("crew").await;
    let received = submit(&crew, 100).await;
    has_caught_up(&primary, &replica).await;
    // From here on nothing reaches the replica, and nobody who submits is told.
    replica.ask::<String>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let missed = submit(&crew, 10).await;

    primary.kill();
    replica.ask::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    address.lead_to(replica.url());

    let mut done = BTreeSet::new();
    while done.len() < received.len() {
        let held = eventually("a task is handed out", async || {
            let claim = json!({"worker": "w1", "max": 100, "wait_ms": 1_000, "lease_ms": 60_000});
            let answer = crew.post("/agents/faq_agent/claim", &claim).await;
            let held = if answer.status == 200 { answer.json()["tasks"].as_array().unwrap().clone() } else { vec![] };
            if held.is_empty() { Err(answer) } else { Ok(held) }
        })
        .await;
        for one in held {
            let id = one["task"]["task_id"].as_str().unwrap().to_owned();
            crew.post(&format!("/tasks/{id}/complete"), &json!({"attempt": one["attempt"]})).await.accepted(200);
            assert!(done.insert(id), "done twice: {one}");
        }
    }
    let total: Value = crew.get("/stats").await.accepted(200)["queue"]["total_tasks"].take();
    assert_eq!((&done, total), (&received, json!(100)), "acknowledged and lost: {}", missed.len());
    assert_eq!(submit(&crew, 10).await.len(), 10);
    let (code, output, log) = program.run(&["doctor"]).await;
    assert_eq!(code, 0, "{output}{log}");
    worker.stop().await;
    gateway.stop().await;
}
