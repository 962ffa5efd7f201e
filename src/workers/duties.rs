//! The duties whose step is one call of the engine, as one table.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Supervisor, Worker};
use crate::engine::{self, Engine, SweepResult};

/// How long other calls have the store after a full batch of deadlines or a step of a bulk, even if
/// more is due: an announcement may take a second, a claim should not. A full batch takes about
/// 4 ms of Redis.
const BREATH: Duration = Duration::from_millis(10);

/// The shortest wait for the next announcements, so that those of many deadlines go together.
const PAUSE: Duration = Duration::from_millis(50);

/// For each duty: its name, the longest rest in milliseconds, the call of a step, what its result
/// means, and the name of the notification, if one ends the rest.
macro_rules! duties {
    ($(
        $(#[$doc:meta])*
        $type:ident: $name:literal, $rest_ms:literal, $step:ident => $to:path $(, $wake:literal)?;
    )*) => {
        $(
            $(#[$doc])*
            pub struct $type {
                engine: Engine,
            }

            impl $type {
                /// Makes the duty over this engine.
                pub fn new(engine: Engine) -> Self {
                    Self { engine }
                }
            }

            impl Worker for $type {
                const NAME: &'static str = $name;
                const REST: Duration = Duration::from_millis($rest_ms);
                type Error = engine::Error;

                async fn step(&self) -> Result<Step, engine::Error> {
                    self.engine.$step().await.map($to)
                }

                $(
                    fn wake(&self) -> Option<Arc<Notify>> {
                        Some(self.engine.wake($wake))
                    }
                )?
            }
        )*

        /// Starts each of these duties over `engine`.
        pub(super) fn start(supervisor: &Supervisor, engine: &Engine) {
            $(supervisor.start($type::new(engine.clone()));)*
        }
    };
}

duties! {
    /// Moves tasks from the priority queue to the subjects of their agents, the most urgent first.
    /// A notification comes for every task; the rest only covers a lost one.
    Router: "router", 2_000, route => Step::from, "router";

    /// Moves scheduled tasks to the priority queue when their time has come. A step returns when
    /// the next is due; the rest covers one scheduled since, whose notification was lost.
    Promoter: "promoter", 1_000, promote => Step::from, "promoter";

    /// Returns tasks with a lost lease to their subjects. A lease is lost when it ends without a
    /// report or an extension. The task must be back within a second of that end.
    Reaper: "reaper", 500, reap => Step::from;

    /// Escalates and expires approvals that were not decided in time, and reminds their approvers.
    /// An expiry must be announced within about a second.
    Expirer: "expirer", 1_000, expire => Step::from;

    /// Cancels the children of cancelled tasks that were submitted to end with their parent. A lost
    /// notification goes unnoticed for the rest.
    Cascader: "cascader", 5_000, cascade => Step::from, "cascade";

    /// Makes the steps of bulks, with a pause after each, so that other calls have the store. A
    /// worker process has a bulk for one step; the rest covers a lost notification.
    Bulks: "bulks", 1_000, run_bulks => unhurried, "bulk";

    /// Deletes ended tasks, events and audit entries once their retention is over. Retention is
    /// counted in days, so ten seconds more do not matter.
    Pruner: "pruner", 10_000, prune => Step::from;

    /// Announces deadlines that are near or have passed, and applies the SLA rules. A step returns
    /// when the next is due. A notification comes for a deadline before the rest is over: see
    /// `DUE_SOON` in clocks.lua.
    Deadlines: "deadlines", 1_000, deadlines => unhurried, "deadlines";
}

fn unhurried(result: SweepResult) -> Step {
    match result.into() {
        Step::Busy => Step::IdleFor(BREATH),
        Step::IdleFor(next) => Step::IdleFor(next.max(PAUSE)),
        Step::Idle => Step::Idle,
    }
}
