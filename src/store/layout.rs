//! Whether the keyspace is one that this program may work on.

use super::{Error, Store, keys};

/// What a store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    version: Option<String>,
    partitions: Option<u16>,
    /// Random, made with the layout: another id is another store.
    id: Option<String>,
}

impl Layout {
    /// Whether nothing was ever written here.
    pub(super) fn is_missing(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// What the store says of itself.
    pub(super) async fn layout(&self) -> Result<Layout, Error> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys().layout()).arg("version").arg("partitions").arg("id");
        let answer = cmd.query_async(&mut self.cold_connection("layout").await?).await;
        let (version, partitions, id) = self.heard("layout", answer)?;
        Ok(Layout { version, partitions, id })
    }

    /// Writes the layout's version, the number of partitions and an id, unless they stand there already, and compares.
    /// Returns the store's id.
    pub(super) async fn check_layout(&self) -> Result<String, Error> {
        let partitions = self.shared.settings.partitions;
        let mut pipe = redis::pipe();
        // In one piece: a store that is emptied in between would look like somebody else's.
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
        let answer = pipe.query_async(&mut self.cold_connection("layout").await?).await;
        let ((version, number, id),) = self.heard("layout", answer)?;
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

    /// The error of a store with another layout than ours.
    pub(super) fn unlike(&self, found: &Layout) -> Error {
        let show = |version: &str, partitions: u16| {
            format!("key layout {version} with {partitions} partition(s)")
        };
        let version = found.version.as_deref().unwrap_or("of another program");
        let expected = show(keys::LAYOUT_VERSION, self.shared.settings.partitions);
        Error::Layout { found: show(version, found.partitions.unwrap_or_default()), expected }
    }
}
