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
mod examiner;
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

pub use crate::store::{Finding, Parts, Remedy};
pub use approvals::Question;
pub use bridge::Unpublished;
pub use deciders::{QUORUM, Target, Unreachable};
pub use error::{Error, Fault};
pub use examiner::Round;
pub use feed::{EventFilter, EventPage, Feed, Heard, Position};
pub use metrics::Figures;
pub use probe::Spent;
pub use report::{GroupBy, Report as SlaReport};
pub use settings::*;
pub use waiting::Waiting;

/// What a submission led to.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The task as it is now.
    pub task: Task,
    /// Whether an earlier submission with the same idempotency key created it.
    pub is_replay: bool,
}

/// Which tasks to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Tasks in this state.
    pub state: Option<State>,
    /// Tasks of this type.
    pub kind: Option<Name>,
    /// Tasks that are or were in this agent's subject.
    pub agent: Option<Name>,
    /// Tasks of this priority.
    pub priority: Option<Priority>,
    /// The children of this task.
    pub parent: Option<TaskId>,
    /// What is shown of them; what is left out is empty.
    pub parts: Parts,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none: this was the last.
    pub next_cursor: Option<String>,
}

/// How many bytes a page has at the most before its last item, whatever number of items was asked for.
pub const PAGE_BYTES: usize = 1 << 20;

/// What an agent asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The subject.
    pub agent: Name,
    /// Which of the agent's processes asks.
    pub worker: Worker,
    /// 1 to 100 tasks.
    pub max: u32,
    /// How long to wait for the first, at most 60 s.
    pub wait: Duration,
    /// How long the agent may stay silent, 1 s to 1 h; none: as configured.
    pub lease_ms: Option<Millis>,
    /// How many bytes the tasks may have where what carries the answer has a bound; `None`: as configured.
    pub room: Option<usize>,
}

/// What `PATCH /tasks/{id}/status` asks for.
#[derive(Clone, Debug)]
pub enum StatusChange {
    /// The caller takes the task under a long lease.
    InProgress,
    /// The caller, which took it, completed it or gives it up for good.
    Ended(Outcome),
    /// The same as cancelling it.
    Cancelled {
        /// At most 1,000 characters.
        reason: Option<String>,
    },
}

/// How an agent's subject stands.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// The agent.
    pub agent: Name,
    /// Tasks that wait in the subject.
    pub depth: u64,
    /// Tasks under a lease.
    pub in_progress: u64,
    /// How many of the agent's processes called lately.
    pub session_count: u64,
    /// Those that called last, newest first, at most a hundred; none: it was not asked for them.
    pub sessions: Option<Vec<Session>>,
    /// When any of them called last; none: never, or long ago.
    pub last_seen: Option<Millis>,
    /// Whether claims are answered with nothing.
    pub is_paused: bool,
}

/// One process of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it calls itself.
    pub worker: Worker,
    /// When it called last.
    pub last_seen: Millis,
}

/// How the whole fleet stands.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Tasks in each state.
    pub by_status: Vec<(State, u64)>,
    /// Open tasks of each priority.
    pub by_priority: Vec<(Priority, u64)>,
    /// Every agent, by name.
    pub by_agent: Vec<AgentStatus>,
    /// How long the head of the priority queue has waited; none: the queue is empty.
    pub oldest_pending_ms: Option<Millis>,
    /// The store's time.
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

/// The use cases over one store. Cheap to clone.
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
    /// The use cases over `store`; `stop` ends every wait when the process ends.
    pub fn new(store: Store, settings: Settings, stop: CancellationToken) -> Self {
        let tracker = TaskTracker::new();
        let settings = Arc::new(settings);
        let committer = submit::Committer::start(&store, &settings, &tracker);
        let returns = returns::Returns::start(&store, &tracker, &stop);
        Self { store, settings, committer, returns, tracker, stop }
    }

    /// What the engine was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The store, for its end, and for tests and benchmarks that look beneath.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A moment to look again without a notification; spread out so that waiters do not look together.
    fn slow_poll(&self) -> Instant {
        let ms = self.settings.queue.slow_poll_ms;
        Instant::now() + Duration::from_millis(fastrand::u64(ms * 3 / 4..=ms * 5 / 4))
    }

    /// Ends every wait when the process stops.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}
