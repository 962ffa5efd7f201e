//! Carries the event log to NATS. Any number run; one at a time has the lease of a partition.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Step, Worker};
use crate::engine::{self, Engine};
use crate::transport::{self, Publisher};

/// Carries the event log to NATS.
pub struct Bridge {
    engine: Engine,
    publisher: Publisher,
    /// Which bridge this is, for the lease.
    name: String,
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
        Self { engine, publisher, name: Uuid::now_v7().to_string() }
    }
}

impl Worker for Bridge {
    const NAME: &'static str = "bridge";
    // The bell rings for every event; the rest only keeps the lease, and finds one that has lapsed.
    const REST: Duration = Duration::from_secs(1);
    type Error = Error;

    async fn step(&self) -> Result<Step, Error> {
        let mut step = Step::Idle;
        for batch in self.engine.unpublished(&self.name).await? {
            step = Step::Busy;
            let (count, result) = self.publisher.publish(&batch.events).await;
            // What NATS has is noted also when the rest failed, so that it is not sent again.
            if let Some(last) = batch.events[..count].last()
                && !self.engine.published(&self.name, last.id).await?
            {
                tracing::warn!(partition = %batch.partition, "the bridge lost its lease to another one");
            }
            result?;
        }
        Ok(step)
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.log_bell())
    }
}
