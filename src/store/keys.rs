//! Every key: one function each, with its type and content.
//!
//! Every key and every channel begins with the deployment's prefix, `store.prefix`, so that two deployments in one Redis
//! never meet. All keys of a partition carry one hash tag, so that every script is legal on a Redis Cluster. The
//! scripts derive the same names from [`Keys::prefix`]; what only they touch is listed here too:
//!
//! | key after the prefix | type | content |
//! |---|---|---|
//! | `records` | hash | task id → where the task is and how it came there; see `prelude.lua` |
//! | `specs` | hash | task id → what was submitted, as the bytes that came |
//! | `results`, `progress` | hash | task id → what the agent reported |
//! | `tasks` | sorted set | task ids by acceptance, µs (the last three digits keep the order within a batch) |
//! | `children:<id>` | sorted set | ids of the task's children in this partition by acceptance, ms |
//! | `<state>`, `<state>:<agent>` | sorted set | the tasks of that state; see [`crate::domain::lifecycle::State`] |
//! | `cascade` | sorted set | tasks that were cancelled, and whose children are still to be looked at, by when, ms |
//! | `timers` | sorted set | tasks with a threshold ahead by when the next one passes, ms; see `clocks.lua` |
//! | `sla:<hour>` | hash | `<agent> <type> <priority> <figure>` → count, for each hour since 1970; expires |
//! | `open` | hash | priority → number of open tasks |
//! | `roster` | sorted set | agents that own a task or a session, or are paused, by when the reaper must look at them at the latest, ms |
//! | `paused` | set | agents that are paused |
//! | `sessions:<agent>` | sorted set | the agent's processes by their last call, ms |
//! | `approval:<id>` | hash | a request for a decision; see `approval.lua` |
//! | `reminders` | sorted set | approvals by when to remind of them, ms |
//! | `approvals:<status>` | sorted set | approvals: pending by expiry, others by decision, ms |
//! | `idempotency:<hash>` | string | `<digest of the body> <task id>`; expires |
//! | `void:<lease>` | string | a claim whose answer did not come, and what it leased is given back; expires |
//! | `corrected` | string | when the doctor last corrected `open`, ms; expires |
//! | `published:<call>` | string | the log entry of an event from outside; expires after 10 s |
//! | `events` | stream | the event log; an entry holds the events of one script, each in a field `e` |
//! | `logged` | string | how many bytes were ever written to `events` |
//! | `marks` | sorted set | some of the entries of `events` by how many bytes were written before them |
//! | `share:<caller>` | string | how many bytes the caller has published; expires after a minute |
//! | `audit` | stream | who did what that somebody must answer for, in a chain of hashes; see `audit.lua` |
//! | `audit:head` | hash | `sequence`, `at`, `hash` of the newest entry of `audit`; `trimmed`, `trimmed_hash` of the newest that is gone |
//! | `credentials` | hash | partition 0: `key:<name>` or `secret:jwt` → `<role> <fingerprint>` that a gateway was told last |
//! | `refused` | hash | `bells`, `channels` → how many notifications Redis did not let a script make |
//! | `bridge` | hash | who bridges the log to NATS, until when, how far, and how many events went without payloads |
//! | `examiner` | hash | of partition 0: who examines the store, until when, when the next round begins, and what was found |
//! | `bell:<name>` | channel | doorbells: `router`, `promoter`, `deadlines`, `cascade`, `agent:<agent>`, `finished` |
//!
//! Of the whole deployment are `<prefix>:layout` and the channels `<prefix>:events:<event type>`.

use std::sync::Arc;

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Prefix};

/// The version of the key layout that this program reads and writes.
pub const LAYOUT_VERSION: &str = "3";

/// The names of one deployment's keys and channels. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys(Arc<str>);

/// Whether the state has one sorted set for each agent.
pub fn is_per_agent(state: State) -> bool {
    matches!(state, State::Assigned | State::InProgress)
}

impl Keys {
    /// The names that begin with `prefix`.
    pub fn new(prefix: &Prefix) -> Self {
        Self(prefix.as_str().into())
    }

    /// Hash: `version` of the key layout, the number of `partitions` and a random `id`, written by the first process.
    pub fn layout(&self) -> String {
        format!("{}:layout", self.0)
    }

    /// What the keys of all partitions begin with.
    pub fn root(&self) -> String {
        format!("{}:{{", self.0)
    }

    /// What every key of the partition begins with.
    pub fn prefix(&self, partition: Partition) -> String {
        format!("{}:{{{partition}}}:", self.0)
    }

    /// Sorted set: the tasks of a state; `agent` where the state has a set for each.
    pub fn state(&self, partition: Partition, state: State, agent: Option<&Name>) -> String {
        match agent {
            Some(agent) if is_per_agent(state) => {
                format!("{}{state}:{agent}", self.prefix(partition))
            }
            Some(_) | None => format!("{}{state}", self.prefix(partition)),
        }
    }

    /// Sorted set: every task of the partition by acceptance.
    pub fn tasks(&self, partition: Partition) -> String {
        format!("{}tasks", self.prefix(partition))
    }

    /// Sorted set: the tasks that have a threshold ahead, by when the next one passes.
    pub fn timers(&self, partition: Partition) -> String {
        format!("{}timers", self.prefix(partition))
    }

    /// Hash: the figures of an hour, of which `hour` is the number since 1970.
    pub fn hour(&self, partition: Partition, hour: u64) -> String {
        format!("{}sla:{hour}", self.prefix(partition))
    }

    /// Sorted set: the children of a task that live in this partition, by acceptance.
    pub fn children(&self, partition: Partition, parent: TaskId) -> String {
        format!("{}children:{parent}", self.prefix(partition))
    }

    /// Sorted set: cancelled tasks whose children are still to be looked at, by when they were cancelled.
    pub fn cascade(&self, partition: Partition) -> String {
        format!("{}cascade", self.prefix(partition))
    }

    /// Sorted set: agents that own something, by when the reaper must look at them.
    pub fn roster(&self, partition: Partition) -> String {
        format!("{}roster", self.prefix(partition))
    }

    /// Sorted set: the approvals of a status.
    pub fn approvals(&self, partition: Partition, status: ApprovalStatus) -> String {
        format!("{}approvals:{}", self.prefix(partition), status.as_str())
    }

    /// Hash: one approval.
    pub fn approval(&self, id: ApprovalId) -> String {
        format!("{}approval:{id}", self.prefix(id.partition()))
    }

    /// Stream: the event log.
    pub fn events(&self, partition: Partition) -> String {
        format!("{}events", self.prefix(partition))
    }

    /// Stream: the audit log.
    pub fn audit(&self, partition: Partition) -> String {
        format!("{}audit", self.prefix(partition))
    }

    /// Hash: where the audit log's chain of hashes begins and ends.
    pub fn audit_head(&self, partition: Partition) -> String {
        format!("{}audit:head", self.prefix(partition))
    }

    /// Hash: how many notifications Redis did not let the partition's scripts make, by kind.
    pub fn refused(&self, partition: Partition) -> String {
        format!("{}refused", self.prefix(partition))
    }

    /// Hash: who bridges the partition's log to NATS, until when, and how far.
    pub fn bridge(&self, partition: Partition) -> String {
        format!("{}bridge", self.prefix(partition))
    }

    /// Channel: a doorbell of the partition.
    pub fn bell(&self, partition: Partition, name: &str) -> String {
        format!("{}bell:{name}", self.prefix(partition))
    }
}
