//! What the bench asks beneath the use cases: what the store spends, and a naive store to compare with.

use super::{Engine, Error};

pub use crate::store::Spent;

impl Engine {
    /// What the store has spent since its start, and what it holds.
    pub async fn spent(&self) -> Result<Spent, Error> {
        Ok(self.store.spent().await?)
    }

    /// Whether the store holds nothing at all.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.store.is_empty().await?)
    }

    /// Empties the store, also of what is not ours.
    pub async fn wipe(&self) -> Result<(), Error> {
        Ok(self.store.wipe().await?)
    }

    /// Empties the event log.
    pub async fn forget_events(&self) -> Result<(), Error> {
        Ok(self.store.forget_events().await?)
    }

    /// Takes tasks through a whole life in a naive store.
    pub async fn naive_life(&self, count: usize, spec: &str) -> Result<(), Error> {
        Ok(self.store.naive_life(count, spec).await?)
    }
}
