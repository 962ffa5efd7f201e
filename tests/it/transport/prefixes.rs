//! Two deployments in one NATS and one Redis, told apart by `nats.prefix` and `store.prefix`.

use std::time::Duration;

use orchestrator::engine::Engine;
use orchestrator::transport::Settings;
use serde_json::{Value, json};

use crate::harness::{Fleet, Nats, new_body, report_on};

use super::{Caller, Listener, Office, bridge_of, refused, settle};

/// A deployment beside the fleet's: its engine, and what it is told about NATS.
async fn neighbour(fleet: &Fleet, nats: &Nats) -> (Engine, Settings) {
    let engine = fleet.neighbour(1).await;
    let prefix = "neighbour".parse().unwrap();
    (engine, Settings { prefix, ..nats.settings() })
}

/// Submits a task and has it claimed and completed over NATS; its id.
async fn whole_life(caller: &Caller, engine: &Engine, prefix: &str) -> Value {
    let of = |rest: &str| format!("{prefix}.{rest}");
    let body = new_body("faq");
    let id = caller.accepted("crew", &of("ingest.tasks"), &body).await["task_id"].take();
    while engine.route().await.unwrap().moved > 0 {}
    let claim = json!({"worker": "w1", "max": 9});
    let claimed = caller.accepted("crew", &of("agents.faq_agent.claim"), &claim).await;
    let tasks = claimed["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{claimed}");
    assert_eq!(tasks[0]["task"]["task_id"], id);
    let done = report_on(&tasks[0], json!({"task_id": id}));
    caller.accepted("crew", &of("tasks.complete"), &done).await;
    id
}

#[tokio::test]
async fn two_deployments_in_one_nats_do_not_hear_each_other() {
    let (fleet, nats) = (Fleet::build().without_approvals().start().await, Nats::start().await);
    let (other, settings) = neighbour(&fleet, &nats).await;
    let ours = Office::open(&fleet, &nats).await;
    let theirs = Office::of(&other, &settings).await;
    let caller = Caller::of(&nats).await;
    let mut heard = Listener::to(&nats, "*.events.>").await;

    let our_id = whole_life(&caller, &fleet.engine, "orchestrator").await;
    let their_id = whole_life(&caller, &other, "neighbour").await;
    let foreign = json!({"task_id": our_id});
    refused(&caller.call("crew", "neighbour.tasks.get", &foreign).await, 404, "unknown-task");

    settle(&bridge_of(&fleet.engine, &nats.settings()).await).await;
    settle(&bridge_of(&other, &settings).await).await;
    for (prefix, stream, id) in [
        ("orchestrator", "ORCHESTRATOR_EVENTS", &our_id),
        ("neighbour", "NEIGHBOUR_EVENTS", &their_id),
    ] {
        let stream = async_nats::jetstream::new(nats.client().await).get_stream(stream).await;
        let count = stream.unwrap().cached_info().state.messages;
        let mut told = 0;
        for _ in 0..count {
            let message = heard.next().await;
            assert!(message.subject.starts_with(&format!("{prefix}.events.")), "{message:?}");
            let about = &message.json()["task_id"];
            assert!(about == id || about.is_null(), "{message:?}");
            told += usize::from(about == id);
        }
        assert!(told >= 4, "{prefix}: {told} of {count} are about the task");
    }
    ours.close().await;
    theirs.close().await;
    assert_eq!(other.doctor().await.unwrap(), []);
    fleet.finish().await;
}

#[tokio::test]
async fn a_service_is_found_by_the_prefix_of_its_deployment() {
    let (fleet, nats) = (Fleet::start().await, Nats::plain().await);
    let (other, settings) = neighbour(&fleet, &nats).await;
    let theirs = Office::of(&other, &settings).await;
    let caller = Caller::of(&nats).await;

    let answer = caller.0.request("$SRV.PING.neighbour", "".into()).await.unwrap();
    let ping: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(ping["name"], "neighbour");
    let unanswered = caller.0.request("orchestrator.ingest.tasks", "{}".into());
    let unanswered = tokio::time::timeout(Duration::from_secs(10), unanswered).await.unwrap();
    assert_eq!(unanswered.unwrap_err().kind(), async_nats::RequestErrorKind::NoResponders);

    theirs.close().await;
    fleet.finish().await;
}
