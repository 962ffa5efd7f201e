//! The background duties of a worker process.
//!
//! Each duty is one bounded step without input. It reads from the store what there is to do, so a
//! lost wake-up, a restart and a second process all take the same path. Only the [`supervisor`]
//! waits, wakes, retries and stops.

mod bridge;
mod doctor;
mod duties;
pub mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::{Engine, SweepResult};

pub use bridge::Bridge;
pub use doctor::Doctor;
pub use duties::{Bulks, Cascader, Deadlines, Expirer, Promoter, Pruner, Reaper, Router};
pub use supervisor::Supervisor;

/// A background duty: a step that the supervisor repeats.
pub trait Worker: Send + Sync + 'static {
    /// The name in logs, metrics and the status page. It is stable and in lower case.
    const NAME: &'static str;
    /// How long to rest after a step that found nothing to do, unless a notification comes: the
    /// longest time for which a lost one goes unnoticed.
    const REST: Duration;
    /// The error of a failed step, after which the supervisor retries.
    type Error: std::error::Error + Send + Sync;

    /// Does one bounded piece of work. Returns whether there may be more.
    fn step(&self) -> impl Future<Output = Result<Step, Self::Error>> + Send;

    /// Returns the notification that ends a rest early. `None` if nothing wakes this duty.
    fn wake(&self) -> Option<Arc<Notify>> {
        None
    }
}

/// The result of a step, from which the supervisor decides when the next follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The step did something and more may wait: the next step follows at once.
    Busy,
    /// Nothing is left to do for now, so the full rest follows.
    Idle,
    /// Nothing is left to do for this long. The rest ends the wait if it is shorter.
    IdleFor(Duration),
}

impl From<SweepResult> for Step {
    fn from(result: SweepResult) -> Self {
        // A sweep that moved nothing must not be repeated at once, even if it reports more: it
        // would spin.
        match result.next_in {
            _ if result.is_more && result.moved > 0 => Self::Busy,
            Some(next) => Self::IdleFor(next),
            None => Self::Idle,
        }
    }
}

/// Starts every duty over `engine`. The background doctor starts only if the settings turn it on.
pub fn start_all(supervisor: &Supervisor, engine: &Engine) {
    duties::start(supervisor, engine);
    if engine.settings().doctor.every_ms > 0 {
        supervisor.start(Doctor::new(engine.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sweep_that_moved_something_is_repeated_at_once() {
        let soon = Duration::from_millis(40);
        let sweep = |moved, is_more, next_in| Step::from(SweepResult { moved, is_more, next_in });

        assert_eq!(sweep(100, true, Some(soon)), Step::Busy);
        assert_eq!(sweep(0, true, None), Step::Idle);
        assert_eq!(sweep(0, true, Some(soon)), Step::IdleFor(soon));
        assert_eq!(sweep(3, false, None), Step::Idle);
    }
}
