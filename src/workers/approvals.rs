//! Escalates and expires approvals that were not decided in time, and reminds their approvers.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::lapse`], at least once a second.
pub struct Lapser {
    engine: Engine,
}

impl Lapser {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Lapser {
    const NAME: &'static str = "lapser";
    // An expiry must be announced within about a second.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.lapse().await.map(Step::from)
    }
}
