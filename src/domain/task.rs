//! A task: what a client submits, and what becomes of it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::approval::Approval;
use super::content::Content;
use super::ids::{ApprovalId, TaskId};
use super::lease::Lease;
use super::lifecycle::{State, Verb};
use super::name::Name;
pub use super::parent::OnParentCancel;
use super::sla::{Clock, Reached, Sla, SlaState};

/// A time in milliseconds since 1970 by the store's clock, or a duration in milliseconds.
pub type Millis = u64;

/// The number of an attempt, from 1. Every report carries it beside the [`Lease`]. 0 means that the
/// task was never claimed.
pub type Attempt = u32;

/// How urgent a task is. A lower number comes sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Critical: the router takes these tasks before all others.
    P0,
    /// High.
    P1,
    /// Medium, the default.
    P2,
    /// Low.
    P3,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(word: &str) -> Result<Self, UnknownPriority> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word).ok_or(UnknownPriority)
    }
}

/// The error of reading a word that is not the name of a [`Priority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of P0, P1, P2, P3")]
pub struct UnknownPriority;

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

/// A submission that has been read and found well-formed.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The type of work, from which the routing rules choose the agent.
    pub kind: Name,
    /// What to do: a JSON object, kept byte for byte. Only conditions of rules read it.
    pub payload: Box<RawValue>,
    /// The client's own data about the task: a JSON object, kept byte for byte.
    pub metadata: Option<Box<RawValue>>,
    /// How urgent the task is among all tasks of its agent.
    pub priority: Priority,
    /// The system or person in whose name the client submits, such as `github`.
    pub source: Name,
    /// The deadlines of the task. `None` if it has no SLA.
    pub sla: Option<Sla>,
    /// When the task may start: now, after a delay or at a time.
    pub start: Start,
    /// The task that this one is a part of. Both are in one partition, unless an idempotency key
    /// requires another.
    pub parent: Option<TaskId>,
    /// What happens to this task when its parent is cancelled.
    pub on_parent_cancel: OnParentCancel,
    /// The client's own trace id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission. `None` if the client sent none.
    pub traceparent: Option<String>,
    /// How many failed attempts are followed by another attempt, 0 to 100.
    pub max_retries: u32,
    /// How long one attempt may take in all, 1 s to 7 days. `None` if it may take as long as its
    /// lease is extended.
    pub timeout_ms: Option<Millis>,
    /// The idempotency key of the submission. `None` if repeating it creates a second task.
    pub idempotency: Option<Idempotency>,
}

/// What makes a submission safe to repeat: a second one with the same key returns the first task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The value of the header `Idempotency-Key`: 1 to 255 printable ASCII characters.
    pub key: String,
    /// The hexadecimal SHA-256 of the body. The same key with another body is refused.
    pub digest: String,
}

/// A task as it was read from the store: what was submitted and what has happened since.
#[derive(Clone, Debug)]
pub struct Task {
    /// The identifier. It never changes and is never used again.
    pub id: TaskId,
    /// The type of work, from which the routing rules chose the agent.
    pub kind: Name,
    /// How urgent the task is. An SLA rule can raise it while the task waits.
    pub priority: Priority,
    /// The system or person in whose name the client submitted it.
    pub source: Name,
    /// The current state, which only the verbs of [`super::lifecycle::RULES`] change.
    pub state: State,
    /// What to do: the payload of the client, or that of the approver who edited it.
    pub payload: Box<RawValue>,
    /// The client's own data about the task. `None` if it sent none.
    pub metadata: Option<Box<RawValue>>,
    /// The deadlines of the task. `None` if it has no SLA.
    pub sla: Option<Sla>,
    /// The agent that the routing rules chose at submission.
    pub agent: Name,
    /// The task that this one is a part of. `None` if it has no parent.
    pub parent: Option<TaskId>,
    /// What happens to this task when its parent is cancelled.
    pub on_parent_cancel: OnParentCancel,
    /// The client's own trace id. `None` if the client sent none.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission. `None` if the client sent none.
    pub traceparent: Option<String>,
    /// The caller who submitted it, as [`super::principal::Principal`] is displayed.
    pub submitted_by: String,
    /// When the store accepted the submission, in milliseconds since 1970.
    pub created_at: Millis,
    /// When the task may start or be tried again. `None` unless that time is ahead.
    pub scheduled_for: Option<Millis>,
    /// The number of the current or the last attempt; 0 if there was none.
    pub attempt: Attempt,
    /// The number of failed attempts since the submission or the last requeue.
    pub retry_count: u32,
    /// How many failed attempts are followed by another attempt, 0 to 100.
    pub max_retries: u32,
    /// The number of lost leases since the submission or the last requeue.
    pub lost_count: u32,
    /// How long one attempt may take in all. `None` if there is no such limit.
    pub timeout_ms: Option<Millis>,
    /// The caller that took the task itself and holds it. `None` if the task is held by a claim or
    /// by no caller.
    pub holder: Option<String>,
    /// The end of the current lease. `None` unless the task is in progress.
    pub lease_until: Option<Millis>,
    /// Why the last attempt failed, or why the task was cancelled. `None` if neither happened.
    pub error: Option<String>,
    /// The result that the agent reported: any JSON, byte for byte.
    pub result: Option<Box<RawValue>>,
    /// The progress that the agent last reported. `None` if it reported none.
    pub progress: Option<Progress>,
    /// The identifier of the newest approval. `None` if the task never needed one.
    pub approval: Option<ApprovalId>,
    /// That approval, if the task was read together with it.
    pub asked: Option<Box<Approval>>,
    /// The transitions, oldest first: the submission and the newest ones, at most [`TIMELINE`].
    pub timeline: Vec<Transition>,
    /// The version of the payload: 1, and one more for every edit by an approver.
    pub version: u32,
    /// When the task came to its current state, in milliseconds since 1970.
    pub since: Millis,
    /// How long the task has waited for approvals while it could have run, without the current
    /// wait.
    pub human_ms: Millis,
    /// The start of its clocks: when it could first start or was requeued, moved later by the time
    /// that does not count.
    pub clocks_since: Millis,
    /// The thresholds of its clocks that were announced so far.
    pub reached: Reached,
    /// The store's time at which this task was read, in milliseconds since 1970.
    pub observed_at: Millis,
}

/// How many transitions a timeline keeps: enough for every task that no program moves back and
/// forth, and a bound on memory for one that is.
pub const TIMELINE: u32 = 128;

/// How many bytes of transitions a timeline keeps, as they are stored. The oldest are dropped
/// first, but never the submission or the newest.
pub const TIMELINE_BYTES: u32 = 65_536;

impl Task {
    /// Returns what an approver decides on: the task, or with an `action` that step of the agent.
    pub fn content<'t>(&'t self, action: Option<&'t RawValue>) -> Content<'t> {
        Content {
            kind: &self.kind,
            agent: &self.agent,
            version: self.version,
            payload: &self.payload,
            action,
        }
    }

    /// When the task last came to `state`. `None` if the timeline does not go back so far.
    fn came_to(&self, state: State) -> Option<Millis> {
        let moves = self.timeline.iter().filter(|entry| !entry.verb.rule().to.is_empty());
        moves.rev().find(|entry| entry.to == state).map(|entry| entry.at)
    }

    /// Returns when the task last entered its agent's subject. `None` if it never did.
    pub fn assigned_at(&self) -> Option<Millis> {
        self.came_to(State::Assigned)
    }

    /// Returns when the newest attempt began. `None` if there was none.
    pub fn started_at(&self) -> Option<Millis> {
        self.came_to(State::InProgress)
    }

    /// Returns when the task ended. `None` if its state is not final.
    pub fn completed_at(&self) -> Option<Millis> {
        self.state.is_terminal().then_some(self.since)
    }

    /// Returns the state of `clock` of the task's SLA.
    pub fn sla_state(&self, clock: Clock) -> SlaState {
        self.reached.state(clock, self.state.is_terminal())
    }

    /// Returns how many milliseconds the task has waited for approvals while it could have run,
    /// including the current wait.
    pub fn waiting_for_human_ms(&self) -> Millis {
        let under_way = self.observed_at.saturating_sub(self.since.max(self.clocks_since));
        self.human_ms + if self.state == State::Blocked { under_way } else { 0 }
    }

    /// Returns the agent in whose subject the task is or was. `None` before a router put it there.
    pub fn assigned_to(&self) -> Option<&Name> {
        let is_there = matches!(self.state, State::Assigned | State::InProgress);
        let was_there = self.assigned_at().is_some() || self.attempt > 0;
        if is_there || was_there { Some(&self.agent) } else { None }
    }
}

/// The progress of an attempt, as the agent reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The finished part of the work in percent, 0 to 100.
    pub percent: f64,
    /// What the agent does at the moment, in at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One entry of a task's timeline: a verb that was applied to the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it happened, in milliseconds since 1970 by the store's clock.
    pub at: Millis,
    /// The verb, which decides the type of the event too.
    pub verb: Verb,
    /// The state after the verb, which can be the state before it.
    pub to: State,
    /// The actor: a principal, or `orchestrator` if no caller acted.
    pub actor: String,
    /// The number of the attempt that was current; 0 before the first claim.
    pub attempt: Attempt,
    /// The reason that the actor gave. `None` if there was none.
    pub reason: Option<String>,
}

/// A task that an agent has just claimed, with its lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The task, which is already in progress with its new attempt number.
    pub task: Task,
    /// The time before which the agent must report or extend the lease.
    pub lease_until: Millis,
    /// The token that every report on this attempt must carry.
    pub lease: Lease,
}

/// The outcome of an attempt, as its agent reports it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The work is done, with any JSON as the result.
    Completed {
        /// What the agent found or made. `None` if there is nothing to keep.
        result: Option<Box<RawValue>>,
    },
    /// The attempt failed; the task is tried again if that makes sense and a retry is left.
    Failed {
        /// The reason of the failure in 1 to 8,192 bytes, which the task shows as its error.
        error: String,
        /// Whether another attempt makes sense.
        is_retryable: bool,
        /// How many milliseconds to wait before the next attempt. `None` means the usual back-off.
        retry_after_ms: Option<Millis>,
        /// What the agent found before it failed. `None` if there is nothing to keep.
        result: Option<Box<RawValue>>,
    },
    /// The agent returns the task without having worked on it. It costs no retry.
    Released,
}

/// An agent's report on one attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// The task that the agent reports on.
    pub id: TaskId,
    /// The number of the attempt. A report with an earlier number is refused.
    pub attempt: Attempt,
    /// The token from the claim. A wrong one is refused like an earlier attempt.
    pub lease: Lease,
    /// The outcome of the attempt: completed, failed or released.
    pub outcome: Outcome,
}
