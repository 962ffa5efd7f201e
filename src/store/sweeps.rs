//! The batches of the background workers: each call handles at most one batch of one partition.

use std::time::Duration;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::time::Millis;

use super::script::Script;
use super::tasks::joined;
use super::{Error, ORCHESTRATOR, Store, args, script};

/// The result of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// How many tasks the batch handled.
    pub moved: usize,
    /// In how long the next task is due. `None` if no task waits.
    pub next_in: Option<Duration>,
}

impl Sweep {
    fn new((moved, next_in_ms): (usize, i64)) -> Self {
        Self { moved, next_in: u64::try_from(next_in_ms).ok().map(Duration::from_millis) }
    }
}

impl Store {
    /// Routes up to `limit` pending tasks to their agents' subjects.
    pub async fn route(&self, partition: Partition, limit: u32) -> Result<Sweep, Error> {
        let mut args = args();
        args.arg(limit);
        let moved = self.run(&script::ROUTE, partition, ORCHESTRATOR, args).await?;
        Ok(Sweep { moved, next_in: None })
    }

    /// Makes up to `limit` scheduled tasks that are due pending.
    pub async fn promote(&self, partition: Partition, limit: u32) -> Result<Sweep, Error> {
        self.sweep(&script::PROMOTE, partition, limit).await
    }

    /// Returns up to `limit` cancelled tasks of the partition whose children the cascade has not
    /// handled yet, each with the time of its cancellation as the store has it.
    pub async fn cancelled_parents(
        &self,
        partition: Partition,
        limit: u32,
    ) -> Result<Vec<(TaskId, String)>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys().cascade(partition)).arg(0).arg(limit - 1).arg("WITHSCORES");
        let found: Vec<(String, String)> = self.query("cascade", partition, &cmd).await?;
        let mut parents = Vec::new();
        for (id, at) in found {
            let id = id.parse().map_err(|_| Error::corrupt(format!("member {id:?} of cascade")))?;
            parents.push((id, at));
        }
        Ok(parents)
    }

    /// Cancels those children of `parent` in the partition that end with it. Checks up to `limit`
    /// of them, from the index `from` on, and returns how many it checked.
    ///
    /// * `cancelled_at`: the time from [`Store::cancelled_parents`], in the last call for the
    ///   parent, which goes to the parent's partition. `None` before.
    pub async fn cascade(
        &self,
        partition: Partition,
        parent: TaskId,
        from: usize,
        limit: u32,
        cancelled_at: Option<&str>,
    ) -> Result<usize, Error> {
        let mut args = args();
        args.arg(parent.to_string()).arg(from).arg(limit).arg(cancelled_at.unwrap_or_default());
        self.run(&script::CASCADE, partition, ORCHESTRATOR, args).await
    }

    /// Handles up to `limit` approvals that were not decided in time, each of which escalates or
    /// expires, and as many reminders that are due.
    pub async fn expire(&self, partition: Partition, limit: u32) -> Result<Sweep, Error> {
        self.sweep(&script::EXPIRE, partition, limit).await
    }

    /// Publishes the SLA thresholds that the clocks of up to `limit` tasks have passed, and runs
    /// the actions of their rules.
    ///
    /// * `head_starts_ms`: the head starts of P0 to P3, in milliseconds.
    pub async fn deadlines(
        &self,
        partition: Partition,
        limit: u32,
        head_starts_ms: [Millis; 4],
    ) -> Result<Sweep, Error> {
        let mut args = args();
        args.arg(limit).arg(joined(head_starts_ms));
        self.run(&script::DEADLINES, partition, ORCHESTRATOR, args).await.map(Sweep::new)
    }

    async fn sweep(
        &self,
        script: &Script,
        partition: Partition,
        limit: u32,
    ) -> Result<Sweep, Error> {
        let mut args = args();
        args.arg(limit);
        self.run(script, partition, ORCHESTRATOR, args).await.map(Sweep::new)
    }

    /// Returns up to `limit` tasks with a lost lease to their subjects, or fails them.
    ///
    /// * `max_lost`: how many lost leases fail a task.
    /// * `waits_ms`: the back-off after each number of failures, for attempts that reached their
    ///   timeout.
    /// * `session_ms`: how long a session stays live after its last call. Expired sessions are
    ///   deleted.
    pub async fn reap(
        &self,
        partition: Partition,
        limit: u32,
        max_lost: u32,
        waits_ms: &str,
        session_ms: Millis,
    ) -> Result<Sweep, Error> {
        let mut args = args();
        args.arg(limit).arg(max_lost).arg(waits_ms).arg(session_ms);
        self.run(&script::REAP, partition, ORCHESTRATOR, args).await.map(Sweep::new)
    }

    /// Deletes up to `limit` tasks of each final state that ended longer than `kept_ms` ago.
    /// Returns how many tasks and entries of the audit log were deleted.
    ///
    /// * `events_kept_ms`, `audit_kept_ms`: how long to keep the entries of the event log and of
    ///   the audit log.
    pub async fn prune(
        &self,
        partition: Partition,
        limit: u32,
        kept_ms: Millis,
        events_kept_ms: Millis,
        audit_kept_ms: Millis,
    ) -> Result<Sweep, Error> {
        let mut args = args();
        args.arg(limit).arg(kept_ms).arg(events_kept_ms).arg(audit_kept_ms);
        let moved = self.run(&script::PRUNE, partition, ORCHESTRATOR, args).await?;
        Ok(Sweep { moved, next_in: None })
    }
}
