//! The background doctor: checks the store all the time, slowly, in one worker of the fleet at a
//! time.

use std::time::Duration;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Step, Worker};
use crate::engine::{self, Engine, Round};

/// The duty that calls [`Engine::examine_on`], one part of the store at a time.
pub struct Examiner {
    engine: Engine,
    /// The name under which this process takes its turn.
    name: String,
    round: Mutex<Round>,
}

impl Examiner {
    /// Makes the duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, name: Uuid::now_v7().to_string(), round: Mutex::default() }
    }
}

impl Worker for Examiner {
    const NAME: &'static str = "examiner";
    // The turn is asked for at least this often. It ends after half this time if its holder dies.
    const REST: Duration = Duration::from_secs(60);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        let mut round = self.round.lock().await;
        self.engine.examine_on(&self.name, &mut round).await.map(Step::IdleFor)
    }
}
