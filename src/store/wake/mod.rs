//! Notifications: callers that wait for work are woken instead of polling.
//!
//! A process has one connection to each node for all its waiting callers. A notification may come
//! for nothing, and one that is published while the connection is down gets lost. So a waiting
//! caller looks for work after each notification, and slowly without one. When the connection is
//! back, every caller is woken.

mod listener;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Partition, TaskId};

use super::keys::Keys;
use super::nodes::Nodes;
use listener::Listeners;

/// The notifier of one process. A clone is cheap and shares the connections.
#[derive(Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
    wanted: mpsc::UnboundedSender<String>,
    /// Wakes when a connection is back.
    back: Arc<Notify>,
    /// Ends the listeners. The drop of the last clone does the same.
    close: CancellationToken,
    _listeners: Arc<JoinSet<()>>,
}

struct Shared {
    /// Name of a channel without its partition → the callers that wait on it, and how many
    /// notifications came.
    wakes: Mutex<HashMap<String, Counted>>,
    /// Task → the callers that wait for its end, and their number.
    tasks: Mutex<HashMap<TaskId, (Arc<Notify>, usize)>>,
    /// Whether the notifications of each partition arrive.
    listening: Vec<AtomicBool>,
}

/// A wake-up and the counts of its notifications.
pub type Counted = (Arc<Notify>, Arc<Counts>);

/// How many notifications of one name came from each partition. Every one may have been missed
/// while the connection was down, so all counts are higher once it is back.
pub struct Counts(Vec<AtomicU64>);

impl Counts {
    fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// Returns how many notifications came from the partition.
    pub fn of(&self, partition: Partition) -> u64 {
        self.0.get(usize::from(partition.0)).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Counts a notification of each of these partitions.
    fn add(&self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(count) = self.0.get(usize::from(partition.0)) {
                count.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// The channel of tasks that ended. Its messages name the tasks.
const FINISHED: &str = "finished";

impl Notifier {
    pub(super) fn start(nodes: Nodes, keys: Keys) -> Self {
        let shared = Arc::new(Shared::new(nodes.partitions()));
        let (wanted, names) = mpsc::unbounded_channel();
        let back = Arc::new(Notify::new());
        let close = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listeners =
            Listeners { nodes, keys, shared: Arc::clone(&shared), back: Arc::clone(&back) };
        let closed = close.clone();
        tasks.spawn(async move {
            let _ = closed.run_until_cancelled(listeners.listen(names)).await;
        });
        Self { shared, wanted, back, close, _listeners: Arc::new(tasks) }
    }

    /// Stops the listeners, so that a Redis that stops afterwards causes no warning.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Returns a wake-up for one caller that fires whenever a connection is back.
    pub(super) fn back(&self) -> Arc<Notify> {
        Arc::clone(&self.back)
    }

    /// Returns the wake-up of this name. Its channel is subscribed from now on, until a while after
    /// the last caller dropped it.
    pub fn wake(&self, name: &str) -> Arc<Notify> {
        self.counted(name).0
    }

    /// Returns the wake-up of this name as [`Notifier::wake`] does, and the counts of its
    /// notifications.
    pub fn counted(&self, name: &str) -> Counted {
        let mut wakes = lock(&self.shared.wakes);
        if let Some(known) = wakes.get(name) {
            return known.clone();
        }
        let new = (Arc::default(), Arc::new(Counts::new(self.shared.listening.len())));
        wakes.insert(name.to_owned(), new.clone());
        // The listeners live as long as this notifier, so sending cannot fail.
        let _ = self.wanted.send(name.to_owned());
        new
    }

    /// Returns whether the connection is up over which the notifications of the partition arrive.
    pub fn is_listening(&self, partition: Partition) -> bool {
        let listening = self.shared.listening.get(usize::from(partition.0));
        listening.is_some_and(|listening| listening.load(Ordering::Acquire))
    }

    /// Returns a wake-up that fires when the task ends, for as long as it is kept.
    pub fn task(&self, id: TaskId) -> TaskWake {
        self.wake(FINISHED);
        let mut tasks = lock(&self.shared.tasks);
        let (wake, waiting) = tasks.entry(id).or_default();
        *waiting += 1;
        TaskWake { id, wake: Arc::clone(wake), shared: Arc::clone(&self.shared) }
    }
}

/// Fires when one task ends. Dropping it ends the wait.
pub struct TaskWake {
    id: TaskId,
    wake: Arc<Notify>,
    shared: Arc<Shared>,
}

impl TaskWake {
    /// Returns the wake-up to wait on.
    pub fn wake(&self) -> &Notify {
        &self.wake
    }
}

impl Drop for TaskWake {
    fn drop(&mut self) {
        let mut tasks = lock(&self.shared.tasks);
        if let Some((_, waiting)) = tasks.get_mut(&self.id) {
            *waiting -= 1;
            if *waiting == 0 {
                tasks.remove(&self.id);
            }
        }
    }
}

impl Shared {
    fn new(partitions: usize) -> Self {
        let listening = (0..partitions).map(|_| AtomicBool::new(false));
        Self { wakes: Mutex::default(), tasks: Mutex::default(), listening: listening.collect() }
    }

    /// Records whether the notifications of these partitions arrive.
    fn set_listening(&self, partitions: &[Partition], does: bool) {
        for partition in partitions {
            if let Some(listening) = self.listening.get(usize::from(partition.0)) {
                listening.store(does, Ordering::Release);
            }
        }
    }

    /// Wakes the callers that wait on `name`, which these partitions notified, or all of them.
    /// `message` is the number of callers to wake, or the tasks that ended.
    fn fire(&self, name: &str, partitions: &[Partition], message: &str) {
        if name == FINISHED {
            let tasks = lock(&self.tasks);
            for id in message.split(',').filter_map(|id| id.parse().ok()) {
                if let Some((wake, _)) = tasks.get(&id) {
                    wake.notify_waiters();
                }
            }
            return;
        }
        if let Some((wake, counts)) = lock(&self.wakes).get(name) {
            counts.add(partitions);
            for _ in 0..message.parse().unwrap_or(1u8) {
                wake.notify_one();
            }
        }
    }

    /// Drops the wake-ups that no caller holds now nor held at the last check, `unused`. Returns
    /// their names.
    fn give_up(&self, unused: &mut HashSet<String>) -> Vec<String> {
        let has_tasks = !lock(&self.tasks).is_empty();
        let mut wakes = lock(&self.wakes);
        let mut idle = HashSet::new();
        for (name, (wake, _)) in wakes.iter() {
            let is_held = Arc::strong_count(wake) > 1 || (name == FINISHED && has_tasks);
            if !is_held {
                idle.insert(name.clone());
            }
        }
        let gone: Vec<String> = idle.intersection(unused).cloned().collect();
        for name in &gone {
            wakes.remove(name);
        }
        *unused = idle;
        gone
    }

    /// Wakes every caller, because notifications of these partitions may have been lost.
    fn fire_all(&self, partitions: &[Partition]) {
        for (wake, counts) in lock(&self.wakes).values() {
            counts.add(partitions);
            wake.notify_waiters();
            wake.notify_one();
        }
        for (wake, _) in lock(&self.tasks).values() {
            wake.notify_waiters();
        }
    }
}

/// Locks a map. A panic elsewhere leaves it consistent: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_wake_up_is_dropped_at_the_second_check() {
        let shared = Shared::new(1);
        let held = Arc::new(Notify::new());
        for (name, wake) in
            [("router", &held), ("agent:a", &Arc::default()), (FINISHED, &Arc::default())]
        {
            let counts = Arc::new(Counts::new(1));
            lock(&shared.wakes).insert(name.to_owned(), (Arc::clone(wake), counts));
        }
        let mut unused = HashSet::new();

        assert!(shared.give_up(&mut unused).is_empty());
        let waits = Arc::clone(&lock(&shared.wakes)["agent:a"].0);
        let mut gone = shared.give_up(&mut unused);
        assert_eq!(gone, [FINISHED]);
        drop(waits);
        assert!(shared.give_up(&mut unused).is_empty());
        gone = shared.give_up(&mut unused);

        assert_eq!(gone, ["agent:a"]);
        assert_eq!(lock(&shared.wakes).keys().collect::<Vec<_>>(), ["router"]);
    }
}
