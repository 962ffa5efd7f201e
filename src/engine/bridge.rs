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

/// How many log entries one step publishes; an entry holds up to a hundred events.
const ENTRIES: usize = 10;

/// What a bridge is to publish next.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// Of which partition.
    pub partition: Partition,
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
}

impl Engine {
    /// The next events of every partition whose lease `holder` has or gets now.
    pub async fn unpublished(&self, holder: &str) -> Result<Vec<Unpublished>, Error> {
        // Whoever waits for the bell needs somebody to ring it.
        drop(self.store.subscribe().await?);
        let mut found = Vec::new();
        for partition in self.store.partitions() {
            if let Some(cursor) = self.store.hold_bridge(partition, holder, LEASE_MS, None).await? {
                let events = self.store.read_log(cursor, ENTRIES).await?.events;
                if !events.is_empty() {
                    found.push(Unpublished { partition, events });
                }
            }
        }
        Ok(found)
    }

    /// Notes that the partition's log has been published up to `published`; whether `holder` still had the lease.
    /// If not, somebody else goes on from where the cursor stood.
    pub async fn published(&self, holder: &str, published: EventId) -> Result<bool, Error> {
        Ok(self.store.hold_bridge(published.partition, holder, LEASE_MS, Some(published)).await?.is_some())
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
