//! What is checked at the end, against the log, the store and what the callers were told: the invariants of the README.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use orchestrator::domain::ids::{EventId, Partition};
use orchestrator::domain::lifecycle::{RULES, State, Verb};
use orchestrator::domain::priority::Priority;
use orchestrator::domain::task::{TIMELINE, Task};
use orchestrator::engine::TaskFilter;
use serde_json::json;

use super::fleet::Fleet;
use super::world::Told;
use crate::harness::{Seen, engine_over};

/// How much earlier than it came a P2 task counts than a P3 task, by default.
const HEAD_START_MS: u64 = 60_000;
/// What a fault may add to one wait and not to the other.
const SLACK_MS: u64 = 10_000;

/// One transition, as the log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    verb: Verb,
    to: State,
    attempt: u32,
}

/// The log, and what is wrong with it by itself.
#[derive(Default)]
struct Log {
    ids: Vec<String>,
    steps: BTreeMap<String, Vec<Step>>,
    /// How long after its time each threshold of a clock was announced, ms.
    lags: Vec<u64>,
    wrong: Vec<String>,
}

impl Log {
    async fn read(fleet: &Fleet) -> Self {
        let mut log = Self::default();
        let mut before = None;
        fleet
            .redis
            .each_event(Partition(0), |event| {
                if before >= Some(event.id) {
                    log.wrong.push(format!("{} comes after {before:?}", event.id.to_uuid()));
                }
                before = Some(event.id);
                log.ids.push(event.id.to_uuid().to_string());
                log.follow(&event);
            })
            .await;
        log
    }

    /// A transition must start from where the one before ended, and be one that the table has.
    fn follow(&mut self, event: &Seen) {
        let Some(word) = event.verb() else { return };
        let rule = RULES.iter().find(|rule| rule.verb.as_str() == word).unwrap();
        let state =
            |name: &str| event.body["payload"][name].as_str().and_then(|word| word.parse().ok());
        let id = event.body["task_id"].as_str().unwrap().to_owned();
        let (from, to) = (state("previous_status"), state("status").unwrap());
        let attempt = event.body["payload"]["attempt"].as_u64().unwrap() as u32;
        let steps = self.steps.entry(id).or_default();
        let last = steps.last();
        let starts_well =
            last.map(|last| last.to) == from && from.is_none_or(|from| rule.from.contains(&from));
        let counts = last.map_or(0, |last| last.attempt)
            + u32::from(matches!(rule.verb, Verb::Claim | Verb::Take));
        // A verb that leads nowhere leaves the task where it is.
        let ends_well = rule.to.contains(&to) || rule.to.is_empty() && from == Some(to);
        if matches!(rule.verb, Verb::Warn | Verb::Violate) {
            let due_at =
                event.body["payload"]["due_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
            self.lags.push(event.id.at_ms.saturating_sub(due_at.timestamp_millis() as u64));
        }
        if !starts_well
            || !ends_well
            || attempt != counts
            || from.is_none() != (rule.verb == Verb::Submit)
        {
            self.wrong.push(format!("illegal after {last:?}: {}", event.body));
        }
        steps.push(Step { verb: rule.verb, to, attempt });
    }
}

/// What the story comes to.
#[derive(Debug, Default)]
pub struct Figures {
    pub tasks: usize,
    pub events: usize,
    pub by_state: BTreeMap<String, usize>,
    /// Attempts beyond the first that no failure and no return explains: work that was begun twice.
    pub repeated: usize,
    /// Leases that ended in silence.
    pub lost_leases: usize,
    pub retries: usize,
    pub replays: usize,
    pub approvals: usize,
    /// Agents that asked mid-task.
    pub asks: usize,
    /// Payloads that an approver changed.
    pub edits: usize,
    /// Completions that an agent was told of.
    pub completions: usize,
    /// Deadlines that passed.
    pub violations: usize,
    /// How long after its time each threshold was announced, ms, the soonest first.
    pub lags: Vec<u64>,
    /// The longest wait for a first attempt, ms.
    pub waits: BTreeMap<Priority, u64>,
    /// Everything that breaks a promise.
    pub wrong: Vec<String>,
}

/// Compares the log, the store and what the callers were told.
pub async fn check(fleet: &mut Fleet) -> Figures {
    let log = Log::read(fleet).await;
    fleet.has_seen(log.ids.last().unwrap()).await;
    let engine = engine_over(fleet.redis.url()).await;
    let told = std::mem::take(&mut *fleet.world.told.lock().unwrap());
    let mut figures = Figures {
        events: log.ids.len(),
        replays: told.replays,
        wrong: told.wrong.clone(),
        ..Figures::default()
    };
    figures.wrong.extend(log.wrong.clone());
    let (mut stored, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = engine.tasks(&TaskFilter::default(), 200, cursor.as_deref()).await.unwrap();
        for task in &page.items {
            stored.insert(task.id.to_string());
            figures.judge(
                task,
                log.steps.get(&task.id.to_string()).map_or(&[], Vec::as_slice),
                &told,
            );
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    figures.tasks = stored.len();
    figures.completions = told.completed.len();
    figures.lags = log.lags.clone();
    figures.lags.sort_unstable();
    figures.compare_waits();
    figures.compare(&stored, &log, &told);
    figures
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            tasks, events, by_state, repeated, lost_leases, retries, replays, wrong, ..
        } = self;
        let Self { approvals, asks, edits, completions, violations, waits, .. } = self;
        let lag = |share: usize| {
            self.lags.get((self.lags.len() * share / 100).saturating_sub(1)).copied().unwrap_or(0)
        };
        write!(
            formatter,
            "{tasks} tasks {by_state:?}, {events} events, {completions} completions told, "
        )?;
        write!(
            formatter,
            "{approvals} approved, {asks} asked mid-task, {edits} payloads edited, {retries} retries, "
        )?;
        write!(
            formatter,
            "{violations} deadlines passed, {} announcements late by at most ",
            self.lags.len()
        )?;
        write!(formatter, "{} ms (99 %: {}), longest waits {waits:?} ms, ", lag(100), lag(99))?;
        write!(
            formatter,
            "{lost_leases} leases lost, {repeated} executions repeated, {replays} submissions sent again, "
        )?;
        write!(formatter, "{} promises broken", wrong.len())
    }
}

impl Figures {
    fn accuse(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// One task: at its end, with one event for each transition, and as the callers were told.
    fn judge(&mut self, task: &Task, steps: &[Step], told: &Told) {
        let id = task.id.to_string();
        *self.by_state.entry(task.state.to_string()).or_default() += 1;
        let count = |verb: Verb| steps.iter().filter(|step| step.verb == verb).count();
        let timeline: Vec<_> = task
            .timeline
            .iter()
            .map(|step| Step { verb: step.verb, to: step.to, attempt: step.attempt })
            .collect();
        if timeline.len() < TIMELINE as usize && timeline != steps {
            self.accuse(format!("{id}: the timeline has {timeline:?}, the log {steps:?}"));
        }
        if !task.state.is_terminal() || count(Verb::Complete) > 1 {
            self.accuse(format!("{id} is {} after {steps:?}", task.state));
        }
        if let Some(attempts) = told.completed.get(&id) {
            let done = steps
                .iter()
                .find(|step| step.verb == Verb::Complete)
                .map(|step| u64::from(step.attempt));
            if attempts.len() != 1
                || attempts.first().copied() != done
                || task.state != State::Completed
            {
                self.accuse(format!(
                    "{id}: completions of attempts {attempts:?} were taken; {steps:?}"
                ));
            }
        }
        if told.cancelled.contains(&id) && task.state != State::Cancelled {
            self.accuse(format!("{id} is {} though it was cancelled", task.state));
        }
        let decision = if count(Verb::Approve) > 0 { "approve" } else { "reject" };
        if told.decided.get(&id).is_some_and(|told| {
            *told != decision || count(Verb::Approve) + count(Verb::Reject) != 1
        }) {
            self.accuse(format!("{id}: {:?} was taken, but {steps:?}", told.decided.get(&id)));
        }
        if is_claimed_unapproved(steps) {
            self.accuse(format!("{id} went to an agent unapproved: {steps:?}"));
        }
        if steps.iter().any(|step| step.to == State::Blocked) != task.approval.is_some() {
            self.accuse(format!("{id}: {:?} after {steps:?}", task.approval));
        }
        self.time(task, &count);
        self.approvals += count(Verb::Approve);
        self.asks += count(Verb::Ask);
        self.edits += usize::from(task.version > 1);
        self.lost_leases += count(Verb::Reap);
        self.retries += count(Verb::Retry);
        let explained = count(Verb::Retry) + count(Verb::Release) + 1;
        self.repeated += (task.attempt as usize).saturating_sub(explained);
    }

    /// Each threshold that passed before the task's end was announced once, and none that did not; how long it waited.
    fn time(&mut self, task: &Task, count: &impl Fn(Verb) -> usize) {
        let deadline = task.sla.as_ref().and_then(|sla| sla.deadline).unwrap_or(u64::MAX);
        let expected = usize::from(task.completed_at().is_some_and(|end| end >= deadline));
        if count(Verb::Violate) != expected || count(Verb::Warn) < expected || count(Verb::Warn) > 1
        {
            let found = (count(Verb::Warn), count(Verb::Violate));
            self.accuse(format!(
                "{}: warned and violated {found:?} times, deadline {deadline}, {:?}",
                task.id, task.timeline
            ));
        }
        self.violations += expected;
        let first = task.timeline.iter().find(|step| step.verb == Verb::Claim && step.attempt == 1);
        if let (Some(first), None) = (first, &task.approval) {
            let longest = self.waits.entry(task.spec.priority).or_default();
            *longest = first.at.saturating_sub(task.clocks_since).max(*longest);
        }
    }

    /// A P3 goes as early as a P2 that comes a head start of the P2 later.
    fn compare_waits(&mut self) {
        let longest = |priority: Priority| self.waits.get(&priority).copied().unwrap_or(0);
        let bound = longest(Priority::P2) + HEAD_START_MS + SLACK_MS;
        if longest(Priority::P3) > bound {
            self.accuse(format!("a P3 waited longer than {bound} ms: {:?}", self.waits));
        }
    }

    /// Everything that was acknowledged is stored, and nothing else; the subscriber saw every event once, in order.
    fn compare(&mut self, stored: &BTreeSet<String>, log: &Log, told: &Told) {
        let accepted: BTreeSet<_> = told.accepted.values().cloned().collect();
        if accepted.len() != told.accepted.len() {
            self.accuse(format!(
                "{} keys were answered with {} tasks",
                told.accepted.len(),
                accepted.len()
            ));
        }
        for lost in accepted.difference(stored) {
            self.accuse(format!("{lost} was acknowledged and is lost"));
        }
        for extra in stored.difference(&accepted) {
            self.accuse(format!("{extra} is stored twice: no caller was told of it"));
        }
        let untold = log.steps.keys().filter(|id| !stored.contains(*id)).count();
        if untold > 0 {
            self.accuse(format!("the log tells of {untold} tasks that are not stored"));
        }
        // It may have seen more meanwhile.
        let seen = &told.seen[..told.seen.len().min(log.ids.len())];
        if let Some(at) = seen.iter().zip(&log.ids).position(|(seen, logged)| seen != logged) {
            self.accuse(format!(
                "the subscriber saw {} where the log has {}, as event {at}",
                seen[at], log.ids[at]
            ));
        }
        if seen.len() < log.ids.len() {
            self.accuse(format!("the subscriber saw {} of {} events", seen.len(), log.ids.len()));
        }
    }
}

/// Whether an agent got the task while a human had been asked and had not said yes.
fn is_claimed_unapproved(steps: &[Step]) -> bool {
    let mut is_asked = false;
    steps.iter().any(|step| {
        is_asked = step.to == State::Blocked || is_asked && step.verb != Verb::Approve;
        is_asked && step.verb == Verb::Claim
    })
}

/// What the checker says of a log of these transitions of one task: verb, from, to, attempt.
fn judged(steps: &[(&str, Option<&str>, &str, u64)]) -> Log {
    let mut log = Log::default();
    for (nth, (verb, from, to, attempt)) in (1u64..).zip(steps) {
        let payload =
            json!({"verb": verb, "previous_status": from, "status": to, "attempt": attempt});
        let id = EventId { at_ms: nth, ..EventId::first(Partition(0)) };
        log.follow(&Seen { id, body: json!({"task_id": "t", "payload": payload}) });
    }
    log
}

#[test]
fn the_checker_sees_a_transition_that_is_left_out_done_twice_or_not_allowed() {
    let life = [
        ("submit", None, "pending", 0),
        ("route", Some("pending"), "assigned", 0),
        ("claim", Some("assigned"), "in_progress", 1),
        ("complete", Some("in_progress"), "completed", 1),
    ];
    assert!(judged(&life).wrong.is_empty());

    let left_out = [life[0], life[2], life[3]];
    let twice = [life[0], life[1], life[2], life[3], life[3]];
    let reopened =
        [life[0], life[1], life[2], life[3], ("requeue", Some("completed"), "pending", 1)];
    let stale = [life[0], life[1], life[2], ("complete", Some("in_progress"), "completed", 2)];
    for wrong in [&left_out[..], &twice, &reopened, &stale] {
        assert_eq!(judged(wrong).wrong.len(), 1, "{wrong:?}");
    }
}

#[test]
fn checker_finds_lost_and_duplicate_tasks_and_missed_events() {
    let mut told = Told::default();
    told.accepted.insert("key".to_owned(), "lost".to_owned());
    told.seen = vec!["first".to_owned()];
    let log = Log { ids: vec!["first".to_owned(), "second".to_owned()], ..Log::default() };
    let mut figures = Figures::default();

    figures.compare(&BTreeSet::from(["twice".to_owned()]), &log, &told);

    let found = |what: &str| figures.wrong.iter().any(|wrong| wrong.contains(what));
    assert!(
        found("lost was acknowledged and is lost") && found("twice is stored twice"),
        "{figures:?}"
    );
    assert!(found("saw 1 of 2 events") && figures.wrong.len() == 3, "{figures:?}");
}

#[test]
fn the_checker_sees_a_claim_without_a_yes_and_a_p3_that_starves() {
    let step = |(verb, to)| Step { verb, to, attempt: 1 };
    let asked = [
        (Verb::Submit, State::Pending),
        (Verb::Claim, State::InProgress),
        (Verb::Ask, State::Blocked),
        (Verb::Approve, State::Pending),
        (Verb::Claim, State::InProgress),
    ];
    assert!(!is_claimed_unapproved(&asked.map(step)));
    assert!(is_claimed_unapproved(&[asked[0], asked[2], asked[1]].map(step)));

    let waits = |p3| {
        let mut figures = Figures {
            waits: [(Priority::P2, 1_000), (Priority::P3, p3)].into(),
            ..Figures::default()
        };
        figures.compare_waits();
        figures.wrong.len()
    };
    assert_eq!((waits(71_000), waits(71_001)), (0, 1));
}
