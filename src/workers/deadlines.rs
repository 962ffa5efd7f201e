//! Announces deadlines that are near or have passed, and does what the rules ask for then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// How long the store belongs to others after a full batch, though more is due: an announcement may take a second, a
/// claim should not. A full batch takes some 4 ms of Redis.
const BREATH: Duration = Duration::from_millis(10);

/// How long the next announcements are waited for at least, so that those of many deadlines go together.
const PAUSE: Duration = Duration::from_millis(50);

/// Announces deadlines that are near or have passed, and does what the rules ask for then.
pub struct Deadlines {
    engine: Engine,
}

impl Deadlines {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Deadlines {
    const NAME: &'static str = "deadlines";
    // A step says when the next is due; the bell rings for a deadline that comes before the rest is over. See `SOON`
    // in clocks.lua.
    const REST: Duration = Duration::from_secs(1);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        Ok(match self.engine.deadlines().await?.into() {
            Step::Busy => Step::IdleFor(BREATH),
            Step::IdleFor(next) => Step::IdleFor(next.max(PAUSE)),
            Step::Idle => Step::Idle,
        })
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.deadlines_bell())
    }
}
