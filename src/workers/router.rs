//! Moves tasks from the priority queue to the subjects of their agents, the most urgent first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// The duty that calls [`Engine::route`] whenever a task becomes pending.
pub struct Router {
    engine: Engine,
}

impl Router {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Router {
    const NAME: &'static str = "router";
    // The notification comes for every task. The rest only covers a lost one.
    const REST: Duration = Duration::from_secs(2);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.route().await.map(Step::from)
    }

    fn wake(&self) -> Option<Arc<Notify>> {
        Some(self.engine.router_wake())
    }
}
