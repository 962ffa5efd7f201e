//! Moves scheduled tasks to the priority queue when their time has come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// Moves scheduled tasks to the priority queue when their time has come.
pub struct Promoter {
    engine: Engine,
}

impl Promoter {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Promoter {
    const NAME: &'static str = "promoter";
    // A step says when the next is due; the rest covers one that was scheduled since and whose bell was missed.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.promote().await.map(Step::from)
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.promoter_bell())
    }
}
