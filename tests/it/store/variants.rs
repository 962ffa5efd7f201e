//! The less common ways through scripts: each ends in the call of the script that is watched.

use orchestrator::domain::approval::{Decision, OnExpiry, OnRejection, Verdict};
use orchestrator::domain::report::Outcome;
use orchestrator::domain::rules::Action;
use orchestrator::domain::sla::Threshold;
use orchestrator::domain::submission::NewTask;
use orchestrator::engine::Engine;
use orchestrator::store::script::Script;

use super::sla_timers::{minutes, promise};
use crate::harness::{
    DAY, Fate, Fleet, failed, json, key, keyed, new_task, open_level, report_of, sla_rule,
};

/// Script and what is done with it.
pub const VARIANTS: &[(&str, &str)] = &[
    ("submit", "a batch of all kinds"),
    ("claim", "a lost payload and a task that is not cleared"),
    ("outcome", "all three in one call, with results"),
    ("approve", "with an edit"),
    ("reject", "an agent that wants to know"),
    ("cancel", "while a human is asked"),
    ("requeue", "what was rejected"),
    ("expire", "reminders and the next level"),
    ("deadlines", "every action"),
    ("reap", "the last lease, and a session that is gone"),
    ("prune", "with an approval"),
    ("doctor_tasks", "repairs"),
    ("doctor_agents", "repairs"),
    ("doctor_approvals", "repairs"),
];

/// Terms under which silence goes up, and rules that do all there is to do.
fn busy(fleet: &Fleet) -> Engine {
    let mut settings = fleet.engine.settings().clone();
    for rule in &mut settings.approvals.rules {
        rule.terms.remind_every_ms = Some(600_000);
        rule.terms.on_expiry = Some(OnExpiry::Escalate);
        let next = open_level(86_400_000);
        rule.terms.escalate_to = vec![next];
    }
    let actions = [Action::Raise, Action::Notify, Action::Escalate];
    settings.sla.rules =
        actions.into_iter().map(|action| sla_rule(Threshold::Warning, action)).collect();
    settings.sla.rules.push(sla_rule(Threshold::Violation, Action::Cancel));
    fleet.engine_with(settings)
}

/// Does what leads to the call, then holds the call back.
pub async fn tell(fleet: &Fleet, script: &'static Script, variant: &str) {
    let arm = || fleet.proxy.as_ref().unwrap().arm(Some(&script.digest), Fate::QuestionHeld);
    match script.name {
        "submit" | "claim" | "outcome" => of_agents(fleet, script.name, &arm).await,
        "expire" | "deadlines" | "reap" | "prune" => of_time(fleet, script.name, &arm).await,
        "doctor_tasks" | "doctor_agents" | "doctor_approvals" => repair(fleet, &arm).await,
        _ => of_humans(fleet, script.name, variant, &arm).await,
    }
}

async fn of_agents(fleet: &Fleet, script: &str, arm: &impl Fn()) {
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    match script {
        "submit" => {
            let parent = fleet.submit("faq").await.id;
            let mut child = NewTask { sla: promise(true), ..new_task("faq") };
            child.spec.parent = Some(parent);
            arm();
            let _ = engine
                .submit(alice, vec![keyed("k", "b"), child, new_task("deploy"), keyed("k", "b")])
                .await;
        }
        "claim" => {
            let ids = fleet.submit_many("faq", 3).await;
            fleet.route().await;
            let lost = ids[0].to_string();
            fleet.redis.ask::<i64>(&["HDEL", &key("specs"), &lost]).await;
            fleet
                .redis
                .edit_record(ids[1], "approval", "00000000-0000-7000-8000-000000000000")
                .await;
            arm();
            let _ = engine.claim(alice, fleet.ask_for("faq_agent", 10)).await;
        }
        _ => {
            fleet.submit_many("faq", 5).await;
            fleet.route().await;
            let result = Some(json(r#"{"n":1}"#));
            let outcomes = [
                Outcome::Completed { result: result.clone() },
                failed(false, None),
                failed(true, None),
                Outcome::Released,
                Outcome::Completed { result },
            ];
            let held = fleet.claim("faq_agent", 5).await;
            let reports = held.iter().zip(outcomes).map(|(held, end)| report_of(held, end));
            let reports = reports.collect();
            arm();
            let _ = engine.report(&fleet.people.agent, reports).await;
        }
    }
}

async fn of_humans(fleet: &Fleet, script: &str, variant: &str, arm: &impl Fn()) {
    match script {
        "approve" => {
            let asked = fleet.submit("deploy").await.approval.unwrap();
            let verdict = Verdict::Approve { payload: Some(json(r#"{"x":1}"#)) };
            let decision = Decision { verdict, comment: Some("safer".to_owned()), digest: None };
            arm();
            let _ = fleet.decide(&fleet.people.bob, asked, decision).await;
        }
        "reject" | "cancel" => {
            let task = fleet.submit("faq").await;
            let held = fleet.claim_one().await;
            let asked = fleet.ask(&held, OnRejection::Return).await.unwrap();
            arm();
            if script == "reject" {
                let _ = fleet.reject(asked.id).await;
            } else {
                let _ = fleet.cancel(task.id).await;
            }
        }
        "requeue" => {
            let task = fleet.submit("deploy").await;
            fleet.reject(task.approval.unwrap()).await.unwrap();
            arm();
            let _ = fleet.engine.requeue(&fleet.people.bob, task.id).await;
        }
        other => panic!("{other} {variant}: what is to be done?"),
    }
}

async fn of_time(fleet: &Fleet, script: &str, arm: &impl Fn()) {
    let (busy, alice) = (busy(fleet), &fleet.people.alice);
    let promised = |kind| NewTask { sla: promise(true), ..new_task(kind) };
    match script {
        "expire" => {
            busy.submit(alice, vec![new_task("deploy"), new_task("deploy")]).await.unwrap();
            fleet.advance(DAY);
            arm();
            let _ = busy.expire().await;
        }
        "deadlines" => {
            busy.submit(alice, vec![promised("faq"), promised("deploy")]).await.unwrap();
            minutes(fleet, 6);
            busy.submit(alice, vec![promised("faq"), promised("deploy")]).await.unwrap();
            minutes(fleet, 6);
            arm();
            let _ = busy.deadlines().await;
        }
        "reap" => {
            let mut settings = fleet.engine.settings().clone();
            settings.agents.max_lost = 1;
            fleet.submit("faq").await;
            fleet.claim_one().await;
            fleet.advance(DAY);
            arm();
            let _ = fleet.engine_with(settings).reap().await;
        }
        _ => {
            let task = fleet.submit("deploy").await;
            fleet.reject(task.approval.unwrap()).await.unwrap();
            fleet.advance(400 * DAY);
            arm();
            let _ = fleet.engine.prune().await;
        }
    }
}

/// A store with much to repair.
async fn repair(fleet: &Fleet, arm: &impl Fn()) {
    let gated = fleet.submit("deploy").await;
    let parent = fleet.submit("faq").await.id;
    fleet
        .submit_with("faq", |new| (new.spec.parent, new.sla) = (Some(parent), promise(true)))
        .await;
    let ids = fleet.submit_many("faq", 6).await;
    fleet.route().await;
    fleet.claim("faq_agent", 2).await;
    let lost: Vec<String> = ids.iter().map(ToString::to_string).collect();
    for words in [
        ["DEL", &key("timers"), "", ""],
        ["DEL", &key("agents"), "", ""],
        ["DEL", &key("reminders"), "", ""],
        ["DEL", &key("approvals:pending"), "", ""],
        ["HDEL", &key("specs"), &lost[0], ""],
        ["HDEL", &key("records"), &lost[1], ""],
        ["ZREM", &key("assigned:faq_agent"), &lost[5], ""],
        ["ZADD", &key("sessions:faq_agent"), "9000000000000", "w9"],
        ["ZADD", &key("completed"), "1", &lost[4]],
        ["ZADD", &key("approvals:rejected"), "1", &gated.approval.unwrap().to_string()],
    ] {
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        fleet.redis.ask::<i64>(&words).await;
    }
    arm();
    let _ = fleet.engine.repair().await;
}
