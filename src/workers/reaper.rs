//! Takes tasks back from agents whose lease has run out.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// Takes tasks back from agents whose lease has run out.
pub struct Reaper {
    engine: Engine,
}

impl Reaper {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Reaper {
    const NAME: &'static str = "reaper";
    // A task is to be back within a second of its lease's end.
    const REST: Duration = Duration::from_millis(500);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.reap().await.map(Step::from)
    }
}
