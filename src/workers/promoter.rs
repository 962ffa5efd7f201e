//! Moves scheduled tasks to the priority queue when their time has come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::promote`] when the next scheduled task is due.
pub struct Promoter {
    engine: Engine,
}

impl Promoter {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Promoter {
    const NAME: &'static str = "promoter";
    // A step returns when the next is due. The rest covers a task scheduled since whose
    // notification was lost.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.promote().await.map(Step::from)
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.engine.promoter_wake())
    }
}
