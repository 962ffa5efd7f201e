//! Ends approvals that nobody decided in time.

use std::time::Duration;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// Ends approvals that nobody decided in time.
pub struct Lapser {
    engine: Engine,
}

impl Lapser {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Lapser {
    const NAME: &'static str = "lapser";
    // An expiry is to be announced within a second or so.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.lapse().await.map(Step::from)
    }
}
