//! Cancels the children of cancelled tasks that were submitted to end with their parent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::cascade`] whenever a task with children is cancelled.
pub struct Cascader {
    engine: Engine,
}

impl Cascader {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Cascader {
    const NAME: &'static str = "cascader";
    // A notification wakes it. A lost one goes unnoticed for this long.
    const REST: Duration = Duration::from_secs(5);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.cascade().await.map(Step::from)
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.engine.cascade_wake())
    }
}
