//! Announces deadlines that are near or have passed, and applies the SLA rules.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// How long other calls have the store after a full batch, even if more is due: an announcement may
/// take a second, a claim should not. A full batch takes about 4 ms of Redis.
const BREATH: Duration = Duration::from_millis(10);

/// The shortest wait for the next announcements, so that those of many deadlines go together.
const PAUSE: Duration = Duration::from_millis(50);

/// The duty that calls [`Engine::deadlines`] when the next deadline is due.
pub struct Deadlines {
    engine: Engine,
}

impl Deadlines {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Deadlines {
    const NAME: &'static str = "deadlines";
    // A step returns when the next is due. A notification comes for a deadline before the rest is
    // over: see `SOON` in clocks.lua.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        Ok(match self.engine.deadlines().await?.into() {
            Step::Busy => Step::IdleFor(BREATH),
            Step::IdleFor(next) => Step::IdleFor(next.max(PAUSE)),
            Step::Idle => Step::Idle,
        })
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.engine.deadlines_wake())
    }
}
