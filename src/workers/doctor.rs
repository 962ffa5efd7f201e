//! The background doctor: checks the store all the time, slowly, in one worker of the fleet at a
//! time.

use std::time::Duration;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Step, Worker};
use crate::engine::{self, BackgroundCheck, Engine};

/// The duty that calls [`Engine::check_on`], one part of the store at a time.
pub struct Doctor {
    engine: Engine,
    /// The name under which this process takes its turn.
    name: String,
    check: Mutex<BackgroundCheck>,
}

impl Doctor {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, name: Uuid::now_v7().to_string(), check: Mutex::default() }
    }
}

impl Worker for Doctor {
    const NAME: &'static str = "doctor";
    // The turn is asked for at least this often. It ends after half this time if its holder dies.
    const REST: Duration = Duration::from_secs(60);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        let mut check = self.check.lock().await;
        self.engine.check_on(&self.name, &mut check).await.map(Step::IdleFor)
    }
}
