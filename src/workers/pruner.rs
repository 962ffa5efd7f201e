//! Deletes ended tasks, events and audit entries once their retention is over.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::prune`], at least every ten seconds.
pub struct Pruner {
    engine: Engine,
}

impl Pruner {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Pruner {
    const NAME: &'static str = "pruner";
    // Retention is counted in days, so ten seconds more do not matter.
    const REST: Duration = Duration::from_secs(10);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.prune().await.map(Step::from)
    }
}
