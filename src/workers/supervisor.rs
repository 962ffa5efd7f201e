//! Runs the duties: waits, wakes, backs off, survives panics and stops. A duty knows none of this.

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

/// The longest wait after a failed step. Longer would delay what falls due when the store is back; shorter would
/// press a store that is down.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// The shortest rest: a duty whose next piece is always due now, and never done, must not spin.
const REST_MIN: Duration = Duration::from_millis(5);

/// How many reasons of one lasting fault are logged: a reason with an id in it is always another one.
const REASONS_MAX: usize = 8;

/// How a duty is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Steps that ended well.
    pub steps: u64,
    /// Steps that failed.
    pub faults: u64,
    /// Steps that panicked: each is a bug.
    pub panics: u64,
    /// Why the last step failed; none: it did not.
    pub failing: Option<String>,
    /// Whether it has stopped.
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
    /// A supervisor whose duties end between two steps once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Runs `worker` until the stop.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start<W: Worker>(&self, worker: W) {
        let round =
            Round { stop: self.stop.clone(), pulses: Arc::clone(&self.pulses), name: W::NAME };
        round.note(|_| {});
        self.tracker.spawn(round.run(worker));
    }

    /// How each duty is doing, by name.
    pub fn pulses(&self) -> BTreeMap<&'static str, Pulse> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the duties and waits for their steps to end, at most `grace`.
    ///
    /// Returns the names of those that did not end in time. They are left to die with the process: what they had
    /// begun is taken up by another worker, because every step can be repeated.
    pub async fn finish(self, grace: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        self.tracker.close();
        if timeout(grace, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let left: Vec<_> = self
            .pulses()
            .into_iter()
            .filter(|(_, pulse)| !pulse.has_stopped)
            .map(|(name, _)| name)
            .collect();
        for name in &left {
            tracing::warn!(worker.name = name, grace = ?grace, "the duty did not end in time and is left behind");
        }
        left
    }
}

/// The run of one duty.
struct Round {
    stop: CancellationToken,
    pulses: Arc<Mutex<BTreeMap<&'static str, Pulse>>>,
    name: &'static str,
}

/// Why a step came to nothing.
enum Failure {
    Fault(String),
    Panic(String),
}

impl Round {
    async fn run<W: Worker>(self, worker: W) {
        let bell = worker.bell().unwrap_or_default();
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP);
        let mut trouble = None;
        while !self.stop.is_cancelled() {
            // Listen before looking: a wake-up that arrives while we look must not be lost.
            let woken = bell.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();

            let rest = match attempt(&worker).await {
                Ok(step) => {
                    self.note_success(&mut trouble);
                    backoff.reset();
                    match step {
                        Step::Busy => continue,
                        Step::Idle => W::REST,
                        Step::IdleFor(rest) => rest.clamp(REST_MIN, W::REST.max(REST_MIN)),
                    }
                }
                Err(failure) => {
                    self.note_failure(failure, &mut trouble);
                    self.hold_back(backoff.next_wait()).await;
                    continue;
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = woken => {}
                () = sleep(rest) => {}
            }
        }
        self.note(|pulse| pulse.has_stopped = true);
    }

    /// Waits after a failure. The bell does not cut this short: a busy fleet would ring us into a store that is down.
    async fn hold_back(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    fn note(&self, change: impl FnOnce(&mut Pulse)) {
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        change(pulses.entry(self.name).or_default());
    }

    fn note_success(&self, trouble: &mut Option<Trouble>) {
        self.note(|pulse| {
            pulse.steps += 1;
            pulse.failing = None;
        });
        if let Some(Trouble { since, failures, .. }) = trouble.take() {
            let duration_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(worker.name = self.name, failures, duration_ms, "the duty works again");
        }
    }

    /// Logs a fault that lasts once for each of its reasons: not in a loop.
    fn note_failure(&self, failure: Failure, trouble: &mut Option<Trouble>) {
        let (why, is_panic) = match failure {
            Failure::Fault(why) => (why, false),
            Failure::Panic(why) => (why, true),
        };
        self.note(|pulse| {
            *(if is_panic { &mut pulse.panics } else { &mut pulse.faults }) += 1;
            pulse.failing = Some(why.clone());
        });
        let known = trouble.get_or_insert_with(|| Trouble {
            since: Instant::now(),
            failures: 0,
            said: BTreeSet::new(),
        });
        known.failures += 1;
        if known.said.len() >= REASONS_MAX || !known.said.insert(why.clone()) {
            return;
        }
        if is_panic {
            tracing::error!(worker.name = self.name, error = %why, "the duty panicked and is tried again; this is a bug");
        } else {
            tracing::warn!(worker.name = self.name, error = %why, "the duty fails and is tried again");
        }
    }
}

/// A row of failures that has not ended.
struct Trouble {
    since: Instant,
    failures: u64,
    /// The reasons that were logged.
    said: BTreeSet<String>,
}

/// One step, with its panic caught. The duty keeps nothing between steps that a panic could leave half done.
async fn attempt<W: Worker>(worker: &W) -> Result<Step, Failure> {
    // The call is inside the block, so that a panic before the first await is caught too.
    let step = AssertUnwindSafe(async { worker.step().await }).catch_unwind();
    match step.await {
        Ok(Ok(step)) => Ok(step),
        Ok(Err(error)) => Err(Failure::Fault(Chain(&error).to_string())),
        Err(payload) => Err(Failure::Panic(panic::text(&*payload).to_owned())),
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
