//! Looks for what is wrong in the store, all the time and slowly; one worker of the fleet does it at a time.

use std::time::Duration;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Step, Worker};
use crate::engine::{self, Engine, Round};

/// Looks for what is wrong in the store, all the time and slowly.
pub struct Examiner {
    engine: Engine,
    /// Which examiner this is, for the turn.
    name: String,
    round: Mutex<Round>,
}

impl Examiner {
    /// A duty over this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, name: Uuid::now_v7().to_string(), round: Mutex::default() }
    }
}

impl Worker for Examiner {
    const NAME: &'static str = "examiner";
    // Whose turn it is, is asked this often at the least; a turn ends half as soon when its holder dies.
    const REST: Duration = Duration::from_secs(60);
    type Error = engine::Error;

    async fn step(&self) -> Result<Step, engine::Error> {
        let mut round = self.round.lock().await;
        self.engine.examine_on(&self.name, &mut round).await.map(Step::IdleFor)
    }
}
