//! The bridge to NATS: its lease on a partition, the events after its cursor, and moving it.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Partition};
use crate::domain::time::Millis;

use super::{Engine, Error};

/// How long the lease of a bridge lasts, in milliseconds. Then another bridge takes over. It is
/// more than NATS may take for a batch; otherwise a slow NATS would move the lease from one bridge
/// to the next.
const LEASE_MS: Millis = 6_000;

/// How many log entries one step publishes. An entry has up to 64 KiB, or one event.
const ENTRIES: usize = 10;

/// What a bridge must publish next of one partition.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// The cursor up to which the log has been published.
    pub cursor: EventId,
    /// Whether another bridge had the lease, so that NATS may have events after the cursor.
    pub is_new: bool,
    /// The events after the cursor, in order. Empty if there are none yet.
    pub events: Vec<Arc<Event>>,
}

impl Engine {
    /// Returns the partitions that all bridges share among them, those that answer.
    ///
    /// # Errors
    ///
    /// Returns an error if this is the first use and the store does not answer.
    pub async fn bridged_partitions(&self) -> Result<Vec<Partition>, Error> {
        // Without a subscription, nothing wakes a waiting bridge.
        drop(self.store.subscribe().await?);
        Ok(self.store.reachable().collect())
    }

    /// Returns a partition's next events if `holder` has its lease or gets it now, else `None`.
    pub async fn unpublished(
        &self,
        partition: Partition,
        holder: &str,
    ) -> Result<Option<Unpublished>, Error> {
        let Some(lease) = self.store.hold_bridge(partition, holder, LEASE_MS, None).await? else {
            return Ok(None);
        };
        let part = self.store.read_log(lease.cursor, ENTRIES).await?;
        if part.events.is_empty() && !part.is_seamless {
            let end = self.store.log_bounds(partition).await?.last;
            if end < lease.cursor {
                tracing::error!(
                    %partition,
                    "event log ends before what NATS has; bridge continues from its end"
                );
                let published = Some((end, 0));
                self.store.hold_bridge(partition, holder, LEASE_MS, published).await?;
                return Ok(Some(Unpublished { cursor: end, is_new: true, events: Vec::new() }));
            }
        }
        let events = part.events;
        Ok(Some(Unpublished { cursor: lease.cursor, is_new: lease.is_new, events }))
    }

    /// Records that the log of the partition has been published up to `published`, `truncated`
    /// events of it without their payloads. Returns whether `holder` still had the lease. If not,
    /// another bridge continues from the old cursor.
    pub async fn published(
        &self,
        holder: &str,
        published: EventId,
        truncated: u64,
    ) -> Result<bool, Error> {
        let partition = published.partition;
        let published = Some((published, truncated));
        Ok(self.store.hold_bridge(partition, holder, LEASE_MS, published).await?.is_some())
    }

    /// Returns the largest lag behind a partition's log in milliseconds, if a bridge ever ran.
    pub async fn bridge_lag_ms(&self) -> Result<Option<Millis>, Error> {
        let mut worst = None;
        for partition in self.store.partitions() {
            worst = worst.max(self.store.bridge_lag_ms(partition).await?);
        }
        Ok(worst)
    }

    /// Returns the wake-up that fires whenever the log has grown.
    pub fn log_wake(&self) -> Arc<Notify> {
        self.store.log_wake()
    }
}
