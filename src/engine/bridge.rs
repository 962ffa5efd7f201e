//! What the bridge to the outside needs: a lease, the log behind a cursor, and the cursor moved.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Partition};
use crate::domain::task::Millis;

use super::{Engine, Error};

/// How long a bridge may be silent before another one takes over, in milliseconds. More than NATS may take for a
/// batch, or a slow NATS would pass the lease around.
const LEASE_MS: Millis = 6_000;

/// How many log entries one step publishes; an entry has up to 64 KiB, or one event.
const ENTRIES: usize = 10;

/// What a bridge is to publish next of one partition.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// How far the log has been published.
    pub cursor: EventId,
    /// Whether the lease was somebody else's before, so that what NATS has behind the cursor is not known.
    pub is_new: bool,
    /// The events behind the cursor, in order; empty: there are none now.
    pub events: Vec<Arc<Event>>,
}

impl Engine {
    /// The partitions that bridges share among them.
    ///
    /// # Errors
    ///
    /// If this is the first use and the store does not answer.
    pub async fn bridged_partitions(&self) -> Result<Vec<Partition>, Error> {
        // Whoever waits for the bell needs somebody to ring it.
        drop(self.store.subscribe().await?);
        Ok(self.store.partitions().collect())
    }

    /// The next events of a partition whose lease `holder` has or gets now; none: another bridge has it.
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
                tracing::error!(%partition, "the event log has gone back behind what NATS has; the bridge goes on from its end");
                let published = Some((end, 0));
                self.store.hold_bridge(partition, holder, LEASE_MS, published).await?;
                return Ok(Some(Unpublished { cursor: end, is_new: true, events: Vec::new() }));
            }
        }
        let events = part.events;
        Ok(Some(Unpublished { cursor: lease.cursor, is_new: lease.is_new, events }))
    }

    /// Notes that the partition's log has been published up to `published`, `truncated` events of it without their
    /// payloads; whether `holder` still had the lease.
    /// If not, somebody else goes on from where the cursor stood.
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

    /// How far the bridge is behind the log at worst, in milliseconds; none: no bridge ever ran.
    pub async fn bridge_lag_ms(&self) -> Result<Option<Millis>, Error> {
        let mut worst = None;
        for partition in self.store.partitions() {
            worst = worst.max(self.store.bridge_lag_ms(partition).await?);
        }
        Ok(worst)
    }

    /// Rings whenever the log has grown.
    pub fn log_bell(&self) -> Arc<Notify> {
        self.store.log_bell()
    }
}
