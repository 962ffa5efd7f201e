//! The use cases: what the product does, without a word of HTTP or Redis.

mod approvals;
mod audit;
mod bridge;
mod deciders;
mod dispatch;
mod doctor;
mod duties;
mod error;
mod events;
mod feed;
mod metrics;
mod oversight;
mod probe;
mod progress;
mod report;
mod returns;
mod settings;
mod submit;
mod tasks;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::ids::TaskId;
use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Worker};
use crate::domain::task::{Millis, Outcome, Priority, Task};
use crate::store::Store;

pub use crate::store::{Finding, Parts, Repair};
pub use approvals::Question;
pub use bridge::Unpublished;
pub use deciders::{QUORUM, Target, Unreachable};
pub use doctor::BackgroundCheck;
pub use error::{Error, Fault};
pub use feed::{Cursor, EventFilter, EventPage, Feed, FeedItem};
pub use metrics::Figures;
pub use probe::Spent;
pub use report::{GroupBy, Report as SlaReport};
pub use settings::*;
pub use waiting::Waiting;

/// The result of an accepted submission.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The task as it is now, after this or the earlier submission.
    pub task: Task,
    /// Whether an earlier submission with the same idempotency key created it.
    pub is_replay: bool,
}

/// Which tasks to list: those that match every part that is given.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only tasks in this state. `None` if every state matches.
    pub state: Option<State>,
    /// Only tasks of this type. `None` if every type matches.
    pub kind: Option<Name>,
    /// Only tasks that are or were in this agent's subject. `None` if every agent matches.
    pub agent: Option<Name>,
    /// Only tasks of this priority. `None` if every priority matches.
    pub priority: Option<Priority>,
    /// Only the children of this task. `None` if every task matches.
    pub parent: Option<TaskId>,
    /// The parts to read of each task. The others stay empty.
    pub parts: Parts,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items of the page, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page. `None` if this is the last.
    pub next_cursor: Option<String>,
}

/// The largest size in bytes of a page without its last item, for any `limit`.
pub const PAGE_BYTES: usize = 1 << 20;

/// A claim of an agent: a call for tasks of its subject.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The agent from whose subject the tasks come.
    pub agent: Name,
    /// The name of the agent's process that claims.
    pub worker: Worker,
    /// The largest number of tasks to return, 1 to 100.
    pub max: u32,
    /// How long to wait for the first task, at most 60 s.
    pub wait: Duration,
    /// How long the lease lasts without an extension, 1 s to 1 h. `None` means the configured time.
    pub lease_ms: Option<Millis>,
    /// The largest size of the tasks in bytes, if the channel of the response has a limit. `None`
    /// means the configured size.
    pub room: Option<usize>,
}

/// A change that a caller requests with `PATCH /tasks/{id}/status`.
#[derive(Clone, Debug)]
pub enum StatusChange {
    /// The caller takes the task under a long lease.
    InProgress,
    /// The caller took the task before, and now reports its outcome.
    Ended(Outcome),
    /// The caller cancels the task, as with `POST /tasks/{id}/cancel`.
    Cancelled {
        /// Why, in at most 1,000 characters. `None` if the caller gave no reason.
        reason: Option<String>,
    },
}

/// The state of an agent and its subject.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// The name of the agent, which is also that of its subject.
    pub agent: Name,
    /// How many tasks wait in the subject for a claim.
    pub depth: u64,
    /// How many tasks the agent holds under a lease.
    pub in_progress: u64,
    /// How many processes of the agent have a live session.
    pub session_count: u64,
    /// The sessions with the newest calls, newest first, at most a hundred. `None` if they were not
    /// requested.
    pub sessions: Option<Vec<Session>>,
    /// When a process of the agent last called. `None` if none did, or if that was long ago.
    pub last_seen: Option<Millis>,
    /// Whether the agent is paused, so that its claims return nothing.
    pub is_paused: bool,
}

/// The live session of one process of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    /// The name that the process gave itself in its claims.
    pub worker: Worker,
    /// When the process last called, in milliseconds since 1970.
    pub last_seen: Millis,
}

/// The numbers of tasks and agents of the whole fleet.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The number of tasks in each state, in the order of a task's life.
    pub by_status: Vec<(State, u64)>,
    /// The number of open tasks of each priority, the most urgent first.
    pub by_priority: Vec<(Priority, u64)>,
    /// Every agent that a routing rule names or that has tasks or sessions, by name.
    pub by_agent: Vec<AgentStatus>,
    /// How long the head of the priority queue has waited, in milliseconds. `None` if the queue is
    /// empty.
    pub oldest_pending_ms: Option<Millis>,
    /// The store's time at which this was read, in milliseconds since 1970.
    pub at: Millis,
}

/// What would happen to a submission.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The agent that would get the task. `None` if no routing rule applies, so the submission
    /// would be refused.
    pub agent: Option<Name>,
    /// The number of the routing rule that applies, from 0.
    pub rule: Option<usize>,
    /// The approval rule that would block the task. `None` if it needs no approval.
    pub approval_rule: Option<String>,
}

/// The result of one bounded step of a background worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepResult {
    /// How many tasks the step moved or changed.
    pub moved: usize,
    /// Whether more tasks are due now, so that the next step should follow at once.
    pub is_more: bool,
    /// How long until the next task is due. `None` if no task waits.
    pub next_in: Option<Duration>,
}

/// The use cases over one store. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    settings: Arc<Settings>,
    committer: submit::Committer,
    returns: returns::Returns,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Engine {
    /// Starts the use cases over `store`. `stop` ends every wait when the process ends.
    pub fn new(store: Store, settings: Settings, stop: CancellationToken) -> Self {
        let tracker = TaskTracker::new();
        let settings = Arc::new(settings);
        let committer = submit::Committer::start(&store, &settings, &tracker);
        let returns = returns::Returns::start(&store, &tracker, &stop);
        Self { store, settings, committer, returns, tracker, stop }
    }

    /// Returns the settings with which the engine was started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the store, for closing it, and for tests and benchmarks.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns when to look again without a notification. It is random, so that waiting calls do
    /// not all look at once.
    fn slow_poll(&self) -> Instant {
        let ms = self.settings.queue.slow_poll_ms;
        Instant::now() + Duration::from_millis(fastrand::u64(ms * 3 / 4..=ms * 5 / 4))
    }

    /// Returns the token that ends every wait when the process stops.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}
