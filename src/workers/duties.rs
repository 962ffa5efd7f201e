//! The duties whose step is one call of the engine, as one table.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Step, Worker};
use crate::engine::{self, Engine};

/// For each duty: its name, the longest rest in milliseconds, the call of a step, and the call that
/// returns the notification, if one ends the rest.
macro_rules! duties {
    ($($(#[$doc:meta])* $type:ident: $name:literal, $rest_ms:literal, $step:ident $(, $wake:ident)?;)*) => {
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
                    self.engine.$step().await.map(Step::from)
                }

                $(
                    fn wake(&self) -> Option<Arc<Notify>> {
                        Some(self.engine.$wake())
                    }
                )?
            }
        )*
    };
}

duties! {
    /// Moves tasks from the priority queue to the subjects of their agents, the most urgent first.
    /// A notification comes for every task; the rest only covers a lost one.
    Router: "router", 2_000, route, router_wake;

    /// Moves scheduled tasks to the priority queue when their time has come. A step returns when
    /// the next is due; the rest covers one scheduled since, whose notification was lost.
    Promoter: "promoter", 1_000, promote, promoter_wake;

    /// Returns tasks with a lost lease to their subjects. A lease is lost when it ends without a
    /// report or an extension. The task must be back within a second of that end.
    Reaper: "reaper", 500, reap;

    /// Escalates and expires approvals that were not decided in time, and reminds their approvers.
    /// An expiry must be announced within about a second.
    Expirer: "expirer", 1_000, expire;

    /// Cancels the children of cancelled tasks that were submitted to end with their parent. A lost
    /// notification goes unnoticed for the rest.
    Cascader: "cascader", 5_000, cascade, cascade_wake;

    /// Deletes ended tasks, events and audit entries once their retention is over. Retention is
    /// counted in days, so ten seconds more do not matter.
    Pruner: "pruner", 10_000, prune;
}
