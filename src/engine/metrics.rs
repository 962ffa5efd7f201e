//! The figures that an operator watches, at a cost that does not depend on the number of tasks.

use crate::domain::ids::Partition;
use crate::domain::task::Millis;
use crate::store::{LogBounds, Rounds};

use super::{Engine, Error, Stats};

/// How the fleet stands, and how its store does.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How the fleet stands.
    pub stats: Stats,
    /// What the examiners found.
    pub rounds: Rounds,
    /// How far the bridge is behind at worst, in milliseconds; none: no bridge ever ran.
    pub bridge_lag_ms: Option<Millis>,
    /// How many events went to NATS without their payloads, being too large.
    pub truncated_events: u64,
    /// What the log of each partition holds.
    pub logs: Vec<(Partition, LogBounds)>,
    /// How often this process found that the store had lost data.
    pub losses: u64,
    /// How many notifications Redis did not let the scripts make.
    pub refused_notifications: u64,
}

impl Engine {
    /// All of them, as they are now.
    pub async fn figures(&self) -> Result<Figures, Error> {
        let mut logs = Vec::new();
        for partition in self.store.partitions() {
            logs.push((partition, self.store.log_bounds(partition).await?));
        }
        logs.sort_by_key(|(partition, _)| *partition);
        let (stats, bridge_lag_ms) = (self.stats().await?, self.bridge_lag_ms().await?);
        Ok(Figures {
            stats,
            rounds: self.store.rounds().await?,
            bridge_lag_ms,
            truncated_events: self.store.truncated_events().await?,
            logs,
            losses: self.store.losses(),
            refused_notifications: self.store.refused_notifications().await?,
        })
    }
}
