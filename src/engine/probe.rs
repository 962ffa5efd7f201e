//! Access for benchmarks below the use cases: what the store spends, and a naive store for
//! comparison.

use super::{Engine, Error};

pub use crate::store::Spent;

impl Engine {
    /// Returns what the store has spent since its start, and what it holds.
    pub async fn spent(&self) -> Result<Spent, Error> {
        Ok(self.store.spent().await?)
    }

    /// Returns whether the store holds no key at all.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.store.is_empty().await?)
    }

    /// Deletes every key of the store, including those of other programs.
    pub async fn wipe(&self) -> Result<(), Error> {
        Ok(self.store.wipe().await?)
    }

    /// Empties the event log of every partition, so that its memory does not count.
    pub async fn forget_events(&self) -> Result<(), Error> {
        Ok(self.store.forget_events().await?)
    }

    /// Takes `count` tasks through a whole life in a naive store, each with the text `spec`.
    pub async fn naive_life(&self, count: usize, spec: &str) -> Result<(), Error> {
        Ok(self.store.naive_life(count, spec).await?)
    }
}
