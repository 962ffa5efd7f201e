//! Converts between a task and the texts that Redis stores for it.

use std::collections::HashMap;
use std::str::FromStr;

use redis::{FromRedisValue, Value};
use serde_json::value::RawValue;

use crate::domain::approval::Approval;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::sla::{Reached, Sla};
use crate::domain::submission::Spec;
use crate::domain::task::{Progress, Task, Transition};
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::Error;
use super::new_record::NewRecord;

pub(super) mod approval;
pub(super) mod cipher;
pub(super) mod fields;
pub(super) mod letters;
pub(super) mod row;

use approval::read_approval;
use cipher::Cipher;
use fields::{Content, Parts, Status};

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
pub(super) struct Beside<'c> {
    /// Decrypts the texts of its approval.
    pub cipher: &'c Cipher,
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

/// Reads a task's record.
pub(super) fn task(id: TaskId, record: &str, mut beside: Beside<'_>) -> Result<Task, Error> {
    let (cipher, approval) = (beside.cipher, std::mem::take(&mut beside.approval));
    let mut task = read_task(id, record, beside)
        .map_err(|part| Error::corrupt(format!("the record of task {id}: {part}")))?;
    task.asked = asked(cipher, task.approval, &approval)?;
    Ok(task)
}

/// Reads a task's record without its approval, or returns the part that is unreadable.
fn read_task(id: TaskId, record: &str, beside: Beside<'_>) -> Result<Task, &'static str> {
    let parts = fields::Parts::read(record).ok_or("its parts")?;
    let Parts { times, status, content, timeline } = parts;
    let timeline: Vec<_> = timeline.map(transition).collect::<Option<_>>().ok_or("timeline")?;
    let submission = timeline.first().ok_or("timeline")?;
    let created_at = submission.at;
    let submitted_by = submission.actor.clone();
    let state = status.state.parse().ok().and_then(letters::state).ok_or("state")?;
    let approval = optional(status.approval, "approval")?;
    Ok(Task {
        id,
        state,
        sla: sla(&content)?,
        agent: Name::of_subject(status.agent).map_err(|_| "agent")?,
        submitted_by,
        created_at,
        scheduled_for: optional(status.due, "due")?,
        attempt: needed(status.attempt, "attempt")?,
        retry_count: needed(status.retries, "retries")?,
        lost_count: needed(status.lost, "lost")?,
        holder: taker(status.holder, state),
        lease_until: beside.lease_until,
        error: if state == State::Completed { None } else { error(&timeline) },
        result: beside.result,
        progress: beside.progress,
        asked: None,
        approval,
        timeline,
        version: needed(status.version, "version")?,
        since: needed(times.since, "since")?,
        human_ms: needed(status.human, "human")?,
        clocks_since: needed(content.begin, "begin")?,
        reached: needed(status.sla, "sla")?,
        observed_at: beside.now,
        spec: spec(&status, &content, beside.json)?,
    })
}

/// Reads a word that must not be absent.
fn needed<T: FromStr>(word: &str, name: &'static str) -> Result<T, &'static str> {
    word.parse().map_err(|_| name)
}

/// Reads a word or a time that may be absent.
fn optional<T: FromStr>(word: &str, name: &'static str) -> Result<Option<T>, &'static str> {
    if word == "-" || word == fields::NO_TIME {
        return Ok(None);
    }
    needed(word, name).map(Some)
}

/// Reads a text that [`word`] wrote.
fn text(word: &str, name: &'static str) -> Result<Option<String>, &'static str> {
    if word == "-" {
        return Ok(None);
    }
    serde_json::from_str(&word.replace(SPACE, " ")).map(Some).map_err(|_| name)
}

fn spec(status: &Status<'_>, content: &Content<'_>, json: Json) -> Result<Spec, &'static str> {
    let (traceparent, tracestate) = trace_of(content.traceparent).ok_or("traceparent")?;
    Ok(Spec {
        kind: needed(status.kind, "kind")?,
        priority: needed(status.priority, "priority")?,
        trace_id: optional(content.trace, "trace")?,
        traceparent,
        tracestate,
        title: text(content.title, "title")?,
        max_retries: needed(status.max_retries, "max_retries")?,
        timeout_ms: optional(status.timeout, "timeout")?,
        parent: optional(content.parent, "parent")?,
        source: needed(status.source, "source")?,
        on_parent_cancel: optional(content.cascade, "cascade")?.unwrap_or_default(),
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
fn taker(holder: &str, state: State) -> Option<String> {
    (state == State::InProgress && holder.contains(':')).then(|| holder.to_owned())
}

fn asked(
    cipher: &Cipher,
    id: Option<ApprovalId>,
    hash: &HashMap<String, String>,
) -> Result<Option<Box<Approval>>, Error> {
    let id = id.filter(|_| !hash.is_empty());
    id.map(|id| read_approval(cipher, id, hash).map(Box::new)).transpose()
}

/// Reads the SLA. `None` if the task has none: every SLA has an alert threshold.
fn sla(content: &Content<'_>) -> Result<Option<Sla>, &'static str> {
    let Some(alert_threshold) = optional(content.percent, "percent")? else { return Ok(None) };
    Ok(Some(Sla {
        target: text(content.target, "target")?,
        deadline: optional(content.finish, "finish")?,
        within_ms: None,
        start_deadline: optional(content.start, "start")?,
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

/// Reads a line of the timeline; see [`fields`].
fn transition(line: &str) -> Option<Transition> {
    let mut parts = line.splitn(4, ' ');
    let what = parts.next()?;
    let (at, what) = what.split_at_checked(what.len().checked_sub(2)?)?;
    let at = at.parse().ok()?;
    let mut letters = what.chars();
    let verb = letters::verb(letters.next()?)?;
    let to = letters::state(letters.next()?)?;
    let actor = parts.next()?.to_owned();
    let attempt = parts.next()?.parse().ok()?;
    // A reason is a JSON string, and ends with a quotation mark.
    let rest = parts.next().unwrap_or_default();
    let reason = rest.rfind('"').map(|end| &rest[..=end]);
    let reason = reason.map(serde_json::from_str).transpose().ok()?;
    Some(Transition { at, verb, to, actor, attempt, reason })
}

/// Converts a part of the answer to `operation`.
pub(super) fn value<T: FromRedisValue>(operation: &str, value: Value) -> Result<T, Error> {
    redis::from_redis_value(value)
        .map_err(|error| Error::corrupt(format!("the answer of {operation}: {error}")))
}

/// Converts names and values in a part of the answer to `operation`. There are none if the part is an
/// empty text, which costs Redis less than an empty list.
pub(super) fn pairs(operation: &str, part: Value) -> Result<HashMap<String, String>, Error> {
    match part {
        Value::BulkString(text) if text.is_empty() => Ok(HashMap::new()),
        part => value(operation, part),
    }
}

/// Reads JSON that the store does not look into. `what` names it in an error.
pub(super) fn raw(text: String, what: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::corrupt(format!("{what}: {error}")))
}

/// What stands for a space in a word of a record: no JSON has this character as it is.
pub(super) const SPACE: &str = "\u{1f}";

/// Returns a trace context as a word of a record: the `traceparent`, and after a semicolon the
/// `tracestate` as JSON without its quotation marks, if there is one.
pub(super) fn trace_word(traceparent: Option<&str>, tracestate: Option<&str>) -> String {
    let Some(parent) = traceparent else { return "-".to_owned() };
    match tracestate {
        Some(state) => format!("{parent};{}", word(Some(state)).trim_matches('"')),
        None => parent.to_owned(),
    }
}

/// Reads what [`trace_word`] wrote. `None` if it is unreadable.
pub(super) fn trace_of(word: &str) -> Option<(Option<String>, Option<String>)> {
    let Some((parent, state)) = word.split_once(';') else {
        return Some(((word != "-").then(|| word.to_owned()), None));
    };
    let state = serde_json::from_str(&format!("\"{}\"", state.replace(SPACE, " "))).ok()?;
    Some((Some(parent.to_owned()), Some(state)))
}

/// Returns `text` as a word of a record: a JSON string without a space.
pub(super) fn word(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| quoted(text).replace(' ', SPACE))
}
