//! The figures for operators, at a cost that does not depend on the number of tasks.

use crate::domain::ids::Partition;
use crate::domain::time::Millis;
use crate::store::{DoctorStats, LogBounds};

use super::feed::ordered;
use super::{Engine, Error, Stats};

/// The figures of the fleet and of its store.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The numbers of tasks and agents, as `GET /stats` returns them.
    pub stats: Stats,
    /// The state of the background doctor and the number of its findings.
    pub doctor: DoctorStats,
    /// The largest lag of the bridge, in milliseconds. `None` if no bridge ever ran.
    pub bridge_lag_ms: Option<Millis>,
    /// How many events were sent to NATS without their payloads because of their size.
    pub truncated_events: u64,
    /// The bounds of the event log of each partition.
    pub logs: Vec<(Partition, LogBounds)>,
    /// How often this process noticed that the store had lost data.
    pub losses: u64,
    /// How many notifications Redis refused to publish for the scripts.
    pub refused_notifications: u64,
}

impl Engine {
    /// Reads all figures as they are now.
    pub async fn figures(&self) -> Result<Figures, Error> {
        let mut logs = Vec::new();
        for partition in ordered(&self.store) {
            logs.push((partition, self.store.log_bounds(partition).await?));
        }
        Ok(Figures {
            stats: self.stats().await?,
            bridge_lag_ms: self.bridge_lag_ms().await?,
            doctor: self.store.doctor_stats().await?,
            truncated_events: self.store.truncated_events().await?,
            logs,
            losses: self.store.losses(),
            refused_notifications: self.store.refused_notifications().await?,
        })
    }
}
