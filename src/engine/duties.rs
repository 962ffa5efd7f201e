//! What must be done without anybody asking; each call does one bounded step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::ids::TaskId;
use crate::store::Sweep;

use super::{Engine, Error, Swept};

/// How many tasks a step moves at most in each partition: one script stays under 5 ms of Redis.
const BATCH: u32 = 100;

impl Engine {
    /// Puts pending tasks into their agents' subjects, the most urgent first.
    pub async fn route(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            let moved = self.store.route(partition, BATCH).await?;
            swept.add(Sweep { moved, next_in: None });
        }
        Ok(swept)
    }

    /// Puts scheduled tasks whose time has come into the queue.
    pub async fn promote(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            swept.add(self.store.promote(partition, BATCH).await?);
        }
        Ok(swept)
    }

    /// Takes back tasks whose lease ended in silence.
    pub async fn reap(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            let agents = &self.settings.agents;
            let reaped = self
                .store
                .reap(partition, BATCH, agents.max_lost, &self.waits(), agents.session_ms)
                .await?;
            swept.add(reaped);
        }
        Ok(swept)
    }

    /// Cancels the children of cancelled tasks that are to end with them.
    pub async fn cascade(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            let parents = self.store.cancelled_parents(partition, BATCH).await?;
            for (parent, at) in &parents {
                self.cascade_from(*parent).await?;
                self.store.cascade(partition, *parent, 0, 0, Some(at)).await?;
            }
            swept.add(Sweep { moved: parents.len(), next_in: None });
        }
        Ok(swept)
    }

    /// The same for the children of one task, wherever they live.
    pub(super) async fn cascade_from(&self, parent: TaskId) -> Result<(), Error> {
        for partition in self.store.partitions() {
            let mut from = 0;
            loop {
                let seen = self.store.cascade(partition, parent, from, BATCH, None).await?;
                from += seen;
                if seen < BATCH as usize {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks others, or ends tasks, where nobody decided on an approval in time; reminds those who are to decide.
    pub async fn lapse(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            swept.add(self.store.lapse(partition, BATCH).await?);
        }
        Ok(swept)
    }

    /// Announces the deadlines that are near or have passed, and does what the rules ask for.
    pub async fn deadlines(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            swept.add(
                self.store
                    .deadlines(partition, BATCH, self.settings.queue.head_start_ms.all())
                    .await?,
            );
        }
        Ok(swept)
    }

    /// Forgets tasks that ended long ago, and events and entries of the audit log from long ago.
    pub async fn prune(&self) -> Result<Swept, Error> {
        let mut swept = Swept::nothing();
        for partition in self.store.partitions() {
            let kept = &self.settings.retention;
            let moved = self
                .store
                .prune(partition, BATCH, kept.finished_ms, kept.events_ms, kept.audit_ms)
                .await?;
            swept.add(Sweep { moved, next_in: None });
        }
        Ok(swept)
    }

    /// Rings when a task became pending.
    pub fn router_bell(&self) -> Arc<Notify> {
        self.store.bells().bell("router")
    }

    /// Rings when a task has a deadline that is near.
    pub fn deadlines_bell(&self) -> Arc<Notify> {
        self.store.bells().bell("deadlines")
    }

    /// Rings when a task was cancelled.
    pub fn cascade_bell(&self) -> Arc<Notify> {
        self.store.bells().bell("cascade")
    }

    /// Rings when a task was scheduled.
    pub fn promoter_bell(&self) -> Arc<Notify> {
        self.store.bells().bell("promoter")
    }
}

impl Swept {
    fn nothing() -> Self {
        Self { moved: 0, is_more: false, next_in: None }
    }

    fn add(&mut self, sweep: Sweep) {
        self.moved += sweep.moved;
        self.is_more |= sweep.moved >= BATCH as usize;
        let soonest = |one: Duration, other: Duration| one.min(other);
        self.next_in = match (self.next_in, sweep.next_in) {
            (Some(one), Some(other)) => Some(soonest(one, other)),
            (one, other) => one.or(other),
        };
    }
}
