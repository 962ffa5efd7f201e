//! Escalates and expires approvals that were not decided in time, and reminds their approvers.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::expire`], at least once a second.
pub struct Expirer {
    engine: Engine,
}

impl Expirer {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Expirer {
    const NAME: &'static str = "expirer";
    // An expiry must be announced within about a second.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.expire().await.map(Step::from)
    }
}
