//! The steps of the background workers. Each call does one bounded step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::ids::{Partition, TaskId};
use crate::store::{self, Sweep};

use super::{Engine, Error};

/// The most tasks that a step moves in a partition, so that a script takes less than 5 ms of Redis.
const BATCH: u32 = 100;

/// The result of one bounded step of a background worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepResult {
    /// How many tasks the step moved or changed.
    pub moved: usize,
    /// Whether more tasks are due now, so that the next step should follow at once.
    pub is_more: bool,
    /// How long until the next task is due. `None` if no task waits.
    pub next_in: Option<Duration>,
}

impl Engine {
    /// Moves pending tasks into the subjects of their agents, the most urgent first.
    pub async fn route(&self) -> Result<SweepResult, Error> {
        self.sweep(|partition| self.store.route(partition, BATCH)).await
    }

    /// Moves scheduled tasks whose time has come into the priority queue.
    pub async fn promote(&self) -> Result<SweepResult, Error> {
        self.sweep(|partition| self.store.promote(partition, BATCH)).await
    }

    /// Returns tasks with a lost lease to their subjects, or fails those that lost too many.
    pub async fn reap(&self) -> Result<SweepResult, Error> {
        let agents = &self.settings.agents;
        let waits = self.waits();
        self.sweep(|partition| {
            self.store.reap(partition, BATCH, agents.max_lost, &waits, agents.session_ms)
        })
        .await
    }

    /// Cancels the children of cancelled tasks that were submitted to end with their parent.
    pub async fn cascade(&self) -> Result<SweepResult, Error> {
        let mut result = SweepResult::default();
        let mut failed = None;
        for partition in self.store.reachable() {
            let parents = self.store.cancelled_parents(partition, BATCH).await?;
            for (parent, at) in &parents {
                // Children of the other parents must not wait for a partition that is away.
                match self.cascade_from(*parent).await {
                    Ok(()) => {
                        self.store.cascade(partition, *parent, 0, 0, Some(at)).await?;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            result.add(Sweep { moved: parents.len(), next_in: None });
        }
        failed.map_or(Ok(result), Err)
    }

    /// Cancels such children of one task in every partition.
    ///
    /// # Errors
    ///
    /// The first error, once the other partitions are done.
    pub(super) async fn cascade_from(&self, parent: TaskId) -> Result<(), Error> {
        let mut failed = None;
        for partition in self.store.partitions() {
            if let Err(error) = self.cascade_in(partition, parent).await {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn cascade_in(&self, partition: Partition, parent: TaskId) -> Result<(), store::Error> {
        let mut from = 0;
        loop {
            let seen = self.store.cascade(partition, parent, from, BATCH, None).await?;
            from += seen;
            if seen < BATCH as usize {
                return Ok(());
            }
        }
    }

    /// Escalates or expires approvals that were not decided in time, and reminds approvers.
    pub async fn expire(&self) -> Result<SweepResult, Error> {
        self.sweep(|partition| self.store.expire(partition, BATCH)).await
    }

    /// Announces deadlines that are near or have passed, and applies the SLA rules.
    pub async fn deadlines(&self) -> Result<SweepResult, Error> {
        let head_starts = self.settings.queue.head_start_ms.all();
        self.sweep(|partition| self.store.deadlines(partition, BATCH, head_starts)).await
    }

    /// Deletes ended tasks, events and audit entries whose retention is over.
    pub async fn prune(&self) -> Result<SweepResult, Error> {
        let kept = &self.settings.retention;
        self.sweep(|partition| {
            self.store.prune(partition, BATCH, kept.finished_ms, kept.events_ms, kept.audit_ms)
        })
        .await
    }

    /// Does one step in each partition that answers.
    async fn sweep<F: Future<Output = Result<Sweep, store::Error>>>(
        &self,
        step: impl Fn(Partition) -> F,
    ) -> Result<SweepResult, Error> {
        let mut result = SweepResult::default();
        for partition in self.store.reachable() {
            result.add(step(partition).await?);
        }
        Ok(result)
    }

    /// Returns the wake-up of this name: `router` fires when a task becomes pending, `promoter`
    /// when one is scheduled, `deadlines` when one gets a deadline that is near, and `cascade` when
    /// one with children is cancelled.
    pub fn wake(&self, name: &str) -> Arc<Notify> {
        self.store.notifier().wake(name)
    }
}

impl SweepResult {
    fn add(&mut self, sweep: Sweep) {
        self.moved += sweep.moved;
        self.is_more |= sweep.moved >= BATCH as usize;
        self.next_in = [self.next_in, sweep.next_in].into_iter().flatten().min();
    }
}
