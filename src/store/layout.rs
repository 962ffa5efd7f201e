//! Whether the keyspace is one that this program may work on.

use super::{Error, Store, keys};

impl Store {
    /// Writes the layout's version and the number of partitions, unless they stand there already, and
    /// compares.
    pub(super) async fn check_layout(&self) -> Result<(), Error> {
        let expected = (keys::LAYOUT_VERSION.to_owned(), self.shared.settings.partitions);
        let found: (Option<String>, Option<u16>) = {
            let mut pipe = redis::pipe();
            pipe.cmd("HSETNX").arg(keys::LAYOUT).arg("version").arg(&expected.0).ignore();
            pipe.cmd("HSETNX").arg(keys::LAYOUT).arg("partitions").arg(expected.1).ignore();
            pipe.cmd("HMGET").arg(keys::LAYOUT).arg("version").arg("partitions");
            let (found,) = self.query_all("layout", &pipe).await?;
            found
        };
        let found = (found.0.unwrap_or_default(), found.1.unwrap_or_default());
        if found == expected {
            return Ok(());
        }
        let show =
            |(version, partitions): (String, u16)| format!("key layout {version} with {partitions} partition(s)");
        Err(Error::Layout { found: show(found), expected: show(expected) })
    }
}
