//! A task: what a client hands in, and what becomes of it.

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

/// Milliseconds since 1970 by the store's clock.
pub type Millis = u64;

/// The number of an attempt, from 1; every report carries it beside the [`Lease`]. 0: never claimed.
pub type Attempt = u32;

/// How urgent a task is. Lower is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Critical: always first.
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

/// The word names no [`Priority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of P0, P1, P2, P3")]
pub struct UnknownPriority;

/// When a task may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// As soon as an agent is free.
    #[default]
    Now,
    /// This long after the submission, by the store's clock.
    After(Millis),
    /// At this time; one that has passed means now.
    At(Millis),
}

/// A submission that has been read and found well-formed.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What kind of work it is; decides who does it.
    pub kind: Name,
    /// What to do: a JSON object that nobody here looks into, kept byte for byte.
    pub payload: Box<RawValue>,
    /// What else the client wants to know about it later: a JSON object, kept byte for byte.
    pub metadata: Option<Box<RawValue>>,
    /// How urgent.
    pub priority: Priority,
    /// Which part of the client's world it comes from.
    pub source: Name,
    /// What was promised in time.
    pub sla: Option<Sla>,
    /// When it may start.
    pub start: Start,
    /// The task that this one is a part of; both live in one partition, unless an idempotency key chooses another.
    pub parent: Option<TaskId>,
    /// What becomes of it when that one is cancelled.
    pub on_parent_cancel: OnParentCancel,
    /// Joins it with the client's traces: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission.
    pub traceparent: Option<String>,
    /// How many failed attempts are followed by another, 0 to 100.
    pub max_retries: u32,
    /// How long one attempt may take in all, 1 s to 7 days; none: as long as it is extended.
    pub timeout_ms: Option<Millis>,
    /// The client's name for this submission, and a digest of the body that came with it.
    pub idempotency: Option<Idempotency>,
}

/// Makes a submission safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// What the client sent as `Idempotency-Key`: 1 to 255 printable ASCII characters.
    pub key: String,
    /// SHA-256 of the body, hexadecimal: the same key with another body is refused.
    pub digest: String,
}

/// A task as the store knows it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name for ever.
    pub id: TaskId,
    /// What kind of work it is.
    pub kind: Name,
    /// How urgent.
    pub priority: Priority,
    /// Which part of the client's world it comes from.
    pub source: Name,
    /// Where it is.
    pub state: State,
    /// What to do, as the client sent it.
    pub payload: Box<RawValue>,
    /// What else the client sent with it.
    pub metadata: Option<Box<RawValue>>,
    /// What was promised in time.
    pub sla: Option<Sla>,
    /// The agent that it is meant for, by the routing rules at submission.
    pub agent: Name,
    /// The task that this one is a part of.
    pub parent: Option<TaskId>,
    /// What becomes of it when that one is cancelled.
    pub on_parent_cancel: OnParentCancel,
    /// Joins it with the client's traces.
    pub trace_id: Option<String>,
    /// The W3C trace context of the submission.
    pub traceparent: Option<String>,
    /// Who handed it in, as [`super::principal::Principal`] is shown.
    pub submitted_by: String,
    /// When it was accepted.
    pub created_at: Millis,
    /// When it may start, while that is ahead.
    pub scheduled_for: Option<Millis>,
    /// The number of the attempt that holds or last held it.
    pub attempt: Attempt,
    /// Failed attempts since the submission or the last requeue.
    pub retry_count: u32,
    /// How many failed attempts are followed by another.
    pub max_retries: u32,
    /// Leases that ended in silence since the submission or the last requeue.
    pub lost_count: u32,
    /// How long one attempt may take in all.
    pub timeout_ms: Option<Millis>,
    /// The caller that took the task itself, while it holds it; none: it is held by a claim, or not at all.
    pub holder: Option<String>,
    /// Until when, while it is in progress.
    pub lease_until: Option<Millis>,
    /// Why the last attempt failed, or why the task was called off.
    pub error: Option<String>,
    /// What the agent reported: any JSON, byte for byte.
    pub result: Option<Box<RawValue>>,
    /// What the agent last said of its progress.
    pub progress: Option<Progress>,
    /// Its newest approval.
    pub approval: Option<ApprovalId>,
    /// That approval, where the task was read with it.
    pub asked: Option<Box<Approval>>,
    /// Its transitions, oldest first: the submission and the newest, at most [`TIMELINE`].
    pub timeline: Vec<Transition>,
    /// Of its content: 1, and one more for every time that an approver changed the payload.
    pub version: u32,
    /// When it came to its state.
    pub since: Millis,
    /// How long it has waited for humans while it could have gone on, the wait under way apart.
    pub human_ms: Millis,
    /// Since when its clocks run: when it may or might start, or was requeued, and later by what does not count.
    pub clocks_since: Millis,
    /// What became of its clocks.
    pub reached: Reached,
    /// The store's time when this was read.
    pub observed_at: Millis,
}

/// How many transitions a task's timeline keeps: enough for every task that is not bounced about by
/// a program, and a bound on the memory of one that is.
pub const TIMELINE: u32 = 128;

/// How many bytes of transitions it keeps, as they are stored: the oldest go first, but never the submission nor the
/// newest.
pub const TIMELINE_BYTES: u32 = 65_536;

impl Task {
    /// What a human decides on: with an `action`, whether the agent may take that step.
    pub fn content<'t>(&'t self, action: Option<&'t RawValue>) -> Content<'t> {
        Content {
            kind: &self.kind,
            agent: &self.agent,
            version: self.version,
            payload: &self.payload,
            action,
        }
    }

    /// When it last came to `state`, as far as the timeline goes back.
    fn came_to(&self, state: State) -> Option<Millis> {
        let is_move = |one: &&Transition| one.to == state && !one.verb.rule().to.is_empty();
        self.timeline.iter().rev().find(is_move).map(|transition| transition.at)
    }

    /// When it last entered its agent's subject.
    pub fn assigned_at(&self) -> Option<Millis> {
        self.came_to(State::Assigned)
    }

    /// When its newest attempt began.
    pub fn started_at(&self) -> Option<Millis> {
        self.came_to(State::InProgress)
    }

    /// When it ended.
    pub fn completed_at(&self) -> Option<Millis> {
        self.state.is_terminal().then_some(self.since)
    }

    /// How the promise of `clock` stands.
    pub fn sla_state(&self, clock: Clock) -> SlaState {
        self.reached.state(clock, self.state.is_terminal())
    }

    /// How long it has waited for humans while it could have gone on, the wait under way included.
    pub fn waiting_for_human_ms(&self) -> Millis {
        let under_way = self.observed_at.saturating_sub(self.since.max(self.clocks_since));
        self.human_ms + if self.state == State::Blocked { under_way } else { 0 }
    }

    /// The agent subject that it is or was in; none before a router put it there.
    pub fn assigned_to(&self) -> Option<&Name> {
        let reached = matches!(self.state, State::Assigned | State::InProgress);
        (reached || self.assigned_at().is_some() || self.attempt > 0).then_some(&self.agent)
    }
}

/// What an agent says of its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// At most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One entry of a task's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Millis,
    /// What was done.
    pub verb: Verb,
    /// Where the task went.
    pub to: State,
    /// Who did it: a principal, or `orchestrator`.
    pub actor: String,
    /// The attempt that was current.
    pub attempt: Attempt,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// A task that an agent holds.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The task, already in progress.
    pub task: Task,
    /// Until when the agent may stay silent.
    pub lease_until: Millis,
    /// What every report on the attempt carries.
    pub lease: Lease,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done, with any JSON as the result.
    Completed {
        /// What the agent found or made.
        result: Option<Box<RawValue>>,
    },
    /// It did not work.
    Failed {
        /// Why, 1 to 8,192 bytes.
        error: String,
        /// Whether another attempt makes sense.
        is_retryable: bool,
        /// How long to wait before it, instead of the usual back-off.
        retry_after_ms: Option<Millis>,
        /// What the agent found on the way.
        result: Option<Box<RawValue>>,
    },
    /// Given back untouched; costs nothing.
    Released,
}

/// An agent's report on one attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which task.
    pub id: TaskId,
    /// Which attempt; a stale one is refused.
    pub attempt: Attempt,
    /// The token of the claim; a wrong one is refused like a stale attempt.
    pub lease: Lease,
    /// How it ended.
    pub outcome: Outcome,
}
