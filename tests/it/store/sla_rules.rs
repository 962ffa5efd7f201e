//! What rules do when a deadline is near or has passed.

use orchestrator::domain::approval::{ApprovalStatus, OnExpiry};
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::priority::Priority;
use orchestrator::domain::rules::{Action, SlaRule};
use orchestrator::domain::sla::{Clock, Threshold};
use orchestrator::domain::task::Task;
use orchestrator::engine::Error;

use super::sla_timers::{after, minutes, promise};
use crate::harness::{Builder, Fleet, assert_refused, open_level, sla_rule};

fn rule(on: Threshold, clock: Option<Clock>, action: Action) -> SlaRule {
    SlaRule { clock, ..sla_rule(on, action) }
}

fn with(rules: Vec<SlaRule>) -> Builder {
    Fleet::build().settings(|settings| settings.sla.rules = rules)
}

async fn submit(fleet: &Fleet, kind: &str) -> Task {
    fleet.submit_with(kind, |new| new.sla = promise(false)).await
}

#[tokio::test]
async fn a_task_in_danger_is_raised_past_its_equals_wherever_it_waits() {
    let fleet =
        with(vec![rule(Threshold::Warning, None, Action::Raise)]).without_approvals().start().await;
    let first = fleet.submit("faq").await.id;
    let second = submit(&fleet, "faq").await.id;

    after(&fleet, 5).await;

    let task = fleet.task(second).await;
    assert_eq!((task.spec.priority, task.state), (Priority::P1, State::Pending));
    let told = fleet.events().await.pop().unwrap();
    assert_eq!((told.event_type(), told.verb()), ("task.reprioritized", Some("reprioritize")));
    assert_eq!(
        (&told.body["payload"]["priority"], &told.body["payload"]["previous_priority"]),
        (&"P1".into(), &"P2".into())
    );
    let stats = fleet.engine.stats().await.unwrap();
    assert_eq!(stats.by_priority[1..3], [(Priority::P1, 1), (Priority::P2, 1)]);
    assert_eq!(fleet.claim_one().await.task.id, second);
    assert_eq!(fleet.claim_one().await.task.id, first);
    fleet.finish().await;
}

#[tokio::test]
async fn raise_rule_moves_an_assigned_task_ahead_but_not_a_claimed_one() {
    let fleet =
        with(vec![rule(Threshold::Warning, None, Action::Raise)]).without_approvals().start().await;
    fleet.submit("faq").await;
    let (second, held) = (submit(&fleet, "faq").await.id, submit(&fleet, "bugfix").await.id);
    fleet.claim_one_of("dev_agent").await;

    after(&fleet, 5).await;

    assert_eq!(fleet.task(held).await.spec.priority, Priority::P2);
    assert_eq!(fleet.task(second).await.state, State::Assigned);
    assert_eq!(fleet.claim_one().await.task.id, second);
    fleet.finish().await;
}

#[tokio::test]
async fn nothing_is_raised_above_the_top() {
    let fleet =
        with(vec![rule(Threshold::Warning, None, Action::Raise)]).without_approvals().start().await;
    let task = fleet
        .submit_with("faq", |new| (new.sla, new.spec.priority) = (promise(true), Priority::P0))
        .await;

    after(&fleet, 6).await;

    let after = fleet.task(task.id).await;
    assert_eq!((after.spec.priority, after.timeline.len()), (Priority::P0, 4));
    fleet.finish().await;
}

#[tokio::test]
async fn nothing_is_raised_to_a_priority_that_needs_an_approval_it_has_not() {
    let rules = vec![
        rule(Threshold::Warning, None, Action::Raise),
        rule(Threshold::Violation, None, Action::Raise),
    ];
    let fleet = with(rules).start().await;
    let at = async |kind: &str, priority| {
        let task =
            fleet.submit_with(kind, |new| (new.sla, new.spec.priority) = (promise(true), priority));
        task.await.id
    };
    let (plain, low) = (at("faq", Priority::P2).await, at("faq", Priority::P3).await);
    let gated = at("deploy", Priority::P2).await;
    let urgent = at("faq", Priority::P1).await;

    after(&fleet, 20).await;

    for (id, priority) in [
        (plain, Priority::P2),
        (low, Priority::P2),
        (gated, Priority::P2),
        // What it waits for is what the top needs too.
        (urgent, Priority::P0),
    ] {
        assert_eq!(fleet.task(id).await.spec.priority, priority, "{id}");
    }
    assert_eq!(fleet.claim_one().await.task.id, plain);
    fleet.finish().await;
}

#[tokio::test]
async fn a_violation_cancels_a_task_in_any_open_state_and_takes_it_from_its_agent() {
    let fleet =
        with(vec![rule(Threshold::Violation, Some(Clock::Finish), Action::Cancel)]).start().await;
    let held = {
        let id = submit(&fleet, "faq").await.id;
        let held = fleet.claim_one().await;
        assert_eq!(held.task.id, id);
        held
    };
    let (blocked, pending) = (submit(&fleet, "deploy").await, submit(&fleet, "faq").await.id);

    after(&fleet, 10).await;

    for id in [held.task.id, blocked.id, pending] {
        let task = fleet.task(id).await;
        assert_eq!(task.state, State::Cancelled);
        assert!(task.error.as_ref().unwrap().starts_with("it was to finish by 2"), "{task:?}");
        let types = fleet.event_types_of(id).await;
        assert_eq!(types[types.len() - 2..], ["sla.violation", "task.cancelled"]);
    }
    assert_eq!(fleet.approval_of(blocked.id).await.status, ApprovalStatus::Cancelled);
    assert_refused!(fleet.complete(&held).await, Error::TaskCancelled(_));
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_that_an_agent_takes_too_late_is_cancelled_all_the_same() {
    let fleet =
        with(vec![rule(Threshold::Violation, Some(Clock::Start), Action::Cancel)]).start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    minutes(&fleet, 6);
    let held = fleet.claim_one().await;

    after(&fleet, 0).await;

    assert_eq!(fleet.state_of(id).await, State::Cancelled);
    assert_refused!(fleet.complete(&held).await, Error::TaskCancelled(_));
    fleet.finish().await;
}

#[tokio::test]
async fn endangered_tasks_approval_escalates_one_level_and_no_further() {
    let rules = vec![
        rule(Threshold::Warning, None, Action::Escalate),
        rule(Threshold::Violation, None, Action::Escalate),
    ];
    let fleet = with(rules).settings(|settings| {
        let terms = &mut settings.approvals.rules[1].terms;
        terms.on_expiry = Some(OnExpiry::Escalate);
        terms.escalate_to = vec![open_level(3_600_000)];
    });
    let fleet = fleet.start().await;
    let (blocked, free) = (submit(&fleet, "deploy").await.id, submit(&fleet, "faq").await.id);
    let escalated = async |id| {
        fleet.task(id).await.timeline.iter().filter(|one| one.verb == Verb::Escalate).count()
    };

    after(&fleet, 5).await;
    assert_eq!((escalated(blocked).await, escalated(free).await), (1, 0));
    after(&fleet, 5).await;

    assert_eq!(escalated(blocked).await, 1);
    assert_eq!(fleet.approval_of(blocked).await.status, ApprovalStatus::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn named_target_is_notified_once_even_if_the_task_ends_first() {
    let fleet = with(vec![rule(Threshold::Violation, None, Action::Notify)]).start().await;
    let (swept, ended) = (submit(&fleet, "bugfix").await.id, submit(&fleet, "faq").await.id);
    let held = fleet.claim_one().await;
    minutes(&fleet, 10);

    fleet.complete(&held).await.unwrap();
    after(&fleet, 0).await;
    after(&fleet, 60).await;

    for id in [swept, ended] {
        let events = fleet.events().await;
        let told = |kind: &str| {
            let mine = events
                .iter()
                .filter(|one| one.body["task_id"] == id.to_string() && one.event_type() == kind);
            mine.cloned().collect::<Vec<_>>()
        };
        let [notification] = told("sla.notification").try_into().unwrap();
        let payload = &notification.body["payload"];
        assert_eq!(
            (&payload["to"], &payload["verb"], &payload["clock"]),
            (&"oncall".into(), &"notify".into(), &"finish".into())
        );
        assert_eq!(told("sla.violation").len(), 1);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_rule_holds_only_for_tasks_that_surely_meet_its_condition() {
    let mut rules = vec![rule(Threshold::Violation, None, Action::Cancel)];
    let json = r#"{"types": ["faq"], "where": [{"field": "payload.trial", "equals": [true]}]}"#;
    rules[0].when = serde_json::from_str(json).unwrap();
    let fleet = with(rules).start().await;
    let submit = |payload: &'static str| {
        fleet.submit_with("faq", move |new| {
            (new.sla, new.spec.payload) = (promise(false), crate::harness::json(payload))
        })
    };
    let (trial, unclear) =
        (submit(r#"{"trial": true}"#).await.id, submit(r#"{"trial": [true]}"#).await.id);

    after(&fleet, 10).await;

    assert_eq!(fleet.state_of(trial).await, State::Cancelled);
    assert_eq!(fleet.state_of(unclear).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn sla_rule_of_the_submission_holds_despite_later_settings() {
    let fleet = with(vec![rule(Threshold::Violation, None, Action::Cancel)]).start().await;
    let id = submit(&fleet, "faq").await.id;
    let mut settings = fleet.engine.settings().clone();
    settings.sla.rules.clear();
    let later = fleet.engine_with(settings);

    minutes(&fleet, 10);
    later.deadlines().await.unwrap();

    assert_eq!(fleet.state_of(id).await, State::Cancelled);
    fleet.finish().await;
}
