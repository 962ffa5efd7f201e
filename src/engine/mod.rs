//! The use cases: what the product does, without a word of HTTP or Redis.

mod approvals;
mod audit;
mod bridge;
mod bulk;
mod committer;
mod cursors;
mod deciders;
mod desk;
mod dispatch;
mod doctor;
mod duties;
mod error;
mod event_page;
mod events;
mod feed;
pub mod fuzz;
mod inbox;
mod keys;
mod metrics;
mod oversight;
mod progress;
mod rates;
mod report;
mod restrictions;
mod returns;
mod settings;
mod submit;
mod tasks;
mod tenants;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::store::Store;

pub use crate::store::{Finding, Parts, Problem, Repair, Upgrade};
pub use approvals::Question;
pub use bridge::Unpublished;
pub use bulk::{Bulk, BulkOrder, StartedBulk};
pub use deciders::{QUORUM, Target, Unreachable};
pub use dispatch::Claim;
pub use doctor::{BackgroundCheck, Diagnosis};
pub use duties::SweepResult;
pub use error::{Error, Fault};
pub use event_page::EventPage;
pub use feed::{Cursor, EventFilter, Feed, FeedItem};
pub use keys::{KeyProof, KeyRing, KeyState, MAX_KEYS, NewKey, SESSION_SECONDS};
pub use metrics::Figures;
pub use oversight::{AgentStatus, Session, Stats};
pub use rates::{Admission, Rates, Standing};
pub use report::{GroupBy, Report as SlaReport};
pub use settings::*;
pub use submit::{Explanation, Submitted};
pub use tasks::{Count, PAGE_BYTES, Page, StatusChange, TaskFilter};
pub use waiting::Waiting;

/// The use cases over one store. A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    settings: Arc<Settings>,
    committer: committer::Committer,
    returns: returns::Returns,
    desks: desk::Desks,
    /// The name of this process, by which it holds a bulk.
    process: Arc<str>,
    rates: Rates,
    key_ring: Arc<OnceCell<KeyRing>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Engine {
    /// Starts the use cases over `store`. `stop` ends every wait when the process ends.
    pub fn new(store: Store, settings: Settings, stop: CancellationToken) -> Self {
        let tracker = TaskTracker::new();
        let settings = Arc::new(settings);
        let committer = committer::Committer::start(&store, &settings, &tracker);
        let returns = returns::Returns::start(&store, &tracker, &stop);
        let desks = desk::Desks::default();
        let process = Uuid::now_v7().to_string().into();
        let rates = Rates::new(&store, &settings.limits);
        let key_ring = Arc::default();
        Self { store, settings, committer, returns, desks, process, rates, key_ring, tracker, stop }
    }

    /// Returns the settings with which the engine was started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns how many calls each caller may make.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Returns the store, for closing it, and for tests and benchmarks.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Calls `look` now, after each wake-up, and at times without one, until it finds something,
    /// `deadline` has passed or the process stops. Returns what it saw last.
    async fn look_until<T, F: Future<Output = Result<T, Error>>>(
        &self,
        wake: &Notify,
        deadline: Instant,
        is_found: impl Fn(&T) -> bool,
        look: impl Fn() -> F,
    ) -> Result<T, Error> {
        loop {
            // Listen before looking: what comes meanwhile must not be missed.
            let woken = wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let seen = look().await?;
            if is_found(&seen) || Instant::now() >= deadline || self.stop.is_cancelled() {
                return Ok(seen);
            }
            // The time is random, so that waiting calls do not all look at once.
            let slow_poll = Duration::from_millis(self.settings.queue.slow_poll_ms);
            let slow_poll = slow_poll.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = woken => {}
                () = sleep_until(deadline.min(Instant::now() + slow_poll)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Returns the token that ends every wait when the process stops.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}
