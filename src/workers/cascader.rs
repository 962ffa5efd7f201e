//! Cancels the children of cancelled tasks that are to end with them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// Cancels the children of cancelled tasks that are to end with them.
pub struct Cascader {
    engine: Engine,
}

impl Cascader {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Worker for Cascader {
    const NAME: &'static str = "cascader";
    // It is woken; this is how long a lost wake-up goes unnoticed.
    const REST: Duration = Duration::from_secs(5);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        self.engine.cascade().await.map(Step::from)
    }

    fn bell(&self) -> Option<Arc<Notify>> {
        Some(self.engine.cascade_bell())
    }
}
