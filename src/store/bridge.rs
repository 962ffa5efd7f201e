//! The lease and the cursor of the NATS bridge, one of each per partition.

use std::collections::HashMap;

use crate::domain::ids::{EventId, Partition};
use crate::domain::time::Millis;

use super::events::event_id;
use super::{Error, Store, args, script};

/// The lease of a partition's bridge, as its holder gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeLease {
    /// The last published event. [`EventId::first`] before any.
    pub cursor: EventId,
    /// Whether `holder` did not hold it before, so that it is unknown what was published last.
    pub is_new: bool,
}

impl Store {
    /// Takes or keeps the lease of the partition's bridge for `holder`. Returns `None` if another
    /// holder has it.
    ///
    /// * `published`: the last event that the holder has published, and how many of these events
    ///   were published without their payloads.
    pub async fn hold_bridge(
        &self,
        partition: Partition,
        holder: &str,
        lease_ms: Millis,
        published: Option<(EventId, u64)>,
    ) -> Result<Option<BridgeLease>, Error> {
        let cursor = published.map(|(id, _)| format!("{}-{}-{}", id.at_ms, id.sequence, id.index));
        let mut args = args();
        args.arg(holder).arg(lease_ms).arg(cursor.unwrap_or_default());
        args.arg(published.map_or(0, |(_, truncated)| truncated));
        let answer: String = self.run(&script::BRIDGE, partition, holder, args).await?;
        let (is_new, cursor) = match answer.split_once(' ') {
            Some((word, "-")) => (word == "TAKEN", EventId::first(partition)),
            Some((word, cursor)) => (word == "TAKEN", read_cursor(cursor, partition)?),
            None => return Ok(None),
        };
        Ok(Some(BridgeLease { cursor, is_new }))
    }

    /// Returns how many events were published to NATS without their payloads because of their size.
    pub async fn truncated_events(&self) -> Result<u64, Error> {
        let mut all = 0;
        for partition in self.partitions() {
            let mut cmd = redis::cmd("HGET");
            cmd.arg(self.keys().bridge(partition)).arg("truncated");
            let count: Option<u64> = self.query("bridge", partition, &cmd).await?;
            all += count.unwrap_or_default();
        }
        Ok(all)
    }

    /// Returns how far the bridge is behind the log, in milliseconds of the log's time. `None` if
    /// no bridge ever ran.
    pub async fn bridge_lag_ms(&self, partition: Partition) -> Result<Option<Millis>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let bridge: HashMap<String, String> =
            self.query("bridge", partition, cmd.arg(self.keys().bridge(partition))).await?;
        if bridge.is_empty() {
            return Ok(None);
        }
        let cursor =
            bridge.get("cursor").map(|cursor| read_cursor(cursor, partition)).transpose()?;
        let bounds = self.log_bounds(partition).await?;
        let Some(cursor) = cursor else {
            // Nothing was published yet, so the whole log waits.
            return Ok(Some(
                bounds
                    .first
                    .map_or(0, |first| bounds.last.at_ms.saturating_sub(first.at_ms).max(1)),
            ));
        };
        let is_behind =
            if (cursor.at_ms, cursor.sequence) == (bounds.last.at_ms, bounds.last.sequence) {
                // The entry itself may hold later events.
                bounds.first.is_some() && !self.read_log(cursor, 0).await?.events.is_empty()
            } else {
                cursor < bounds.last
            };
        Ok(Some(if is_behind { bounds.last.at_ms.saturating_sub(cursor.at_ms).max(1) } else { 0 }))
    }
}

/// Reads the cursor `<ms>-<sequence>-<index>`.
fn read_cursor(text: &str, partition: Partition) -> Result<EventId, Error> {
    let cursor = text
        .rsplit_once('-')
        .and_then(|(entry, index)| event_id(entry, index.parse().ok()?, partition));
    cursor.ok_or_else(|| Error::corrupt(format!("the bridge's cursor {text:?}")))
}
