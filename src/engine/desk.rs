//! Desks: what the waiting claims of one agent in a process share.
//!
//! Each waiting claim would look for tasks at its start and then every few seconds, although all of
//! them would see the same. A desk remembers which partitions have nothing for its agent, so that
//! most claims begin to wait without a call; it polls for all of them, in case a notification was
//! lost; and it notes their sessions together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use crate::domain::ids::Partition;
use crate::domain::name::{Name, Worker};
use crate::store::{Counts, Notifier, Sessions};

use super::{Engine, Error};

/// How often a desk looks whether sessions or a poll are due.
const TICK: Duration = Duration::from_secs(1);

/// How many claims of a desk look at the same time. The others learn from them whether there is
/// anything to look for.
const LOOKS: usize = 4;

/// How many sessions one call notes.
const SESSIONS_AT_ONCE: usize = 500;

/// The desks of the agents with waiting claims in this process. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Desks(Arc<Mutex<HashMap<Name, Weak<Desk>>>>);

/// The desk of one agent. It lasts as long as a claim of the agent does.
pub(super) struct Desk {
    agent: Name,
    notifier: Notifier,
    wake: Arc<Notify>,
    counts: Arc<Counts>,
    looks: Semaphore,
    state: Mutex<State>,
    desks: Desks,
}

#[derive(Default)]
struct State {
    /// Partition → how many notifications had come from it before a look that found nothing. As long
    /// as no other one comes, it is empty.
    empty: HashMap<Partition, u64>,
    /// The processes whose claims are here.
    workers: HashMap<Worker, Presence>,
    /// Whether a task was too large for a claim, so that other claims should look too.
    has_large: bool,
}

/// The claims of one process of the agent.
#[derive(Default)]
struct Presence {
    /// How many claims are here.
    claims: usize,
    /// When its session was noted. `None` if that is due.
    noted: Option<Instant>,
}

/// The place of a claim at a desk. Dropping it leaves the desk.
pub(super) struct Seat {
    pub desk: Arc<Desk>,
    worker: Worker,
}

impl Engine {
    /// Returns a place at the desk of the agent, which is opened if there is none.
    pub(super) fn seat(&self, agent: &Name, worker: &Worker) -> Seat {
        let mut desks = lock(&self.desks.0);
        let open = desks.get(agent).and_then(Weak::upgrade);
        let desk = open.unwrap_or_else(|| {
            let notifier = self.store.notifier().clone();
            let (wake, counts) = notifier.counted(&format!("agent:{agent}"));
            let desk = Arc::new(Desk {
                agent: agent.clone(),
                notifier,
                wake,
                counts,
                looks: Semaphore::new(LOOKS),
                state: Mutex::default(),
                desks: self.desks.clone(),
            });
            desks.insert(agent.clone(), Arc::downgrade(&desk));
            self.tracker.spawn(attend(self.clone(), Arc::downgrade(&desk)));
            desk
        });
        drop(desks);
        lock(&desk.state).workers.entry(worker.clone()).or_default().claims += 1;
        Seat { desk, worker: worker.clone() }
    }

    /// Notes the sessions of processes of an agent, up to 1,000, in every partition that answers.
    pub async fn note_sessions(&self, agent: &Name, workers: &[Worker]) -> Result<(), Error> {
        let settings = &self.settings.agents;
        let sessions = Sessions {
            live_ms: settings.session_ms,
            most: settings.max_sessions,
            most_agents: None,
        };
        for partition in self.store.reachable() {
            self.store.note_sessions(partition, agent, workers, &sessions).await?;
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = lock(&self.desk.state);
        if let Some(presence) = state.workers.get_mut(&self.worker) {
            presence.claims -= 1;
            // The session of a short claim is noted after it.
            if presence.claims == 0 && presence.noted.is_some() {
                state.workers.remove(&self.worker);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let mut desks = lock(&self.desks.0);
        // Another desk may have been opened meanwhile.
        if desks.get(&self.agent).is_some_and(|desk| desk.strong_count() == 0) {
            desks.remove(&self.agent);
        }
    }
}

impl Desk {
    /// Fires for one claim per notification.
    pub fn wake(&self) -> &Notify {
        &self.wake
    }

    /// Waits until a claim may look. `None` if the desk is closed, which never happens.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    /// Returns how many notifications came from the partition so far. To be read before a look.
    pub fn count(&self, partition: Partition) -> u64 {
        self.counts.of(partition)
    }

    /// Returns whether nothing can be in the partition, as far as its notifications arrive.
    pub fn is_empty(&self, partition: Partition) -> bool {
        let seen = lock(&self.state).empty.get(&partition).copied();
        seen == Some(self.counts.of(partition)) && self.notifier.is_listening(partition)
    }

    /// Notes that a look found nothing in the partition. `count` is what [`Desk::count`] returned
    /// before it.
    pub fn note_empty(&self, partition: Partition, count: u64) {
        lock(&self.state).empty.insert(partition, count);
    }

    /// Notes that a task is too large for a claim.
    pub fn note_large(&self) {
        lock(&self.state).has_large = true;
    }

    /// Makes the next claim look everywhere, or all claims if the last ones were too small.
    fn poll(&self) {
        let mut state = lock(&self.state);
        state.empty.clear();
        if std::mem::take(&mut state.has_large) {
            self.wake.notify_waiters();
        } else {
            self.wake.notify_one();
        }
    }

    /// Returns processes whose sessions are due, which count as noted from now on.
    fn due_sessions(&self, every: Duration) -> Vec<Worker> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let is_due = |presence: &Presence| {
            presence.noted.is_none_or(|noted| now.duration_since(noted) >= every)
        };
        let due = state.workers.iter_mut().filter(|(_, presence)| is_due(presence));
        let workers = due.map(|(worker, presence)| {
            presence.noted = Some(now);
            worker.clone()
        });
        let workers = workers.collect();
        state.workers.retain(|_, presence| presence.claims > 0);
        workers
    }
}

impl Seat {
    /// Notes that a call of this claim noted its session.
    pub fn note_session(&self) {
        if let Some(presence) = lock(&self.desk.state).workers.get_mut(&self.worker) {
            presence.noted = Some(Instant::now());
        }
    }
}

/// Polls for the claims at a desk and notes their sessions, until the last one has left.
async fn attend(engine: Engine, desk: Weak<Desk>) {
    let settings = &engine.settings;
    let every = Duration::from_millis(settings.agents.session_ms / 3);
    // The first poll comes at a random time, so that desks do not poll at once.
    let slow_poll = Duration::from_millis(settings.queue.slow_poll_ms);
    let mut poll_at = Instant::now() + slow_poll.mul_f64(0.75 + fastrand::f64() / 2.0);
    loop {
        tokio::select! {
            () = sleep(TICK) => {}
            () = engine.stop.cancelled() => return,
        }
        let Some(desk) = desk.upgrade() else { return };
        if Instant::now() >= poll_at {
            poll_at = Instant::now() + slow_poll;
            desk.poll();
        }
        for workers in desk.due_sessions(every).chunks(SESSIONS_AT_ONCE) {
            if let Err(error) = engine.note_sessions(&desk.agent, workers).await {
                tracing::debug!(%error, agent = %desk.agent, "sessions of waiting claims not noted");
            }
        }
    }
}

/// Locks a map. A panic elsewhere leaves it consistent: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
