//! Between a task and what Redis keeps of it.

use std::collections::HashMap;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::domain::approval::Approval;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{RULES, State, Verb};
use crate::domain::sla::Sla;
use crate::domain::task::{Millis, Progress, Task, Transition};

use super::Error;
use super::approvals::read_approval;

/// What was submitted and that nobody here looks into: the value of the `specs` hash.
///
/// Most tasks have only a payload, which then stands as it came; others are a list of payload and metadata.
pub(super) struct Spec {
    pub payload: Box<RawValue>,
    pub metadata: Option<Box<RawValue>>,
}

/// Writes a spec.
pub(super) fn write_spec(payload: &RawValue, metadata: Option<&RawValue>) -> Result<String, Error> {
    if metadata.is_none() {
        return Ok(payload.get().to_owned());
    }
    serde_json::to_string(&(payload, metadata))
        .map_err(|error| Error::corrupt(format!("a spec: {error}")))
}

/// Reads a spec back.
pub(super) fn spec(text: &str, id: TaskId) -> Result<Spec, Error> {
    let unreadable = |error| Error::corrupt(format!("the spec of task {id}: {error}"));
    // A payload is an object.
    if !text.starts_with('[') {
        let payload = RawValue::from_string(text.to_owned()).map_err(unreadable)?;
        return Ok(Spec { payload, metadata: None });
    }
    let (payload, metadata) = serde_json::from_str(text).map_err(unreadable)?;
    Ok(Spec { payload, metadata })
}

/// What Redis keeps of a task beside its record.
pub(super) struct Beside {
    pub spec: Spec,
    pub result: Option<Box<RawValue>>,
    pub progress: Option<Progress>,
    /// From its set, where it is in progress.
    pub lease_until: Option<Millis>,
    /// The hash of its newest approval; empty: it has none.
    pub approval: HashMap<String, String>,
    /// The store's time at reading.
    pub now: Millis,
}

/// The words of one line of a record; `-` stands for none.
struct Words<'r>(std::str::Split<'r, char>);

impl<'r> Words<'r> {
    fn text(&mut self) -> Result<Option<&'r str>, Error> {
        let word = self.0.next().ok_or_else(too_short)?;
        Ok(Some(word).filter(|word| *word != "-"))
    }

    fn optional<T: FromStr>(&mut self) -> Result<Option<T>, Error> {
        let word = self.text()?;
        word.map(str::parse)
            .transpose()
            .map_err(|_| Error::corrupt(format!("{word:?} in a record")))
    }

    fn state(&mut self) -> Result<State, Error> {
        let state = self.text()?.and_then(State::from_word);
        state.ok_or_else(|| Error::corrupt("a record's state"))
    }

    fn needed<T: FromStr>(&mut self) -> Result<T, Error> {
        self.optional()?.ok_or_else(|| Error::corrupt("a record lacks a word"))
    }
}

fn too_short() -> Error {
    Error::corrupt("a record is too short")
}

/// Reads a task's record; `prelude.lua` says what stands where.
pub(super) fn task(id: TaskId, record: &str, beside: Beside) -> Result<Task, Error> {
    let mut lines = record.split('\n');
    let mut line = || lines.next().map(|line| Words(line.split(' '))).ok_or_else(too_short);
    let (mut first, mut second, mut third) = (line()?, line()?, line()?);
    let state = first.state()?;
    let (_n, attempt, _rank) = (first.needed::<u32>()?, first.needed()?, first.needed::<i64>()?);
    let (since, approval) = (first.needed()?, first.optional()?);
    let (holder, _said, _timer) = (first.text()?, first.text()?, first.optional::<Millis>()?);
    let (human_ms, reached) = (first.needed()?, first.needed()?);
    let (retry_count, lost_count, _limit) =
        (first.needed()?, first.needed()?, first.optional::<Millis>()?);
    let (scheduled_for, version) = (first.optional()?, first.needed()?);
    let (agent, kind, priority) = (second.needed()?, second.needed()?, second.needed()?);
    let (trace_id, traceparent) = (second.optional()?, second.optional()?);
    let (_bytes, max_retries, timeout_ms) =
        (second.needed::<u64>()?, second.needed()?, second.optional()?);
    let (parent, source, _actions) = (second.optional()?, second.needed()?, third.text()?);
    let on_parent_cancel = second.optional()?.unwrap_or_default();
    let clocks_since = third.needed()?;
    let sla = sla(&mut third)?;
    let timeline = timeline(lines)?;
    let submission =
        timeline.first().ok_or_else(|| Error::corrupt("a record without a timeline"))?;
    let (created_at, submitted_by, spec) = (submission.at, submission.actor.clone(), beside.spec);
    Ok(Task {
        id,
        kind,
        priority,
        source,
        state,
        payload: spec.payload,
        metadata: spec.metadata,
        sla,
        agent,
        parent,
        on_parent_cancel,
        trace_id,
        traceparent,
        submitted_by,
        created_at,
        scheduled_for,
        attempt,
        retry_count,
        max_retries,
        lost_count,
        timeout_ms,
        holder: taker(holder, state),
        lease_until: beside.lease_until,
        error: if state == State::Completed { None } else { error(&timeline) },
        result: beside.result,
        progress: beside.progress,
        asked: asked(approval, &beside.approval)?,
        approval,
        timeline,
        version,
        since,
        human_ms,
        clocks_since,
        reached,
        observed_at: beside.now,
    })
}

/// The caller that took the task itself and holds it; a claim's lease has no colon.
fn taker(holder: Option<&str>, state: State) -> Option<String> {
    holder.filter(|who| state == State::InProgress && who.contains(':')).map(str::to_owned)
}

/// The newest approval of a task.
fn asked(
    id: Option<ApprovalId>,
    hash: &HashMap<String, String>,
) -> Result<Option<Box<Approval>>, Error> {
    let id = id.filter(|_| !hash.is_empty());
    id.map(|id| read_approval(id, hash).map(Box::new)).transpose()
}

/// What was promised in time, if anything was: the rest of the third line. A promise has a threshold.
fn sla(third: &mut Words<'_>) -> Result<Option<Sla>, Error> {
    let start_deadline = third.optional()?;
    let deadline = third.optional()?;
    let Some(alert_threshold) = third.optional()? else { return Ok(None) };
    let _stands = third.text()?;
    let target = third.text()?.map(serde_json::from_str).transpose();
    let target = target.map_err(|error| Error::corrupt(format!("a record's target: {error}")))?;
    let (within_ms, start_within_ms) = (None, None);
    Ok(Some(Sla { target, deadline, within_ms, start_deadline, start_within_ms, alert_threshold }))
}

/// Why the last attempt failed, or why the task was called off; nothing from before the last requeue.
fn error(timeline: &[Transition]) -> Option<String> {
    let is_new = |transition: &&Transition| transition.verb != Verb::Requeue;
    let says_why = |transition: &&Transition| match transition.verb {
        Verb::Retry
        | Verb::Fail
        | Verb::Cancel
        | Verb::Reject
        | Verb::Lapse
        | Verb::Expire
        | Verb::Mend => true,
        Verb::Reap => transition.to != State::Assigned,
        _ => false,
    };
    timeline.iter().rev().take_while(is_new).find(says_why)?.reason.clone()
}

fn timeline<'r>(lines: impl Iterator<Item = &'r str>) -> Result<Vec<Transition>, Error> {
    let unreadable = |line| Error::corrupt(format!("timeline entry {line:?}"));
    lines.map(|line| transition(line).ok_or_else(|| unreadable(line))).collect()
}

/// Reads `<ms> <verb> <state> <actor> <attempt>[ <reason, a JSON string>]`.
fn transition(line: &str) -> Option<Transition> {
    let mut parts = line.splitn(6, ' ');
    let at = parts.next()?.parse().ok()?;
    let verb = verb(parts.next()?)?;
    let to = State::from_word(parts.next()?)?;
    let actor = parts.next()?.to_owned();
    let attempt = parts.next()?.parse().ok()?;
    let reason = parts.next().map(serde_json::from_str).transpose().ok()?;
    Some(Transition { at, verb, to, actor, attempt, reason })
}

fn verb(word: &str) -> Option<Verb> {
    RULES.iter().map(|rule| rule.verb).find(|verb| verb.as_str() == word)
}

/// Reads opaque JSON back.
pub(super) fn raw(text: String, what: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::corrupt(format!("{what}: {error}")))
}

/// A word of a record for a text: a JSON string without a space.
pub(super) fn word(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| quote(text).replace(' ', "\\u0020"))
}

/// A JSON string of `text`.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
