//! Takes tasks from the priority queue to their agents' subjects, best first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// Takes tasks from the priority queue to their agents' subjects, best first.
pub struct Router {
    engine: Engine,
}

impl Router {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Router {
    const NAME: &'static str = "router";
    // The bell rings for every task; the rest only covers a bell that was missed.
    const REST: Duration = Duration::from_secs(2);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.route().await.map(Step::from)
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.router_bell())
    }
}
