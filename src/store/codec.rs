//! Converts between a task and the texts that Redis stores for it.

use std::collections::HashMap;
use std::str::FromStr;

use redis::{FromRedisValue, Value};
use serde_json::value::RawValue;

use crate::domain::approval::Approval;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lease::Attempt;
use crate::domain::lifecycle::{State, Verb};
use crate::domain::sla::{Reached, Sla};
use crate::domain::submission::Spec;
use crate::domain::task::{Progress, Task, Transition};
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::Error;
use super::approvals::read_approval;
use super::tasks::NewRecord;

/// The submitted JSON that the store does not look into: the value of the `specs` hash.
///
/// Most tasks have only a payload, which is stored byte for byte. Others are stored as a list of
/// payload and metadata.
pub(super) struct Json {
    pub payload: Box<RawValue>,
    pub metadata: Option<Box<RawValue>>,
}

pub(super) fn write_json(payload: &RawValue, metadata: Option<&RawValue>) -> Result<String, Error> {
    if metadata.is_none() {
        return Ok(payload.get().to_owned());
    }
    serde_json::to_string(&(payload, metadata))
        .map_err(|error| Error::corrupt(format!("a spec: {error}")))
}

pub(super) fn json(text: &str, id: TaskId) -> Result<Json, Error> {
    read_json(text).map_err(|error| Error::corrupt(format!("the spec of task {id}: {error}")))
}

fn read_json(text: &str) -> serde_json::Result<Json> {
    // A payload is an object, so a list is payload and metadata.
    if !text.starts_with('[') {
        let payload = RawValue::from_string(text.to_owned())?;
        return Ok(Json { payload, metadata: None });
    }
    let (payload, metadata) = serde_json::from_str(text)?;
    Ok(Json { payload, metadata })
}

/// The parts of a task that Redis stores outside its record.
pub(super) struct Beside {
    pub json: Json,
    pub result: Option<Box<RawValue>>,
    pub progress: Option<Progress>,
    /// The score in the set of its state, if it is in progress.
    pub lease_until: Option<Millis>,
    /// The hash of its newest approval. Empty if it has none.
    pub approval: HashMap<String, String>,
    /// The store's time when the task was read.
    pub now: Millis,
}

/// The words of one line of a record. `-` stands for an absent value.
struct Words<'r>(std::str::Split<'r, char>);

impl<'r> Words<'r> {
    /// Returns the words of the next line.
    fn next_line(lines: &mut std::str::Split<'r, char>) -> Result<Self, Error> {
        lines.next().map(|line| Self(line.split(' '))).ok_or_else(too_short)
    }

    fn text(&mut self) -> Result<Option<&'r str>, Error> {
        let word = self.0.next().ok_or_else(too_short)?;
        Ok(Some(word).filter(|word| *word != "-"))
    }

    fn optional<T: FromStr>(&mut self) -> Result<Option<T>, Error> {
        let word = self.text()?;
        let value = word.map(str::parse).transpose();
        value.map_err(|_| Error::corrupt(format!("{word:?} in a record")))
    }

    /// Reads a text that [`word`] wrote.
    fn json(&mut self, name: &str) -> Result<Option<String>, Error> {
        let text = self.text()?.map(|word| serde_json::from_str(&word.replace(SPACE, " ")));
        text.transpose().map_err(|error| Error::corrupt(format!("a record's {name}: {error}")))
    }

    fn state(&mut self) -> Result<State, Error> {
        let state = self.text()?.and_then(|word| word.parse().ok());
        state.ok_or_else(|| Error::corrupt("a record's state"))
    }

    fn needed<T: FromStr>(&mut self) -> Result<T, Error> {
        self.optional()?.ok_or_else(|| Error::corrupt("a record lacks a word"))
    }
}

fn too_short() -> Error {
    Error::corrupt("a record is too short")
}

/// The first line of a record, which changes with the task.
struct Status<'r> {
    state: State,
    attempt: Attempt,
    since: Millis,
    approval: Option<ApprovalId>,
    holder: Option<&'r str>,
    human_ms: Millis,
    reached: Reached,
    retry_count: u32,
    lost_count: u32,
    scheduled_for: Option<Millis>,
    version: u32,
}

impl<'r> Status<'r> {
    fn read(line: &mut Words<'r>) -> Result<Self, Error> {
        let state = line.state()?;
        let _length = line.needed::<u32>()?;
        let attempt = line.needed()?;
        let _rank = line.needed::<i64>()?;
        let since = line.needed()?;
        let approval = line.optional()?;
        let holder = line.text()?;
        let _report = line.text()?;
        let _timer = line.optional::<Millis>()?;
        let human_ms = line.needed()?;
        let reached = line.needed()?;
        let retry_count = line.needed()?;
        let lost_count = line.needed()?;
        let _limit = line.optional::<Millis>()?;
        Ok(Self {
            state,
            attempt,
            since,
            approval,
            holder,
            human_ms,
            reached,
            retry_count,
            lost_count,
            scheduled_for: line.optional()?,
            version: line.needed()?,
        })
    }
}

/// Reads a task's record; `prelude.lua` lists its words.
pub(super) fn task(id: TaskId, record: &str, beside: Beside) -> Result<Task, Error> {
    let mut lines = record.split('\n');
    let status = Status::read(&mut Words::next_line(&mut lines)?)?;
    let mut second = Words::next_line(&mut lines)?;
    let mut third = Words::next_line(&mut lines)?;

    let agent = second.needed()?;
    let spec = spec(&mut second, beside.json)?;

    let _actions = third.text()?;
    let clocks_since = third.needed()?;
    let timeline = timeline(lines)?;
    let submission =
        timeline.first().ok_or_else(|| Error::corrupt("a record without a timeline"))?;
    let created_at = submission.at;
    let submitted_by = submission.actor.clone();
    Ok(Task {
        id,
        spec,
        state: status.state,
        sla: sla(&mut third)?,
        agent,
        submitted_by,
        created_at,
        scheduled_for: status.scheduled_for,
        attempt: status.attempt,
        retry_count: status.retry_count,
        lost_count: status.lost_count,
        holder: taker(status.holder, status.state),
        lease_until: beside.lease_until,
        error: if status.state == State::Completed { None } else { error(&timeline) },
        result: beside.result,
        progress: beside.progress,
        asked: asked(status.approval, &beside.approval)?,
        approval: status.approval,
        timeline,
        version: status.version,
        since: status.since,
        human_ms: status.human_ms,
        clocks_since,
        reached: status.reached,
        observed_at: beside.now,
    })
}

/// Reads the rest of the second line, after the agent.
fn spec(second: &mut Words<'_>, json: Json) -> Result<Spec, Error> {
    let kind = second.needed()?;
    let priority = second.needed()?;
    let trace_id = second.optional()?;
    let traceparent = second.optional()?;
    let title = second.json("title")?;
    let _bytes = second.needed::<u64>()?;
    Ok(Spec {
        kind,
        priority,
        trace_id,
        traceparent,
        title,
        max_retries: second.needed()?,
        timeout_ms: second.optional()?,
        parent: second.optional()?,
        source: second.needed()?,
        on_parent_cancel: second.optional()?.unwrap_or_default(),
        payload: json.payload,
        metadata: json.metadata,
    })
}

/// Returns the task as the script has just stored it.
pub(super) fn created(record: NewRecord, state: State, now: Millis, due: Option<Millis>) -> Task {
    let new = record.new;
    let clocks_since = due.unwrap_or(now);
    let sla = new.sla.map(|sla| {
        let deadline = sla.deadline.or(sla.within_ms.map(|within| clocks_since + within));
        let start_deadline =
            sla.start_deadline.or(sla.start_within_ms.map(|within| clocks_since + within));
        Sla { deadline, within_ms: None, start_deadline, start_within_ms: None, ..sla }
    });
    Task {
        id: record.id,
        spec: new.spec,
        state,
        sla,
        agent: record.agent,
        submitted_by: record.by.clone(),
        created_at: now,
        scheduled_for: due,
        attempt: 0,
        retry_count: 0,
        lost_count: 0,
        holder: None,
        lease_until: None,
        error: None,
        result: None,
        progress: None,
        approval: record.gate.map(|gate| gate.id),
        asked: None,
        timeline: vec![Transition {
            at: now,
            verb: Verb::Submit,
            to: state,
            actor: record.by,
            attempt: 0,
            reason: None,
        }],
        version: 1,
        since: now,
        human_ms: 0,
        clocks_since,
        reached: Reached::default(),
        observed_at: now,
    }
}

/// Returns the caller that took the task and holds it. The lease of a claim has no colon.
fn taker(holder: Option<&str>, state: State) -> Option<String> {
    holder.filter(|who| state == State::InProgress && who.contains(':')).map(str::to_owned)
}

fn asked(
    id: Option<ApprovalId>,
    hash: &HashMap<String, String>,
) -> Result<Option<Box<Approval>>, Error> {
    let id = id.filter(|_| !hash.is_empty());
    id.map(|id| read_approval(id, hash).map(Box::new)).transpose()
}

/// Reads the SLA from the rest of the third line. `None` if the task has no SLA: every SLA has an
/// alert threshold.
fn sla(third: &mut Words<'_>) -> Result<Option<Sla>, Error> {
    let start_deadline = third.optional()?;
    let deadline = third.optional()?;
    let Some(alert_threshold) = third.optional()? else { return Ok(None) };
    let _stands = third.text()?;
    Ok(Some(Sla {
        target: third.json("target")?,
        deadline,
        within_ms: None,
        start_deadline,
        start_within_ms: None,
        alert_threshold,
    }))
}

/// Returns why the last attempt failed or the task was cancelled. `None` if nothing since the last
/// requeue says so.
fn error(timeline: &[Transition]) -> Option<String> {
    let mut since_requeue =
        timeline.iter().rev().take_while(|transition| transition.verb != Verb::Requeue);
    since_requeue.find(|transition| says_why(transition))?.reason.clone()
}

/// Returns whether the reason of a transition says why the task failed or was cancelled.
fn says_why(transition: &Transition) -> bool {
    match transition.verb {
        Verb::Retry
        | Verb::Fail
        | Verb::Cancel
        | Verb::Reject
        | Verb::Expire
        | Verb::Abort
        | Verb::Repair => true,
        Verb::Reap => transition.to != State::Assigned,
        Verb::Submit
        | Verb::Ask
        | Verb::Vote
        | Verb::Edit
        | Verb::Escalate
        | Verb::Retarget
        | Verb::Approve
        | Verb::Promote
        | Verb::Route
        | Verb::Claim
        | Verb::Park
        | Verb::Take
        | Verb::Extend
        | Verb::Complete
        | Verb::Release
        | Verb::Warn
        | Verb::Violate
        | Verb::Notify
        | Verb::Reprioritize
        | Verb::Requeue
        | Verb::Prune => false,
    }
}

fn timeline<'r>(lines: impl Iterator<Item = &'r str>) -> Result<Vec<Transition>, Error> {
    lines
        .map(|line| {
            let entry = transition(line);
            entry.ok_or_else(|| Error::corrupt(format!("timeline entry {line:?}")))
        })
        .collect()
}

/// Reads `<ms> <verb> <state> <actor> <attempt>[ <reason, a JSON string>]`.
fn transition(line: &str) -> Option<Transition> {
    let mut parts = line.splitn(6, ' ');
    let at = parts.next()?.parse().ok()?;
    let verb = parts.next()?.parse().ok()?;
    let to = parts.next()?.parse().ok()?;
    let actor = parts.next()?.to_owned();
    let attempt = parts.next()?.parse().ok()?;
    let reason = parts.next().map(serde_json::from_str).transpose().ok()?;
    Some(Transition { at, verb, to, actor, attempt, reason })
}

/// Converts a part of the answer to `operation`.
pub(super) fn value<T: FromRedisValue>(operation: &str, value: Value) -> Result<T, Error> {
    redis::from_redis_value(value)
        .map_err(|error| Error::corrupt(format!("the answer of {operation}: {error}")))
}

/// Reads JSON that the store does not look into. `what` names it in an error.
pub(super) fn raw(text: String, what: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::corrupt(format!("{what}: {error}")))
}

/// What stands for a space in a word of a record: no JSON has this character as it is.
const SPACE: &str = "\u{1f}";

/// Returns `text` as a word of a record: a JSON string without a space.
pub(super) fn word(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| quoted(text).replace(' ', SPACE))
}
