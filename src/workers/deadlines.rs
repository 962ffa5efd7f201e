//! Announces deadlines that are near or have passed, and does what the rules ask for then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

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
        self.engine.deadlines().await.map(Step::from)
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.deadlines_bell())
    }
}
