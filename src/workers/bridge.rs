//! Carries the event log to NATS. Any number run; one at a time has the lease of a partition.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Step, Worker};
use crate::domain::ids::Partition;
use crate::engine::{self, Engine};
use crate::transport::{self, Publisher};

/// Carries the event log to NATS.
pub struct Bridge {
    engine: Engine,
    publisher: Publisher,
    /// Which bridge this is, for the lease.
    name: String,
    /// The partitions of which NATS has nothing behind the cursor, for certain.
    sure: Mutex<BTreeSet<Partition>>,
}

/// Why a step of the bridge fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store is away.
    #[error("the log cannot be read")]
    Log(#[from] engine::Error),
    /// NATS is away, or refuses.
    #[error("events wait in the log")]
    Nats(#[from] transport::Error),
}

impl Bridge {
    /// A bridge from the log of `engine` to `publisher`.
    pub fn new(engine: Engine, publisher: Publisher) -> Self {
        Self { engine, publisher, name: Uuid::now_v7().to_string(), sure: Mutex::default() }
    }

    /// Publishes the next events of a partition; whether there were any.
    async fn carry(&self, partition: Partition) -> Result<bool, Error> {
        let next = self.engine.unpublished(partition, &self.name).await;
        // The answer that is missing may have said that the lease was somebody else's meanwhile.
        if next.is_err() {
            self.sure().remove(&partition);
        }
        let next = next?;
        let Some(next) = next.filter(|next| !next.events.is_empty()) else { return Ok(false) };
        // Unsure again until the cursor is noted, however this ends.
        let is_sure = self.sure().remove(&partition) && !next.is_new;
        if !is_sure && next.cursor.at_ms > 0 && self.engine.was_trimmed_after(next.cursor).await? {
            tracing::error!(%partition, "events were trimmed from the log before NATS had them; see `retention.events`");
        }
        let (count, result) =
            self.publisher.publish(&next.events, (!is_sure).then_some(next.cursor)).await;
        // What NATS has is noted also when the rest failed, so that it is not sent again.
        if let Some(last) = next.events[..count].last()
            && !self.engine.published(&self.name, last.id, self.publisher.take_truncated()).await?
        {
            tracing::warn!(%partition, "the bridge lost its lease to another one");
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
    // The bell rings for every event; the rest only keeps the lease, and finds one that has lapsed.
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

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.log_bell())
    }
}
