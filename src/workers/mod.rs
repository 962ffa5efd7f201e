//! The background duties of a worker process.
//!
//! Each duty is one bounded step that takes no input: what there is to do is read from the store, so a lost
//! wake-up, a restart and a second process all take the same path. Waiting, waking, failing and stopping are
//! the [`supervisor`]'s alone.

mod approvals;
mod bridge;
mod cascader;
mod deadlines;
mod examiner;
mod promoter;
mod pruner;
mod reaper;
mod router;
pub mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::{Engine, Swept};

pub use approvals::Lapser;
pub use bridge::Bridge;
pub use cascader::Cascader;
pub use deadlines::Deadlines;
pub use examiner::Examiner;
pub use promoter::Promoter;
pub use pruner::Pruner;
pub use reaper::Reaper;
pub use router::Router;
pub use supervisor::Supervisor;

/// One background duty.
pub trait Worker: Send + Sync + 'static {
    /// The name in logs, metrics and the status page; stable and lower case.
    const NAME: &'static str;
    /// How long to rest when there was nothing to do and nobody woke us: the longest time for which a lost
    /// wake-up goes unnoticed.
    const REST: Duration;
    /// Why a step fails.
    type Error: std::error::Error + Send + Sync;

    /// Does one bounded piece of work and says whether there may be more.
    fn step(&self) -> impl Future<Output = Result<Step, Self::Error>> + Send;

    /// Rings when there may be something to do before the rest is over; none: nobody rings for this duty.
    fn bell(&self) -> Option<Arc<Notify>> {
        None
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done and more may be waiting: step again at once.
    Busy,
    /// Nothing is left to do for now.
    Idle,
    /// Nothing is left to do until this much later, or until the rest is over if that is sooner.
    IdleFor(Duration),
}

impl From<Swept> for Step {
    fn from(swept: Swept) -> Self {
        // A sweep that moved nothing must not be repeated at once, whatever it says: it would spin.
        match swept.next_in {
            _ if swept.is_more && swept.moved > 0 => Self::Busy,
            Some(next) => Self::IdleFor(next),
            None => Self::Idle,
        }
    }
}

/// Starts every duty over `engine`.
pub fn start_all(supervisor: &Supervisor, engine: &Engine) {
    supervisor.start(Router::new(engine.clone()));
    supervisor.start(Promoter::new(engine.clone()));
    supervisor.start(Reaper::new(engine.clone()));
    supervisor.start(Lapser::new(engine.clone()));
    supervisor.start(Cascader::new(engine.clone()));
    supervisor.start(Deadlines::new(engine.clone()));
    supervisor.start(Pruner::new(engine.clone()));
    if engine.settings().doctor.every_ms > 0 {
        supervisor.start(Examiner::new(engine.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sweep_that_moved_something_is_repeated_at_once() {
        let soon = Duration::from_millis(40);
        let sweep = |moved, is_more, next_in| Step::from(Swept { moved, is_more, next_in });

        assert_eq!(sweep(100, true, Some(soon)), Step::Busy);
        assert_eq!(sweep(0, true, None), Step::Idle);
        assert_eq!(sweep(0, true, Some(soon)), Step::IdleFor(soon));
        assert_eq!(sweep(3, false, None), Step::Idle);
    }
}
