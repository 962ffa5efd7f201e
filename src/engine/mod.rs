//! The use cases: what the product does, without a word of HTTP or Redis.

mod error;
mod settings;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::approval::{Approval, ApprovalStatus, Decision};
use crate::domain::event::NewEvent;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::task::{Attempt, Claimed, Millis, NewTask, Priority, Progress, Report, Task};

pub use error::{Error, Fault};
pub use settings::*;

/// What a submission led to.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The task as it was when it was accepted.
    pub task: Task,
    /// Whether an earlier submission with the same idempotency key created it.
    pub is_replay: bool,
}

/// Which tasks to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    pub state: Option<State>,
    pub kind: Option<Name>,
    pub agent: Option<Name>,
    pub priority: Option<Priority>,
    pub parent: Option<TaskId>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none: this was the last.
    pub next_cursor: Option<String>,
}

/// What an agent asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The subject.
    pub agent: Name,
    /// Which of the agent's processes asks.
    pub worker: Name,
    /// 1 to 100 tasks.
    pub max: u32,
    /// How long to wait for the first, at most 60 s.
    pub wait: Duration,
    /// How long the agent may stay silent, 1 s to 1 h; none: as configured.
    pub lease_ms: Option<Millis>,
}

/// What `PATCH /tasks/{id}/status` asks for.
#[derive(Clone, Debug)]
pub enum StatusChange {
    InProgress,
    Completed { result: Option<Box<serde_json::value::RawValue>> },
    Failed { error: String, result: Option<Box<serde_json::value::RawValue>> },
    Cancelled { reason: Option<String> },
}

/// How an agent's subject stands.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    pub agent: Name,
    /// Tasks that wait in the subject.
    pub depth: u64,
    /// Tasks under a lease.
    pub in_progress: u64,
    /// The agent's processes that called lately.
    pub sessions: Vec<Session>,
    /// When any of them called last; none: never, or long ago.
    pub last_seen: Option<Millis>,
    /// Whether claims are answered with nothing.
    pub is_paused: bool,
}

/// One process of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    pub worker: Name,
    pub last_seen: Millis,
}

/// How the whole fleet stands.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Tasks in each state.
    pub by_status: Vec<(State, u64)>,
    /// Open tasks of each priority.
    pub by_priority: Vec<(Priority, u64)>,
    pub by_agent: Vec<AgentStatus>,
    /// How long the head of the priority queue has waited; none: the queue is empty.
    pub oldest_pending_ms: Option<Millis>,
    pub at: Millis,
}

/// Where a submission would go.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Who would get it; none: no rule applies and it would be refused.
    pub agent: Option<Name>,
    /// The number of the rule, from 0.
    pub rule: Option<usize>,
    /// The approval rule that would hold it, if any.
    pub approval_rule: Option<String>,
}

/// What one bounded step of a duty did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many tasks it moved.
    pub moved: usize,
    /// Whether more are waiting right now.
    pub is_more: bool,
    /// When the next one falls due, from now; none: nothing is waiting.
    pub next_in: Option<Duration>,
}

/// One thing that is wrong with the store's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key, or the task, that it is about.
    pub subject: String,
    /// What is wrong, in plain words.
    pub what: String,
}

/// The use cases over one store. Cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Takes tasks in: each is accepted, or refused for itself. Accepted means stored.
    pub async fn submit(
        &self,
        caller: &Principal,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Result<Submitted, Error>>, Error> {
        todo!()
    }
    /// The task and the store's time.
    pub async fn task(&self, id: TaskId) -> Result<Task, Error> {
        todo!()
    }
    /// The task, once it is terminal or `wait` (at most 60 s) is over.
    pub async fn task_when_finished(&self, id: TaskId, wait: Duration) -> Result<Task, Error> {
        todo!()
    }
    /// `limit` 1..=200. A page may be short though more follow.
    pub async fn tasks(&self, filter: &TaskFilter, limit: usize, cursor: Option<&str>) -> Result<Page<Task>, Error> {
        todo!()
    }
    pub async fn cancel(&self, caller: &Principal, id: TaskId, reason: Option<String>) -> Result<Task, Error> {
        todo!()
    }
    pub async fn requeue(&self, caller: &Principal, id: TaskId) -> Result<Task, Error> {
        todo!()
    }
    pub async fn change_status(&self, caller: &Principal, id: TaskId, change: StatusChange) -> Result<Task, Error> {
        todo!()
    }
    pub async fn claim(&self, caller: &Principal, claim: Claim) -> Result<Vec<Claimed>, Error> {
        todo!()
    }
    /// One result a report, in order.
    pub async fn report(&self, caller: &Principal, reports: Vec<Report>) -> Result<Vec<Result<State, Error>>, Error> {
        todo!()
    }
    /// Returns until when the lease is. `extend_ms` 1 s to 1 h; none: as configured.
    pub async fn extend(
        &self,
        caller: &Principal,
        id: TaskId,
        attempt: Attempt,
        progress: Option<Progress>,
        extend_ms: Option<Millis>,
    ) -> Result<Millis, Error> {
        todo!()
    }
    pub async fn agents(&self) -> Result<Vec<AgentStatus>, Error> {
        todo!()
    }
    pub async fn agent(&self, agent: &Name) -> Result<AgentStatus, Error> {
        todo!()
    }
    pub async fn pause(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        todo!()
    }
    pub async fn resume(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        todo!()
    }
    pub async fn approvals(
        &self,
        status: Option<ApprovalStatus>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Approval>, Error> {
        todo!()
    }
    /// The approval and the task that it is for.
    pub async fn approval(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        todo!()
    }
    pub async fn decide(
        &self,
        caller: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        todo!()
    }
    /// Returns the event's id.
    pub async fn publish(&self, caller: &Principal, event: NewEvent) -> Result<Uuid, Error> {
        todo!()
    }
    /// Duties: each moves at most one batch per partition.
    pub async fn route(&self) -> Result<Swept, Error> {
        todo!()
    }
    pub async fn promote(&self) -> Result<Swept, Error> {
        todo!()
    }
    pub async fn reap(&self) -> Result<Swept, Error> {
        todo!()
    }
    pub async fn lapse(&self) -> Result<Swept, Error> {
        todo!()
    }
    pub async fn prune(&self) -> Result<Swept, Error> {
        todo!()
    }
    /// Rings when a task becomes pending / scheduled; the routers / promoters wait for it.
    pub fn router_bell(&self) -> std::sync::Arc<tokio::sync::Notify> {
        todo!()
    }
    pub fn promoter_bell(&self) -> std::sync::Arc<tokio::sync::Notify> {
        todo!()
    }
    /// Every invariant of the keyspace that does not hold.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        todo!()
    }
    pub async fn stats(&self) -> Result<Stats, Error> {
        todo!()
    }
    /// One round trip to the store that writes nothing.
    pub async fn check(&self) -> Result<Millis, Error> {
        todo!()
    }
    /// Whether a store round trip succeeded lately.
    pub fn is_ready(&self) -> bool {
        todo!()
    }
    pub fn settings(&self) -> &Settings {
        todo!()
    }
    pub fn explain(&self, task: &NewTask) -> Explanation {
        todo!()
    }
    /// Ends every wait when the process stops.
    pub fn stop(&self) -> &CancellationToken {
        todo!()
    }
}
