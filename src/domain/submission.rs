//! A submission: what a client wants to have done, and when.

use serde_json::value::RawValue;

use super::ids::TaskId;
use super::name::Name;
use super::parent::OnParentCancel;
use super::priority::Priority;
use super::sla::Sla;
use super::time::Millis;

/// What a client submits and what never changes, except that an approver may edit the payload and
/// an SLA rule may raise the priority.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The type of work, from which the routing rules choose the agent.
    pub kind: Name,
    /// What the task is about, in words for people: 1 to 200 characters. `None` if the client sent
    /// none.
    pub title: Option<String>,
    /// What to do: a JSON object, kept byte for byte. Only conditions of rules read it.
    pub payload: Box<RawValue>,
    /// The client's own data about the task: a JSON object, kept byte for byte. `None` if it sent
    /// none.
    pub metadata: Option<Box<RawValue>>,
    /// How urgent the task is among all tasks of its agent.
    pub priority: Priority,
    /// The system or person in whose name the client submits, such as `github`.
    pub source: Name,
    /// The task that this one is a part of. `None` if it has no parent. Both are in one partition,
    /// unless an idempotency key requires another.
    pub parent: Option<TaskId>,
    /// What happens to this task when its parent is cancelled.
    pub on_parent_cancel: OnParentCancel,
    /// The client's own trace id: 1 to 64 of `A-Z a-z 0-9 . _ -`. `None` if it sent none.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission. `None` if the client sent none.
    pub traceparent: Option<String>,
    /// The `tracestate` beside it. `None` if the client sent none.
    pub tracestate: Option<String>,
    /// How many failed attempts are followed by another attempt, 0 to 100.
    pub max_retries: u32,
    /// How long one attempt may take in all, 1 s to 7 days. `None` if it may take as long as its
    /// lease is extended.
    pub timeout_ms: Option<Millis>,
}

impl Spec {
    /// Returns the spec of a task of medium priority without retries, title, metadata, parent, trace
    /// and timeout.
    pub fn new(kind: Name, source: Name, payload: Box<RawValue>) -> Self {
        Self {
            kind,
            title: None,
            payload,
            metadata: None,
            priority: Priority::P2,
            source,
            parent: None,
            on_parent_cancel: OnParentCancel::default(),
            trace_id: None,
            traceparent: None,
            tracestate: None,
            max_retries: 0,
            timeout_ms: None,
        }
    }
}

/// What a list of other things, such as approvals, shows of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The type of the task.
    pub kind: Name,
    /// What the task is about; see [`Spec::title`].
    pub title: Option<String>,
    /// The subject of the task: the agent that gets it, for its tenant. `None` in an approval that an
    /// older version requested.
    pub agent: Option<Name>,
}

/// A submission that has been read and found well-formed.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What is submitted.
    pub spec: Spec,
    /// The deadlines of the task. `None` if it has no SLA of its own.
    pub sla: Option<Sla>,
    /// When the task may start: now, after a delay or at a time.
    pub start: Start,
    /// The idempotency key of the submission. `None` if repeating it creates a second task.
    pub idempotency: Option<Idempotency>,
}

impl NewTask {
    /// The size of the payload and the metadata together, in bytes.
    pub fn bytes(&self) -> usize {
        let metadata = self.spec.metadata.as_ref().map_or(0, |metadata| metadata.get().len());
        self.spec.payload.get().len() + metadata
    }
}

impl From<Spec> for NewTask {
    /// A submission that may start now, without an SLA or an idempotency key.
    fn from(spec: Spec) -> Self {
        Self { spec, sla: None, start: Start::Now, idempotency: None }
    }
}

/// What makes a submission safe to repeat: a second one with the same key returns the first task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The value of the header `Idempotency-Key`: 1 to 255 printable ASCII characters.
    pub key: String,
    /// The hexadecimal SHA-256 of the body. The same key with another body is refused.
    pub digest: String,
}

/// The earliest time at which a task may be given to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// The task may start as soon as an agent is free.
    #[default]
    Now,
    /// The task may start so many milliseconds after the submission, by the store's clock.
    After(Millis),
    /// The task may start at this time. A time in the past means now.
    At(Millis),
}
