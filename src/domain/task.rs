//! A task: what was submitted, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::approval::Approval;
use super::content::Content;
use super::ids::{ApprovalId, TaskId};
use super::lease::{Attempt, Lease};
use super::lifecycle::{State, Verb};
use super::name::Name;
use super::sla::{Clock, Reached, Sla, SlaState};
use super::submission::Spec;
use super::time::Millis;

/// A task as it was read from the store: what was submitted and what has happened since.
#[derive(Clone, Debug)]
pub struct Task {
    /// The identifier. It never changes and is never used again.
    pub id: TaskId,
    /// What was submitted, with the payload of the approver who edited it last and the priority to
    /// which an SLA rule raised it.
    pub spec: Spec,
    /// The current state, which only the verbs of [`super::lifecycle::RULES`] change.
    pub state: State,
    /// The deadlines of the task. `None` if it has no SLA.
    pub sla: Option<Sla>,
    /// The subject of the task: the agent that the routing rules chose at submission, for its tenant.
    pub agent: Name,
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
    /// The number of lost leases since the submission or the last requeue.
    pub lost_count: u32,
    /// The caller that took the task itself and holds it. `None` if a claim or no caller does.
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
    /// How long it has waited for approvals while it could have run, without the current wait.
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
            kind: &self.spec.kind,
            agent: &self.agent,
            version: self.version,
            payload: &self.spec.payload,
            action,
        }
    }

    /// Returns the tenant that the task belongs to. `None` if it belongs to none.
    pub fn tenant(&self) -> Option<Name> {
        self.agent.tenant()
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

    /// Returns [`Self::human_ms`] including the current wait.
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
