//! The store's side of the duties: each call moves at most one batch of one partition.

use std::time::Duration;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::task::Millis;

use super::script::Script;
use super::tasks::joined;
use super::{Error, ORCHESTRATOR, Store, args, script};

/// What one call of a duty did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// How many tasks it took on.
    pub moved: usize,
    /// In how long the next one falls due; none: nothing waits.
    pub next_in: Option<Duration>,
}

impl Sweep {
    fn new((moved, next_in_ms): (usize, i64)) -> Self {
        Self { moved, next_in: u64::try_from(next_in_ms).ok().map(Duration::from_millis) }
    }
}

impl Store {
    /// Puts up to `limit` pending tasks into their agents' subjects; returns how many it took.
    pub async fn route(&self, partition: Partition, limit: u32) -> Result<usize, Error> {
        let mut args = args();
        args.arg(limit);
        self.run(&script::ROUTE, partition, ORCHESTRATOR, args).await
    }

    /// Puts scheduled tasks whose time has come into the queue.
    pub async fn promote(&self, partition: Partition, limit: u32) -> Result<Sweep, Error> {
        self.sweep(&script::PROMOTE, partition, limit).await
    }

    /// Up to `limit` tasks of the partition that were cancelled and whose children are still to be looked at, each with
    /// when that was, as the store says it.
    pub async fn cancelled_parents(
        &self,
        partition: Partition,
        limit: u32,
    ) -> Result<Vec<(TaskId, String)>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys().cascade(partition)).arg(0).arg(limit - 1).arg("WITHSCORES");
        let found: Vec<(String, String)> = self.query("cascade", &mut cmd).await?;
        let read = |(id, at): (String, String)| {
            let id = id.parse().map_err(|_| Error::corrupt(format!("member {id:?} of cascade")))?;
            Ok((id, at))
        };
        found.into_iter().map(read).collect()
    }

    /// Cancels those of up to `limit` children of `parent` in the partition, from the one numbered `from` on, that are to
    /// end with it; returns how many it looked at.
    ///
    /// * `cancelled_at`: what [`Store::cancelled_parents`] said, once all children are done; in the parent's partition.
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

    /// Ends tasks whose approval nobody decided in time.
    pub async fn lapse(&self, partition: Partition, limit: u32) -> Result<Sweep, Error> {
        self.sweep(&script::LAPSE, partition, limit).await
    }

    /// Announces what the clocks of up to `limit` tasks have passed, and does what their rules ask for.
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

    /// Takes back up to `limit` tasks whose lease ended in silence.
    ///
    /// * `session_ms`: how long after its last call a session of an agent counts as live; agents without one are gone.
    /// * `max_lost`: how many lost leases fail a task.
    /// * `waits_ms`: the back-off after each number of failures, for attempts that ran out of their timeout.
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

    /// Forgets tasks that ended longer than `kept_ms` ago, up to `limit` of each terminal state; returns how many tasks
    /// and entries of the audit log went.
    ///
    /// * `events_kept_ms`, `audit_kept_ms`: for how long the event log and the audit log are kept; older entries go too.
    pub async fn prune(
        &self,
        partition: Partition,
        limit: u32,
        kept_ms: Millis,
        events_kept_ms: Millis,
        audit_kept_ms: Millis,
    ) -> Result<usize, Error> {
        let mut args = args();
        args.arg(limit).arg(kept_ms).arg(events_kept_ms).arg(audit_kept_ms);
        self.run(&script::PRUNE, partition, ORCHESTRATOR, args).await
    }
}
