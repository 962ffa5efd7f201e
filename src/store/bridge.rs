//! The bridge's lease and cursor, one for each partition.

use std::collections::HashMap;

use crate::domain::ids::{EventId, Partition};
use crate::domain::task::Millis;

use super::{Error, Store, args, script};

/// The lease of a partition's bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeLease {
    /// How far the log has been published; [`EventId::first`] before any.
    pub cursor: EventId,
    /// Whether somebody else, or nobody, held it before: what they published last is not known.
    pub is_new: bool,
}

impl Store {
    /// Takes or keeps the lease of the partition's bridge for `holder`. None: somebody else holds it.
    ///
    /// * `published`: how far it has been published now, which only the holder may say; and how many of these events
    ///   went without their payloads.
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

    /// How many events went to NATS without their payloads, being too large.
    pub async fn truncated_events(&self) -> Result<u64, Error> {
        let mut all = 0;
        for partition in self.partitions() {
            let mut cmd = redis::cmd("HGET");
            cmd.arg(self.keys().bridge(partition)).arg("truncated");
            let count: Option<u64> = self.query("bridge", &mut cmd).await?;
            all += count.unwrap_or_default();
        }
        Ok(all)
    }

    /// How far the bridge is behind the log, in ms of the log's time; none: no bridge ever ran.
    pub async fn bridge_lag_ms(&self, partition: Partition) -> Result<Option<Millis>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let bridge: HashMap<String, String> =
            self.query("bridge", cmd.arg(self.keys().bridge(partition))).await?;
        if bridge.is_empty() {
            return Ok(None);
        }
        let cursor =
            bridge.get("cursor").map(|cursor| read_cursor(cursor, partition)).transpose()?;
        let bounds = self.log_bounds(partition).await?;
        let Some(cursor) = cursor else {
            // Nothing was ever published: all of the log waits.
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

fn read_cursor(text: &str, partition: Partition) -> Result<EventId, Error> {
    let unreadable = || Error::corrupt(format!("the bridge's cursor {text:?}"));
    let mut numbers = text.split('-');
    let mut next = || numbers.next().ok_or_else(unreadable);
    let (at_ms, sequence, index) = (next()?, next()?, next()?);
    Ok(EventId {
        at_ms: at_ms.parse().map_err(|_| unreadable())?,
        sequence: sequence.parse().map_err(|_| unreadable())?,
        index: index.parse().map_err(|_| unreadable())?,
        partition,
    })
}
