//! Checks whether the keyspace has the layout that this version can use.

use super::nodes::Place;
use super::upgrade::{Way, way_from};
use super::{Error, Store, keys};

/// The layout that a store has. A part is `None` if it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    version: Option<String>,
    partitions: Option<u16>,
    /// A random id, made with the layout: another id is another store.
    id: Option<String>,
}

impl Layout {
    /// Returns whether no process ever wrote a layout here.
    pub(super) fn is_missing(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Reads the layout of the store.
    pub(super) async fn layout(&self) -> Result<Layout, Error> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys().layout()).arg("version").arg("partitions").arg("id");
        let (version, partitions, id) = self.query_cold("layout", Place::Layout, &cmd).await?;
        Ok(Layout { version, partitions, id })
    }

    /// Writes the version of the layout, the number of partitions and an id, unless they exist, and
    /// compares them. Returns the store's id.
    pub(super) async fn check_layout(&self) -> Result<String, Error> {
        let partitions = self.shared.settings.partitions;
        let mut pipe = redis::pipe();
        // In one transaction: a store that is emptied in between would look like a foreign one.
        pipe.atomic();
        pipe.cmd("HSETNX")
            .arg(self.keys().layout())
            .arg("version")
            .arg(keys::LAYOUT_VERSION)
            .ignore();
        pipe.cmd("HSETNX").arg(self.keys().layout()).arg("partitions").arg(partitions).ignore();
        pipe.cmd("HSETNX")
            .arg(self.keys().layout())
            .arg("id")
            .arg(uuid::Uuid::now_v7().to_string())
            .ignore();
        pipe.cmd("HMGET").arg(self.keys().layout()).arg("version").arg("partitions").arg("id");
        let ((version, number, id),) = self.query_cold("layout", Place::Layout, &pipe).await?;
        let found = Layout { version, partitions: number, id };
        match &found {
            Layout { version: Some(version), partitions: Some(number), id: Some(id) }
                if version == keys::LAYOUT_VERSION && *number == partitions =>
            {
                Ok(id.clone())
            }
            _ => Err(self.unlike(&found)),
        }
    }

    /// Returns the error for a store with another layout than this version needs.
    pub(super) fn unlike(&self, found: &Layout) -> Error {
        let version = found.version.as_deref().unwrap_or("of another program");
        Error::Layout {
            found: describe(version, found.partitions.unwrap_or_default()),
            expected: describe(keys::LAYOUT_VERSION, self.shared.settings.partitions),
            advice: advice(version),
        }
    }
}

fn describe(version: &str, partitions: u16) -> String {
    format!("key layout {version} with {partitions} partition(s)")
}

/// Returns what to do about a store with a layout of this version, or nothing.
fn advice(version: &str) -> &'static str {
    match way_from(version) {
        Some((_, Way::Upgrade)) => {
            "; stop all gateways, workers and bridges, copy the data of Redis, and run \
             `orchestrator upgrade`"
        }
        Some((_, Way::Again)) => {
            "; an upgrade is running or was interrupted: run `orchestrator upgrade` again if it does \
             not run"
        }
        None => "",
    }
}
