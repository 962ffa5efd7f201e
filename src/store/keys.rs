//! The names of all keys, with their types and contents.
//!
//! Every key and every channel begins with the prefix of the deployment, `store.prefix`, so that
//! two deployments can share one Redis. All keys of a partition have one hash tag, so that every
//! script is legal on a Redis Cluster. The scripts derive the same names from [`Keys::prefix`]. The
//! list also has the keys that only scripts use. `<id>` stands for an id, and a name in it for that
//! value.
//!
//! * `records` (hash): task id → state, facts and timeline of the task; see `codec/fields.rs`
//! * `specs` (hash): task id → the submitted JSON, byte for byte
//! * `results`, `progress` (hash): task id → the JSON that the agent reported
//! * `tasks` (sorted set): all task ids by acceptance, µs, in groups; see `index.lua`
//! * `children:<id>` (sorted set): ids of the task's children in this partition by acceptance, ms
//! * `<state>`, `<state>:<agent>` (sorted set): the tasks of that state; see
//!   [`crate::domain::lifecycle::State`]
//! * `cascade` (sorted set): cancelled tasks with children to cancel or keep, by when they were
//!   cancelled, ms
//! * `timers` (sorted set): tasks with an SLA threshold ahead by when the next one passes, ms; for
//!   tasks that have the timer that they began with, the score of their group in `tasks`; see
//!   `timers.lua`
//! * `sla:<hour>` (hash): `<agent> <type> <priority> <figure>` → count, for each hour since 1970;
//!   expires
//! * `open` (hash): priority → number of open tasks
//! * `roster` (sorted set): agents that own a task or a session, or are paused, by when the reaper
//!   must look at them at the latest, ms
//! * `paused` (set): the paused agents
//! * `sessions:<agent>` (sorted set): the agent's processes by their last call, ms
//! * `approval:<id>` (hash): one approval; see `approval.lua`
//! * `reminders` (sorted set): approvals by when to remind of them, ms
//! * `approvals:<status>` (sorted set): approvals, pending ones by expiry and others by decision,
//!   ms
//! * `idempotency:<hash>` (string): `<digest of the body> <task id>`; expires
//! * `void:<lease>` (string): a claim whose answer did not arrive, so that its tasks are released;
//!   expires
//! * `corrected` (string): when the doctor last corrected `open`, ms; expires
//! * `published:<call>` (string): the log entry of an event that a caller published; expires after
//!   10 s
//! * `events` (stream): the event log; an entry holds the events of one script; see `facts.rs`
//! * `logged` (string): how many bytes were ever written to `events`
//! * `marks` (sorted set): some of the entries of `events` by how many bytes were written before
//!   them
//! * `share:<caller>` (string): how many bytes of events the caller published; expires after a
//!   minute
//! * `bulk:<id>` (hash, partition 0): one bulk, see `bulk_start.lua`; expires after its end
//! * `bulks` (sorted set, partition 0): running bulks by when a worker process may take each, ms
//! * `rate:<what>:<begin, ms>:<caller>` (string): how much of what the caller may use in the window that
//!   began then, calls of a class or `bytes`, is given to processes; expires with the window
//! * `owned:<caller>` (set): tasks that the caller submitted, all of which may be open, and some that
//!   have ended; only if `limits.open_tasks` is set; expires 30 days after the newest one
//! * `recorded:<call>` (string): that a refusal is in the audit log; expires after 10 s
//! * `waited` (string): nothing; written before replicas are counted, and expires at once
//! * `audit` (stream): the audit log, a chain of hashes; see `audit.lua`
//! * `audit:head` (hash): `sequence`, `at` and `hash` of the newest entry of `audit`; `trimmed` and
//!   `trimmed_hash` of the newest deleted one
//! * `credentials` (hash, partition 0): `key:<name>`, `secret:jwt` or `secret:oidc` →
//!   `<role> <fingerprint>` in the newest settings of a gateway
//! * `keys` (hash, partition 0): id → a managed API key, JSON; see
//!   [`crate::domain::api_key::ApiKey`]
//! * `keys:version` (string, partition 0): changes with every change of a managed key
//! * `keys:used` (sorted set, partition 0): ids of managed keys by their last use, ms; 0 if never
//! * `signed_out` (sorted set, partition 0): callers who signed out in the last 12 h by when they did,
//!   ms
//! * `nonce:<hash>` (string, partition 0): that a caller used a nonce; expires
//! * `refused` (hash): `wakes`, `channels` → how many notifications Redis refused to publish for a
//!   script
//! * `bridge` (hash): holder, lease and cursor of the NATS bridge, and how many events went without
//!   payloads
//! * `doctor` (hash, partition 0): which process checks the store, until when, when the next
//!   check starts, and its results
//! * `wake:<name>` (channel): notifications `router`, `promoter`, `deadlines`, `cascade`,
//!   `agent:<agent>`, `bulk`, `finished`, `keys`
//!
//! `<prefix>:layout` and the channels `<prefix>:events:<event type>` belong to the whole
//! deployment.

use std::sync::Arc;

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, BulkId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Prefix};

/// The version of the key layout that this program reads and writes.
pub const LAYOUT_VERSION: &str = "8";

/// How many task ids a group of `tasks` has at most.
pub(super) const GROUP_SIZE: usize = 100;

/// The names of one deployment's keys and channels. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Keys(Arc<str>);

/// How the sorted set of a state is ordered, and who waits for its tasks.
pub(super) struct StatePlace {
    /// The score: the `rank` of the task, when it is `due`, the end of its `lease`, or when it came to
    /// the state, `now`.
    pub order: &'static str,
    /// The notification that wakes those who wait for tasks in this state; `agent` stands for
    /// `agent:<agent>`.
    pub wake: Option<&'static str>,
}

/// Returns the place of the tasks in this state.
pub(super) fn place(state: State) -> StatePlace {
    let (order, wake) = match state {
        State::Blocked | State::Completed | State::Failed => ("now", None),
        State::Scheduled => ("due", Some("promoter")),
        State::Pending => ("rank", Some("router")),
        State::Assigned => ("rank", Some("agent")),
        State::InProgress => ("lease", None),
        State::Cancelled => ("now", Some("cascade")),
    };
    StatePlace { order, wake }
}

/// Returns whether the state has one sorted set per agent.
pub fn is_per_agent(state: State) -> bool {
    matches!(state, State::Assigned | State::InProgress)
}

impl Keys {
    /// Makes the names that begin with `prefix`.
    pub fn new(prefix: &Prefix) -> Self {
        Self(prefix.as_str().into())
    }

    /// Returns the hash with the `version` of the key layout, the number of `partitions` and a
    /// random `id`, which the first process writes.
    pub fn layout(&self) -> String {
        format!("{}:layout", self.0)
    }

    /// Returns the text that the keys of all partitions begin with.
    pub fn root(&self) -> String {
        format!("{}:{{", self.0)
    }

    /// Returns the text that every key of the partition begins with.
    pub fn prefix(&self, partition: Partition) -> String {
        format!("{}:{{{partition}}}:", self.0)
    }

    /// Returns the hash of the records of all tasks of the partition.
    pub fn records(&self, partition: Partition) -> String {
        format!("{}records", self.prefix(partition))
    }

    /// Returns the sorted set of the tasks of a state. `agent` is used only if the state has a set
    /// per agent.
    pub fn state(&self, partition: Partition, state: State, agent: Option<&Name>) -> String {
        match agent {
            Some(agent) if is_per_agent(state) => {
                format!("{}{state}:{agent}", self.prefix(partition))
            }
            Some(_) | None => format!("{}{state}", self.prefix(partition)),
        }
    }

    /// Returns the sorted set of all tasks of the partition by acceptance, in groups.
    pub fn tasks(&self, partition: Partition) -> String {
        format!("{}tasks", self.prefix(partition))
    }

    /// Returns the sorted set of the tasks, and of the groups of tasks, with an SLA threshold ahead,
    /// by when the next one passes.
    pub fn timers(&self, partition: Partition) -> String {
        format!("{}timers", self.prefix(partition))
    }

    /// Returns the hash of the figures of an hour, numbered since 1970.
    pub fn hour(&self, partition: Partition, hour: u64) -> String {
        format!("{}sla:{hour}", self.prefix(partition))
    }

    /// Returns the sorted set of the task's children in this partition, by acceptance.
    pub fn children(&self, partition: Partition, parent: TaskId) -> String {
        format!("{}children:{parent}", self.prefix(partition))
    }

    /// Returns the sorted set of cancelled tasks whose children the cascade has not handled yet, by
    /// when they were cancelled.
    pub fn cascade(&self, partition: Partition) -> String {
        format!("{}cascade", self.prefix(partition))
    }

    /// Returns the sorted set of the agents that own something, by when the reaper must look at
    /// them.
    pub fn roster(&self, partition: Partition) -> String {
        format!("{}roster", self.prefix(partition))
    }

    /// Returns the sorted set of the approvals of a status.
    pub fn approvals(&self, partition: Partition, status: ApprovalStatus) -> String {
        format!("{}approvals:{}", self.prefix(partition), status.as_str())
    }

    /// Returns the hash of one approval.
    pub fn approval(&self, id: ApprovalId) -> String {
        format!("{}approval:{id}", self.prefix(id.partition()))
    }

    /// Returns the hash of one bulk, in the first partition as all of them.
    pub fn bulk(&self, id: BulkId) -> String {
        format!("{}bulk:{id}", self.prefix(Partition(0)))
    }

    /// Returns the stream of the event log.
    pub fn events(&self, partition: Partition) -> String {
        format!("{}events", self.prefix(partition))
    }

    /// Returns the stream of the audit log.
    pub fn audit(&self, partition: Partition) -> String {
        format!("{}audit", self.prefix(partition))
    }

    /// Returns the hash with both ends of the audit log's chain of hashes.
    pub fn audit_head(&self, partition: Partition) -> String {
        format!("{}audit:head", self.prefix(partition))
    }

    /// Returns the hash of all managed API keys.
    pub fn api_keys(&self, partition: Partition) -> String {
        format!("{}keys", self.prefix(partition))
    }

    /// Returns the string with the version of the managed API keys.
    pub fn key_version(&self, partition: Partition) -> String {
        format!("{}keys:version", self.prefix(partition))
    }

    /// Returns the sorted set of the managed API keys by their last use.
    pub fn key_uses(&self, partition: Partition) -> String {
        format!("{}keys:used", self.prefix(partition))
    }

    /// Returns the sorted set of the callers who signed out lately, by when they did.
    pub fn signed_out(&self, partition: Partition) -> String {
        format!("{}signed_out", self.prefix(partition))
    }

    /// Returns the string that says that a caller used a nonce, by the hash of both.
    pub fn nonce(&self, hash: &str) -> String {
        format!("{}nonce:{hash}", self.prefix(Partition(0)))
    }

    /// Returns the hash that counts the notifications that Redis refused to publish, by kind.
    pub fn refused(&self, partition: Partition) -> String {
        format!("{}refused", self.prefix(partition))
    }

    /// Returns the hash with the holder, the lease and the cursor of the NATS bridge.
    pub fn bridge(&self, partition: Partition) -> String {
        format!("{}bridge", self.prefix(partition))
    }

    /// Returns the pattern of the channels of all types of events.
    pub fn event_channels(&self) -> String {
        format!("{}:events:*", self.0)
    }

    /// Returns the string that is written before the replicas are counted.
    pub fn waited(&self, partition: Partition) -> String {
        format!("{}waited", self.prefix(partition))
    }

    /// Returns the channel of the partition's notifications with this name.
    pub fn wake(&self, partition: Partition, name: &str) -> String {
        format!("{}wake:{name}", self.prefix(partition))
    }
}
