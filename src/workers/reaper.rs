//! Returns tasks with a lost lease to their subjects. A lease is lost when it ends without a report
//! or an extension.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::reap`], at least twice a second.
pub struct Reaper {
    engine: Engine,
}

impl Reaper {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Reaper {
    const NAME: &'static str = "reaper";
    // A task must be back in its subject within a second of the end of its lease.
    const REST: Duration = Duration::from_millis(500);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.reap().await.map(Step::from)
    }
}
