//! Between a task and what Redis keeps of it.

use std::str::FromStr;

use redis::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::ids::TaskId;
use crate::domain::lifecycle::{RULES, State, Verb};
use crate::domain::name::Name;
use crate::domain::sla::Sla;
use crate::domain::task::{Millis, Priority, TIMELINE, Task, Transition};

use super::Error;

/// What was submitted and never changes: the value of the `specs` hash.
#[derive(Serialize, Deserialize)]
pub(super) struct Spec {
    pub source: Name,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sla: Option<Sla>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Box<RawValue>>,
    pub payload: Box<RawValue>,
}

/// A task's hash, decoded field by field; later fields win.
#[derive(Default)]
pub(super) struct Record {
    fields: Vec<(String, String)>,
}

impl Record {
    /// The record of a flat list of names and values.
    pub(super) fn new(hash: Value) -> Result<Self, Error> {
        let fields: Vec<(String, String)> =
            redis::from_redis_value(hash).map_err(|error| Error::corrupt(format!("a task's hash: {error}")))?;
        Ok(Self { fields })
    }

    /// Puts a field on top.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.fields.push((name.to_owned(), value.into()));
    }

    /// How many transitions the task has made, and its newest attempt.
    pub(super) fn counters(&self) -> Result<(u32, u32), Error> {
        Ok((self.number("n")?, self.parse("attempt")?.unwrap_or(0)))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().rev().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let parsed = self.get(name).map(T::from_str).transpose();
        parsed.map_err(|_| Error::corrupt(format!("field {name}: {:?}", self.get(name))))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        self.parse(name)?.ok_or_else(|| Error::corrupt(format!("field {name} is missing")))
    }

    fn quoted(&self, name: &str) -> Result<Option<String>, Error> {
        let text = self.get(name).map(serde_json::from_str).transpose();
        text.map_err(|_| Error::corrupt(format!("field {name} is no JSON string")))
    }

    fn state(&self) -> Result<State, Error> {
        let word = self.get("state").unwrap_or_default();
        State::from_word(word).ok_or_else(|| Error::corrupt(format!("state {word:?}")))
    }

    /// The timeline: entry `n` stands in field `n modulo TIMELINE`, the newest is the `last`.
    fn timeline(&self, last: u32) -> Result<Vec<Transition>, Error> {
        let first = last.saturating_sub(TIMELINE - 1).max(1);
        let entries = (first..=last).filter_map(|n| self.get(&(n % TIMELINE).to_string()));
        entries.map(|line| transition(line).ok_or_else(|| Error::corrupt(format!("timeline entry {line:?}")))).collect()
    }

    /// The whole task.
    ///
    /// * `lease_until`: from its set, where it is in progress.
    /// * `now`: the store's time at reading.
    pub(super) fn task(
        &self,
        id: TaskId,
        spec: Spec,
        result: Option<Box<RawValue>>,
        lease_until: Option<Millis>,
        now: Millis,
    ) -> Result<Task, Error> {
        let state = self.state()?;
        let created_at = self.number("created")?;
        let scheduled_for = self.parse("due")?;
        let deadline = self.parse("deadline")?;
        let progress = self.get("progress").map(serde_json::from_str).transpose();
        Ok(Task {
            id,
            kind: self.number("type")?,
            priority: self.number::<Priority>("priority")?,
            source: spec.source,
            state,
            payload: spec.payload,
            metadata: spec.metadata,
            sla: spec.sla.map(|sla| Sla { deadline, ..sla }),
            agent: self.number("agent")?,
            parent: self.parse("parent")?,
            trace_id: self.get("trace").map(str::to_owned),
            traceparent: self.get("traceparent").map(str::to_owned),
            submitted_by: spec.by,
            created_at,
            scheduled_for,
            attempt: self.parse("attempt")?.unwrap_or(0),
            retry_count: self.parse("retries")?.unwrap_or(0),
            max_retries: self.number("max_retries")?,
            lost_count: self.parse("lost")?.unwrap_or(0),
            timeout_ms: self.parse("timeout")?,
            holder: self.get("holder").filter(|_| state == State::InProgress).map(str::to_owned),
            lease_until,
            error: if state == State::Completed { None } else { self.quoted("error")? },
            result,
            progress: progress.map_err(|error| Error::corrupt(format!("field progress: {error}")))?,
            approval: self.parse("approval")?,
            timeline: self.timeline(self.number("n")?)?,
            observed_at: now,
        })
    }
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

/// Writes the timeline entry that the scripts write, for a task that was just moved.
pub(super) fn line(at: Millis, verb: Verb, to: State, actor: &str, attempt: u32) -> String {
    format!("{at} {verb} {to} {actor} {attempt}")
}

/// Reads opaque JSON back.
pub(super) fn raw(text: String, what: &str) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::corrupt(format!("{what}: {error}")))
}

/// Reads a spec back.
pub(super) fn spec(text: &str, id: TaskId) -> Result<Spec, Error> {
    serde_json::from_str(text).map_err(|error| Error::corrupt(format!("the spec of task {id}: {error}")))
}

/// A JSON string of `text`.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
