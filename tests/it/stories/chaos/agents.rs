//! Agents in processes of their own: this test binary once more, told to be one. They are killed and stopped as processes
//! are, and what they were told is read from what they print.

use std::path::Path;
use std::time::Duration;

use rustix::process::getppid;
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::world::World;
use super::{SETTINGS, told};
use crate::harness::{DAY, NatsCaller, Process, Program, id_of, late, may_take, report_on};

/// Tells the process which session it is; without it the test below tests.
const SESSION: &str = "ORCHESTRATOR_CHAOS_AGENT";
/// Where the gateways are written down.
const DIRECTORY: &str = "ORCHESTRATOR_CHAOS_GATEWAYS";
/// Where NATS is.
const NATS: &str = "ORCHESTRATOR_CHAOS_NATS";
/// How long an answer over NATS is waited for: much longer than a claim waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is printed before what the agent was told.
const TOLD: &str = "the agent was told: ";

/// Starts a session.
pub fn start(nth: usize, directory: &Path, nats: &str) -> Process {
    let program = Program::new()
        .with(SESSION, &nth.to_string())
        .with(DIRECTORY, directory.to_str().unwrap())
        .with(NATS, nats);
    let role = "stories::chaos::agents::agent_process_completes_a_task_and_its_output_is_recorded";
    program.start_other(&std::env::current_exe().unwrap(), &["--exact", role, "--nocapture"])
}

/// Remembers what a session was told: completions that were taken, and what must never be said.
pub fn hear(world: &World, printed: &str) {
    for line in printed.lines().filter_map(|line| line.split_once(TOLD)) {
        match line.1.split_once(' ').unwrap() {
            ("completed", taken) => {
                let (id, attempt) = taken.split_once(' ').unwrap();
                let mut told = world.told.lock().unwrap();
                told.completed.entry(id.to_owned()).or_default().insert(attempt.parse().unwrap());
            }
            (_, wrong) => world.accuse(wrong.to_owned()),
        }
    }
}

/// What an agent does with a task: some fail, some are given back, some are forgotten at the first attempt.
fn outcome(held: &Value) -> Option<Value> {
    let (number, attempt) = (number_of(held), attempt_of(held));
    let report = |outcome: &str| {
        report_on(held, json!({"task_id": id_of(&held["task"]), "outcome": outcome}))
    };
    let failed = |is_retryable: bool| {
        let mut failed = report("failed");
        (failed["error"], failed["retryable"]) = (json!("it broke"), json!(is_retryable));
        failed
    };
    match (number % 100, attempt) {
        (11..16, 1) => Some(failed(true)),
        (16..18, _) => Some(failed(true)),
        (18, _) => Some(failed(false)),
        (19..22, 1) => Some(report("released")),
        (22, 1) => None,
        _ => Some(report("completed")),
    }
}

fn number_of(held: &Value) -> u64 {
    held["task"]["payload"]["n"].as_u64().unwrap()
}

fn attempt_of(held: &Value) -> u64 {
    held["attempt"].as_u64().unwrap()
}

/// How a session calls: over HTTP, or over NATS.
enum Way {
    Http,
    Nats(NatsCaller),
}

impl Way {
    /// Sends outcomes and a claim until it is known what came of them.
    async fn send(&self, world: &World, agent: &str, body: &Value) -> Value {
        let Self::Nats(caller) = self else {
            return world
                .post("crew", &format!("/agents/{agent}/results"), body)
                .await
                .accepted(200);
        };
        loop {
            match caller.ask(&format!("orchestrator.agents.{agent}.results"), body, PATIENCE).await
            {
                Ok((200, answer)) => return answer,
                Ok((503, _)) | Err(_) => late(Duration::from_millis(20)).await,
                Ok(other) => accuse(&format!("results over NATS: {other:?}")),
            }
        }
    }
}

/// Reports what it holds and claims the next in the same call, until the process that started it is
/// gone.
async fn work(world: World, nth: usize) {
    let (parent, agent) = (getppid(), ["faq_agent", "dev_agent", "ops_agent"][nth % 3]);
    // Of the two sessions of an agent one calls over NATS.
    let way = match std::env::var(NATS) {
        Ok(url) if nth >= 3 => Way::Nats(NatsCaller::connect(&url, "crew").await),
        _ => Way::Http,
    };
    let mut outcomes: Vec<Value> = Vec::new();
    while getppid() == parent {
        let claim = json!({"worker": format!("w{nth}"), "max": 100, "wait_ms": 300});
        let body = json!({"outcomes": outcomes, "claim": claim});
        let answer = way.send(&world, agent, &body).await;
        let results = answer["results"].as_array().unwrap();
        let again = |result: &Value| result["problem"]["status"] == 503;
        for (outcome, result) in outcomes.iter().zip(results).filter(|(_, result)| !again(result)) {
            remember(outcome, result);
        }
        let unknown = outcomes.iter().zip(results).filter(|(_, result)| again(result));
        let mut next: Vec<_> = unknown.map(|(outcome, _)| outcome.clone()).collect();
        for held in answer["claimed"]["tasks"].as_array().into_iter().flatten() {
            if number_of(held) % 100 == 23 && attempt_of(held) == 1 {
                ask(&world, held).await;
            } else {
                next.extend(outcome(held));
            }
        }
        outcomes = next;
    }
}

/// Asks a human before it goes on.
async fn ask(world: &World, held: &Value) {
    let question = json!({"reason": "shall I?", "action": {"n": number_of(held)}});
    let body = report_on(held, question);
    let answer =
        world.post("crew", &format!("/tasks/{}/approval", id_of(&held["task"])), &body).await;
    if !matches!(answer.status, 200 | 201 | 409) {
        accuse(&format!("ask: {answer:?}"));
    }
}

fn accuse(what: &str) {
    println!("{TOLD}wrong {}", what.escape_debug());
}

fn remember(outcome: &Value, result: &Value) {
    let (id, attempt) = (id_of(outcome), outcome["attempt"].as_u64().unwrap());
    match (result["status"].as_str(), result["problem"]["status"].as_u64()) {
        (Some("completed"), _) if outcome["outcome"] == "completed" => {
            println!("{TOLD}completed {id} {attempt}")
        }
        (Some(_), _) if outcome["outcome"] != "completed" => {}
        (None, Some(409)) => {}
        _ => accuse(&format!("{outcome}: {result}")),
    }
}

#[tokio::test]
async fn agent_process_completes_a_task_and_its_output_is_recorded() {
    if let Some(nth) = told(SESSION) {
        // For as long as the story that started it.
        may_take(DAY);
        return work(World::new(0, true, std::env::var_os(DIRECTORY).unwrap().into()), nth).await;
    }
    let mut fleet = Fleet::start(&[], SETTINGS, 0).await;
    // Both are sessions of `faq_agent`; the second calls over NATS.
    for nth in [0, 3] {
        fleet.agents.clear();
        fleet.start_agent(nth);
        let submission = json!({"type": "faq", "payload": {"n": 0}});
        let task = fleet.world.post("crew", "/tasks", &submission).await.accepted(201);
        fleet.agents[0].prints(&format!("{TOLD}completed {}", id_of(&task))).await;

        fleet.kill_agent(0).await;

        assert_eq!(fleet.world.told.lock().unwrap().completed[&id_of(&task)].len(), 1);
    }
    fleet.finish().await;
}
