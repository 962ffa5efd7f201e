//! Attacks over NATS, with the one agent key.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::agent::submit_large;
use super::target::{Attack, RIVAL, Target};
use crate::harness::{NatsCaller, late};

pub const ATTACKS: &[Attack] = &[
    Attack { name: "a thousand claims that wait", run: |target| Box::pin(claims(target)) },
    Attack { name: "answers over max_payload", run: |target| Box::pin(large_answers(target)) },
];

/// Asks with the attacking key; what is answered is counted.
async fn ask(target: &Target, caller: &NatsCaller, subject: &str, body: Value) {
    match caller.ask(subject, &body, Duration::from_secs(60)).await {
        Ok((status, _)) => target.count(status),
        Err(kind) => target.count(kind),
    }
}

/// Claims that wait as long as they may; each is asked again as soon as it is answered.
async fn claims(target: &Target) {
    let caller = NatsCaller::connect(&target.nats, RIVAL).await;
    let one = async |nth: usize| loop {
        let claim = json!({"worker": format!("w{nth}"), "wait_ms": 60_000});
        ask(target, &caller, "orchestrator.agents.ops_agent.claim", claim).await;
        late(Duration::from_millis(20)).await;
    };
    target.count("begun");
    join_all((0..1_000).map(one)).await;
}

/// A hundred tasks of 1 MB, claimed at once where an answer has 1 MB.
async fn large_answers(target: &Target) {
    submit_large(target).await;
    let caller = NatsCaller::connect(&target.nats, RIVAL).await;
    loop {
        let claim = json!({"worker": "w1", "max": 100, "wait_ms": 1_000});
        ask(target, &caller, "orchestrator.agents.dev_agent.claim", claim).await;
        late(Duration::from_millis(20)).await;
    }
}
