//! Runs the duties: waits, wakes, backs off, catches panics and stops. A duty knows none of this.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Step, Worker};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;
use crate::runtime::panic;

/// The first wait after a failed step.
const BACKOFF_BASE: Duration = Duration::from_millis(100);

/// The longest wait after a failed step. A longer one would delay work when the store is back; a
/// shorter one would press a store that is down.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// The shortest rest: a duty whose next piece is always due and never done must not spin.
const REST_MIN: Duration = Duration::from_millis(5);

/// How many reasons of one lasting failure are logged: a reason that contains an id is new every
/// time.
const REASONS_MAX: usize = 8;

/// The health of one duty, as counted since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// How many steps succeeded, whether they found something to do or not.
    pub steps: u64,
    /// How many steps failed with an error.
    pub faults: u64,
    /// How many steps panicked. Each is a bug.
    pub panics: u64,
    /// The error of the last step. `None` if it succeeded.
    pub failing: Option<String>,
    /// Whether the duty has stopped and takes no further steps.
    pub has_stopped: bool,
}

/// Owns the duties of this process. Dropping it does not stop them; [`Supervisor::finish`] does.
#[derive(Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    tracker: TaskTracker,
    pulses: Arc<Mutex<BTreeMap<&'static str, Pulse>>>,
}

impl Supervisor {
    /// Makes a supervisor whose duties end between two steps once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Starts `worker`, which runs until the stop.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    pub fn start<W: Worker>(&self, worker: W) {
        let duty = Duty { worker, stop: self.stop.clone(), pulses: Arc::clone(&self.pulses) };
        duty.note(|_| {});
        self.tracker.spawn(duty.run());
    }

    /// Returns the health of each duty by its name.
    pub fn pulses(&self) -> BTreeMap<&'static str, Pulse> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the duties and waits for their current steps to end, at most `grace`.
    ///
    /// Returns the names of those that did not end in time. They end with the process. Another
    /// worker continues their work, because every step can be repeated.
    pub async fn finish(self, grace: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        self.tracker.close();
        if timeout(grace, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let mut left = self.pulses();
        left.retain(|_, pulse| !pulse.has_stopped);
        for name in left.keys() {
            tracing::warn!(worker.name = name, ?grace, "worker did not end in time, dropped");
        }
        left.into_keys().collect()
    }
}

/// A worker with what its supervisor shares with it.
struct Duty<W> {
    worker: W,
    stop: CancellationToken,
    pulses: Arc<Mutex<BTreeMap<&'static str, Pulse>>>,
}

/// Why a step failed.
struct Failure {
    why: String,
    is_panic: bool,
}

impl<W: Worker> Duty<W> {
    async fn run(self) {
        let wake = self.worker.wake().unwrap_or_default();
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP);
        let mut trouble = None;
        while !self.stop.is_cancelled() {
            // Listen before looking: a notification that comes meanwhile must not be lost.
            let woken = wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();

            let rest = match self.attempt().await {
                Ok(step) => {
                    self.note_success(backoff.failures(), &mut trouble);
                    backoff.reset();
                    match step {
                        Step::Busy => continue,
                        Step::Idle => W::REST,
                        Step::IdleFor(rest) => rest.clamp(REST_MIN, W::REST.max(REST_MIN)),
                    }
                }
                Err(failure) => {
                    self.note_failure(failure, &mut trouble);
                    // A notification does not end this wait: those of a busy fleet would press a
                    // store that is down.
                    self.stop.run_until_cancelled(sleep(backoff.next_wait())).await;
                    continue;
                }
            };
            let _ = self.stop.run_until_cancelled(timeout(rest, woken)).await;
        }
        self.note(|pulse| pulse.has_stopped = true);
    }

    /// Runs one step and catches its panic. The duty keeps nothing between steps that a panic could
    /// leave half done.
    async fn attempt(&self) -> Result<Step, Failure> {
        // The call is inside the block, so that a panic before the first await is caught too.
        let step = AssertUnwindSafe(async { self.worker.step().await }).catch_unwind();
        match step.await {
            Ok(Ok(step)) => Ok(step),
            Ok(Err(error)) => Err(Failure { why: Chain(&error).to_string(), is_panic: false }),
            Err(payload) => Err(Failure { why: panic::text(&*payload).to_owned(), is_panic: true }),
        }
    }

    fn note(&self, change: impl FnOnce(&mut Pulse)) {
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        change(pulses.entry(W::NAME).or_default());
    }

    fn note_success(&self, failures: u32, trouble: &mut Option<Trouble>) {
        self.note(|pulse| {
            pulse.steps += 1;
            pulse.failing = None;
        });
        if let Some(known) = trouble.take() {
            let duration_ms = u64::try_from(known.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(worker.name = W::NAME, failures, duration_ms, "worker recovered");
        }
    }

    /// Records a failure, and logs it once for each reason while it lasts.
    fn note_failure(&self, Failure { why, is_panic }: Failure, trouble: &mut Option<Trouble>) {
        self.note(|pulse| {
            pulse.panics += u64::from(is_panic);
            pulse.faults += u64::from(!is_panic);
            pulse.failing = Some(why.clone());
        });
        let known = trouble
            .get_or_insert_with(|| Trouble { since: Instant::now(), logged: BTreeSet::new() });
        if known.logged.len() >= REASONS_MAX || !known.logged.insert(why.clone()) {
            return;
        }
        if is_panic {
            tracing::error!(
                worker.name = W::NAME,
                error = %why,
                "worker step panicked, retrying; this is a bug"
            );
        } else {
            tracing::warn!(worker.name = W::NAME, error = %why, "worker step failed, retrying");
        }
    }
}

/// A series of failures without a success between them.
struct Trouble {
    since: Instant,
    /// The reasons that were logged already.
    logged: BTreeSet<String>,
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
