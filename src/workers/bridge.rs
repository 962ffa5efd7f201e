//! Publishes the event log to NATS. Any number of bridges may run; one at a time holds the lease of
//! a partition.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Step, Worker};
use crate::domain::ids::Partition;
use crate::engine::{self, Engine};
use crate::transport::{self, Publisher};

/// The duty that publishes the event log to NATS, partition by partition.
pub struct Bridge {
    engine: Engine,
    publisher: Publisher,
    /// The name of this bridge, which holds the leases.
    name: String,
    /// The partitions for which NATS certainly has no event after the cursor.
    sure: Mutex<BTreeSet<Partition>>,
}

/// The reason why a step of the bridge failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer, or the log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] engine::Error),
    /// NATS does not answer, or refuses the events.
    #[error("events wait in the log")]
    Nats(#[from] transport::Error),
}

impl Bridge {
    /// Makes a bridge from the log of `engine` to `publisher`.
    pub fn new(engine: Engine, publisher: Publisher) -> Self {
        Self { engine, publisher, name: Uuid::now_v7().to_string(), sure: Mutex::default() }
    }

    /// Publishes the next events of a partition. Returns whether there were any.
    async fn carry(&self, partition: Partition) -> Result<bool, Error> {
        let next = self.engine.unpublished(partition, &self.name).await.inspect_err(|_| {
            // Another bridge may have held the lease meanwhile, which only the lost answer shows.
            self.sure().remove(&partition);
        })?;
        let Some(next) = next.filter(|next| !next.events.is_empty()) else { return Ok(false) };
        // Not certain again until the cursor is recorded, however this call ends.
        let is_sure = self.sure().remove(&partition) && !next.is_new;
        if !is_sure && next.cursor.at_ms > 0 && self.engine.was_trimmed_after(next.cursor).await? {
            tracing::error!(
                %partition,
                "events were trimmed from the log before NATS had them; raise `retention.events`"
            );
        }
        let (count, result) =
            self.publisher.publish(&next.events, (!is_sure).then_some(next.cursor)).await;
        // The cursor is recorded even if the rest failed, so that nothing is sent again.
        if let Some(last) = next.events[..count].last()
            && !self.engine.published(&self.name, last.id, self.publisher.take_truncated()).await?
        {
            tracing::warn!(%partition, "bridge lost its lease to another one");
            return Ok(true);
        }
        result?;
        self.sure().insert(partition);
        Ok(true)
    }

    fn sure(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.sure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker for Bridge {
    const NAME: &'static str = "bridge";
    // The notification comes for every event. The rest only keeps the lease, and finds an expired
    // one.
    const REST: Duration = Duration::from_secs(1);
    type Error = Error;

    async fn step(&self) -> Result<Step, Error> {
        let mut step = Step::Idle;
        for partition in self.engine.bridged_partitions().await? {
            if self.carry(partition).await? {
                step = Step::Busy;
            }
        }
        Ok(step)
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.engine.log_wake())
    }
}
