//! Every verb on a task in every state: Redis accepts exactly what the one table accepts.

use orchestrator::domain::approval::{ApprovalStatus, Decision, OnExpiry, Verdict};
use orchestrator::domain::ids::{ApprovalId, Partition, TaskId};
use orchestrator::domain::lease::Lease;
use orchestrator::domain::lifecycle::{RULES, State, Verb};
use orchestrator::domain::principal::Role;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::report::{Outcome, Report};
use orchestrator::domain::rules::{Action, Condition, SlaRule};
use orchestrator::domain::sla::{Clock, Threshold};
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::{Progress, Task};
use orchestrator::engine::{StatusChange, Target};

use crate::harness::{
    Fleet, HOUR, approval_key, failed, json, key, name, open_level, question, sla_rule,
};

/// Verbs that need an approval of more than one human, who ask others when they are silent.
const NEEDS_TWO: [Verb; 3] = [Verb::Vote, Verb::Edit, Verb::Escalate];

/// Brings a task into a state by legal steps only; with none, into no state at all: there is no such task.
///
/// Every one has an approval, so that the verbs of approvers have something to act on, and is of the source that the
/// rules for deadlines have an action for.
async fn bring(fleet: &Fleet, state: Option<State>, verb: Verb) -> (TaskId, Lease) {
    let mut lease = Lease::new([0; 16]);
    let Some(state) = state else { return (TaskId::new(Partition(0)), lease) };
    let start = if state == State::Scheduled { Start::After(60_000) } else { Start::Now };
    let priority = match verb {
        _ if NEEDS_TWO.contains(&verb) => Priority::P0,
        // One step up, its approval still is the one that it needs.
        Verb::Reprioritize => Priority::P3,
        _ => Priority::P2,
    };
    let task = fleet.submit_with("deploy", |new| {
        (new.start, new.spec.priority, new.spec.source) = (start, priority, name(verb.as_str()));
    });
    let task = task.await;
    if state == State::Blocked {
        return (task.id, lease);
    }
    let (approval, people) = (task.approval.unwrap(), &fleet.people);
    for approver in
        [&people.bob, &people.carol].into_iter().take(1 + usize::from(priority == Priority::P0))
    {
        fleet.engine.decide(approver, approval, Decision::approve(None)).await.unwrap();
    }
    match state {
        State::Blocked | State::Scheduled | State::Pending => {}
        State::Assigned => fleet.route().await,
        State::Cancelled => {
            fleet.cancel(task.id).await.unwrap();
        }
        State::InProgress | State::Completed | State::Failed => {
            let held = fleet.claim_one_of("ops_agent").await;
            lease = held.lease.clone();
            match state {
                State::Completed => fleet.complete(&held).await.map(drop).unwrap(),
                State::Failed => fleet.give_up(&held).await.map(drop).unwrap(),
                _ => {}
            }
        }
    }
    (task.id, lease)
}

/// Makes the approval look undecided, so that only the task's state can stand in the way.
async fn reopen_approval(fleet: &Fleet, task: &Task) {
    let id = task.approval.unwrap();
    let status = fleet.approval_of(task.id).await.status;
    if status != ApprovalStatus::Pending {
        let (hash, member) = (approval_key(id), id.to_string());
        let set = |status: ApprovalStatus| key(&format!("approvals:{}", status.as_str()));
        fleet
            .redis
            .ask::<i64>(&["HSET", &hash, "status", "pending", "votes", "[]", "yes", "0"])
            .await;
        fleet.redis.ask::<i64>(&["ZREM", &set(status), &member]).await;
        fleet.redis.ask::<i64>(&["ZADD", &set(ApprovalStatus::Pending), "1", &member]).await;
    }
}

/// Does `verb` to the task. Whether it was accepted is seen in what changed.
async fn apply(fleet: &Fleet, verb: Verb, (id, lease): (TaskId, &Lease), task: Option<&Task>) {
    let (engine, people) = (&fleet.engine, &fleet.people);
    let attempt = task.map_or(1, |task| task.attempt);
    let proof = (attempt, lease);
    let approval =
        task.and_then(|task| task.approval).unwrap_or_else(|| ApprovalId::new(Partition(0)));
    let report = |outcome| async move {
        let report = Report { id, attempt, lease: lease.clone(), outcome };
        engine.report(&people.agent, vec![report]).await.unwrap();
    };
    match verb {
        Verb::Submit => unreachable!("it starts from no state"),
        Verb::Approve | Verb::Vote => drop(fleet.approve(approval).await),
        Verb::Edit => {
            let verdict = Verdict::Approve { payload: Some(json(r#"{"changed":true}"#)) };
            let decision = Decision { verdict, comment: None, digest: None };
            drop(engine.decide(&people.bob, approval, decision).await);
        }
        Verb::Ask => {
            drop(engine.ask(&people.agent, id, proof, question()).await);
        }
        Verb::Park => {
            engine.route().await.unwrap();
            fleet.claim("ops_agent", 10).await;
        }
        Verb::Reject => drop(fleet.reject(approval).await),
        Verb::Retarget => {
            let roles = vec![Role::Admin];
            let target = Target::People { roles, groups: Vec::new(), quorum: Some(1) };
            drop(engine.retarget(&people.dave, approval, target, None).await);
        }
        Verb::Expire | Verb::Escalate => drop(engine.expire().await.unwrap()),
        Verb::Promote => drop(engine.promote().await.unwrap()),
        Verb::Route => drop(engine.route().await.unwrap()),
        Verb::Claim => drop(fleet.claim("ops_agent", 10).await),
        Verb::Take => drop(engine.change_status(&people.alice, id, StatusChange::InProgress).await),
        Verb::Extend => {
            let progress = Progress { percent: 50.0, message: None };
            drop(engine.extend(&people.agent, id, proof, Some(progress), None).await);
        }
        Verb::Complete => report(Outcome::Completed { result: None }).await,
        Verb::Retry => report(failed(true, None)).await,
        Verb::Fail => report(failed(false, None)).await,
        Verb::Release => report(Outcome::Released).await,
        Verb::Reap => drop(engine.reap().await.unwrap()),
        Verb::Cancel => drop(fleet.cancel(id).await),
        Verb::Warn | Verb::Violate | Verb::Notify | Verb::Reprioritize | Verb::Abort => {
            engine.deadlines().await.unwrap();
        }
        Verb::Requeue => drop(fleet.requeue(id).await),
        Verb::Prune => drop(engine.prune().await.unwrap()),
        Verb::Repair => drop(engine.repair().await.unwrap()),
    }
}

/// Lets so much time pass that a duty's verb is due; and loses what the doctor's is for.
async fn make_due(fleet: &Fleet, verb: Verb, id: TaskId) {
    match verb {
        Verb::Repair => {
            let loss = ["HDEL", &key("specs"), &id.to_string()];
            fleet.redis.ask::<i64>(&loss).await;
        }
        Verb::Park => {
            let change = ["HSET", &key("specs"), &id.to_string(), r#"{"tampered":"with"}"#];
            fleet.redis.ask::<i64>(&change).await;
        }
        Verb::Warn | Verb::Notify | Verb::Abort => fleet.advance(7 * HOUR),
        Verb::Reprioritize => fleet.advance(60 * HOUR),
        Verb::Violate => {
            fleet.advance(7 * HOUR);
            fleet.engine.deadlines().await.unwrap();
            fleet.advance(2 * HOUR);
        }
        Verb::Expire | Verb::Escalate => {
            fleet.advance(25 * HOUR);
            // Else the script that ends the task speaks of its deadline too.
            fleet.engine.deadlines().await.unwrap();
        }
        Verb::Promote | Verb::Reap => fleet.advance(HOUR),
        Verb::Prune => fleet.advance(8 * 24 * HOUR),
        _ => {}
    }
}

/// After an accepted verb: the state, the timeline and the event are what the table says.
async fn check_move(fleet: &Fleet, verb: Verb, before: &Task, events_before: usize) {
    let rule = verb.rule();
    let events = fleet.events().await.split_off(events_before);
    if verb == Verb::Prune {
        assert!(events.is_empty() && fleet.engine.task(before.id).await.is_err());
        return;
    }
    let after = fleet.task(before.id).await;
    let types: Vec<_> = events.iter().map(|event| event.event_type()).collect();
    if verb == Verb::Extend {
        assert_eq!((after.state, after.timeline.len()), (before.state, before.timeline.len()));
        assert_eq!(types, [rule.event]);
        return;
    }
    let is_allowed = if rule.to.is_empty() {
        after.state == before.state
    } else {
        rule.to.contains(&after.state)
    };
    assert!(is_allowed, "{verb} led from {} to {}", before.state, after.state);
    // What a rule does comes with what it is done for.
    let added = 1 + usize::from(is_of_rules(verb));
    assert_eq!(after.timeline.len(), before.timeline.len() + added, "{verb}");
    let last = after.timeline.last().unwrap();
    assert_eq!((last.verb, last.to), (verb, after.state));
    let told: Vec<_> = events.iter().filter(|event| event.verb().is_some()).collect();
    assert_eq!(told.len(), added, "{verb} is told by one event: {events:#?}");
    let told = told.last().unwrap();
    assert_eq!((told.event_type(), told.verb()), (rule.event, Some(verb.as_str())));
    assert_eq!(told.body["payload"]["status"], after.state.as_str());
    assert_eq!(told.body["payload"]["previous_status"], before.state.as_str());
}

/// Whether it is what a rule asks for when a deadline is near.
fn is_of_rules(verb: Verb) -> bool {
    matches!(verb, Verb::Notify | Verb::Reprioritize | Verb::Abort)
}

/// What to do on a warning about tasks of the source that the verb is.
fn rule(action: Action, verb: Verb) -> SlaRule {
    let when = Condition { sources: vec![name(verb.as_str())], ..Condition::default() };
    SlaRule { clock: Some(Clock::Finish), when, ..sla_rule(Threshold::Warning, action) }
}

/// Applies every verb to a task in this state, each in a fresh keyspace.
async fn obeys_the_table(state: Option<State>) {
    // A session that falls silent would be news of its own, and the log is compared.
    let fleet = Fleet::build().settings(|settings| {
        settings.agents.session_ms = u64::from(u32::MAX);
        settings.retention.events_ms = u64::from(u32::MAX);
        let terms = &mut settings.approvals.rules[0].terms;
        (terms.quorum, terms.four_eyes, terms.on_expiry) =
            (Some(2), true, Some(OnExpiry::Escalate));
        terms.escalate_to = vec![open_level(u64::from(u32::MAX))];
        settings.sla.rules = vec![
            rule(Action::Notify, Verb::Notify),
            rule(Action::Raise, Verb::Reprioritize),
            rule(Action::Cancel, Verb::Abort),
        ];
    });
    let fleet = fleet.sources("user:alice", &["*"]).start().await;
    for verb in RULES.iter().map(|rule| rule.verb).filter(|verb| *verb != Verb::Submit) {
        fleet.redis.ask::<String>(&["FLUSHDB"]).await;
        // So that the agent is known and its first claim changes nothing by itself.
        fleet.claim("ops_agent", 1).await;
        let (id, lease) = bring(&fleet, state, verb).await;
        let task = fleet.engine.task(id).await.ok();
        assert_eq!(task.as_ref().map(|task| task.state), state);
        let is_decision =
            matches!(verb, Verb::Approve | Verb::Reject | Verb::Retarget | Verb::Expire)
                || NEEDS_TWO.contains(&verb);
        if let Some(task) = task.as_ref().filter(|_| is_decision) {
            reopen_approval(&fleet, task).await;
        }
        let mut task = task;
        if task.is_some() {
            make_due(&fleet, verb, id).await;
            if let (Ok(due), Verb::Warn | Verb::Violate | Verb::Expire | Verb::Escalate) =
                (fleet.engine.task(id).await, verb)
            {
                task = Some(due);
            }
        }
        let (before, events) = (fleet.redis.dump().await, fleet.events().await.len());

        apply(&fleet, verb, (id, &lease), task.as_ref()).await;

        let after = fleet.redis.dump().await;
        let is_legal = state.is_some_and(|state| verb.rule().from.contains(&state));
        if is_legal {
            assert_ne!(before, after, "{verb} did nothing to a task that is {state:?}");
            check_move(&fleet, verb, &task.unwrap(), events).await;
        } else if (verb, state) == (Verb::Reprioritize, Some(State::InProgress)) {
            // The warning that asks for it is announced, and no more.
            check_move(&fleet, Verb::Warn, &task.unwrap(), events).await;
        } else {
            assert_eq!(before, after, "{verb} changed a task that is {state:?}");
        }
    }
    // Each pair began in an empty keyspace; the approvals that were reopened by force are no finding of interest.
    fleet.discard();
}

#[tokio::test]
async fn a_blocked_task_obeys_the_table() {
    obeys_the_table(Some(State::Blocked)).await;
}

#[tokio::test]
async fn a_scheduled_task_obeys_the_table() {
    obeys_the_table(Some(State::Scheduled)).await;
}

#[tokio::test]
async fn a_pending_task_obeys_the_table() {
    obeys_the_table(Some(State::Pending)).await;
}

#[tokio::test]
async fn an_assigned_task_obeys_the_table() {
    obeys_the_table(Some(State::Assigned)).await;
}

#[tokio::test]
async fn a_task_in_progress_obeys_the_table() {
    obeys_the_table(Some(State::InProgress)).await;
}

#[tokio::test]
async fn a_completed_task_obeys_the_table() {
    obeys_the_table(Some(State::Completed)).await;
}

#[tokio::test]
async fn a_failed_task_obeys_the_table() {
    obeys_the_table(Some(State::Failed)).await;
}

#[tokio::test]
async fn a_cancelled_task_obeys_the_table() {
    obeys_the_table(Some(State::Cancelled)).await;
}

#[tokio::test]
async fn a_task_that_does_not_exist_obeys_the_table() {
    obeys_the_table(None).await;
}
