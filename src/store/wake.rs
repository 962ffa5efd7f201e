//! Notifications: callers that wait for work are woken instead of polling.
//!
//! A process has one connection for all its waiting callers. A notification may come for nothing,
//! and one that is published while the connection is down gets lost. So a waiting caller looks for
//! work after each notification, and slowly without one. When the connection is back, every caller
//! is woken.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Partition, TaskId};
use crate::runtime::backoff::Backoff;

use super::keys::Keys;

/// The notifier of one process. A clone is cheap and shares the connection.
#[derive(Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
    partitions: usize,
    wanted: mpsc::UnboundedSender<String>,
    /// Wakes when the connection is back.
    back: Arc<Notify>,
    /// Ends the listener. The drop of the last clone does the same.
    close: CancellationToken,
    _listener: Arc<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    /// Name of a channel without its partition → the callers that wait on it, and how many
    /// notifications came.
    wakes: Mutex<HashMap<String, Counted>>,
    /// Task → the callers that wait for its end, and their number.
    tasks: Mutex<HashMap<TaskId, (Arc<Notify>, usize)>>,
    is_listening: AtomicBool,
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

    /// Counts a notification of one partition, or of all.
    fn add(&self, partition: Option<usize>) {
        for (nth, count) in self.0.iter().enumerate() {
            if partition.is_none_or(|partition| partition == nth) {
                count.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// The channel of tasks that ended. Its messages name the tasks.
const FINISHED: &str = "finished";

impl Notifier {
    /// * `moves`: changes when the connection must be made anew although it seems to work.
    pub(super) fn start(
        client: redis::Client,
        keys: Keys,
        partitions: Vec<Partition>,
        moves: watch::Receiver<u64>,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (wanted, names) = mpsc::unbounded_channel();
        let count = partitions.len();
        let back = Arc::new(Notify::new());
        let close = CancellationToken::new();
        let mut listener = JoinSet::new();
        let subscriber = Subscriber {
            client,
            keys,
            partitions,
            shared: Arc::clone(&shared),
            back: Arc::clone(&back),
        };
        let closed = close.clone();
        listener.spawn(async move {
            let _ = closed.run_until_cancelled(subscriber.listen(names, moves)).await;
        });
        Self { shared, partitions: count, wanted, back, close, _listener: Arc::new(listener) }
    }

    /// Stops the listener, so that a Redis that stops afterwards causes no warning.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Returns a wake-up for one caller that fires whenever the connection is back.
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
        let new = (Arc::default(), Arc::new(Counts::new(self.partitions)));
        wakes.insert(name.to_owned(), new.clone());
        // The listener lives as long as this notifier, so sending cannot fail.
        let _ = self.wanted.send(name.to_owned());
        new
    }

    /// Returns whether the connection is up, so that notifications arrive.
    pub fn is_listening(&self) -> bool {
        self.shared.is_listening.load(Ordering::Acquire)
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
    /// Wakes the callers that wait on `name`, which a partition notified, or all of them. `message`
    /// is the number of callers to wake, or the tasks that ended.
    fn fire(&self, name: &str, partition: Option<usize>, message: &str) {
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
            counts.add(partition);
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

    /// Wakes every caller, because notifications may have been lost.
    fn fire_all(&self) {
        for (wake, counts) in lock(&self.wakes).values() {
            counts.add(None);
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

/// How often to check a quiet connection: a dead one would look the same for ever.
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// How often to look for unused wake-ups. One that is unused at two checks is dropped, so that an
/// agent that calls again and again keeps its own.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long Redis may take to answer that check.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// The subscriber for all wake-ups of a process.
struct Subscriber {
    client: redis::Client,
    keys: Keys,
    partitions: Vec<Partition>,
    shared: Arc<Shared>,
    back: Arc<Notify>,
}

impl Subscriber {
    /// Keeps one subscribed connection, for ever.
    async fn listen(
        self,
        mut names: mpsc::UnboundedReceiver<String>,
        mut moves: watch::Receiver<u64>,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1_600));
        loop {
            let end = self.listen_once(&mut names, &mut moves, &mut backoff).await;
            self.shared.is_listening.store(false, Ordering::Release);
            if let Err(error) = end
                && backoff.failures() == 0
            {
                tracing::warn!(%error, "pub/sub connection lost; falling back to polling");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// Returns the channels of a name, one per partition.
    fn channels(&self, name: &str) -> Vec<String> {
        self.partitions.iter().map(|partition| self.keys.wake(*partition, name)).collect()
    }

    async fn listen_once(
        &self,
        names: &mut mpsc::UnboundedReceiver<String>,
        moves: &mut watch::Receiver<u64>,
        backoff: &mut Backoff,
    ) -> redis::RedisResult<()> {
        let (mut sink, mut messages) = self.client.get_async_pubsub().await?.split();
        let known: Vec<_> = lock(&self.shared.wakes).keys().cloned().collect();
        for name in &known {
            sink.subscribe(self.channels(name)).await?;
        }
        if backoff.failures() > 0 {
            tracing::info!("pub/sub connection restored");
            backoff.reset();
        }
        self.back.notify_one();
        self.shared.fire_all();
        self.shared.is_listening.store(true, Ordering::Release);
        let mut unused = HashSet::new();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                name = names.recv() => match name {
                    // A name that is missing was dropped in the meantime.
                    Some(name) if lock(&self.shared.wakes).contains_key(&name) => {
                        sink.subscribe(self.channels(&name)).await?;
                        self.shared.fire(&name, None, "1");
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                message = messages.next() => match message {
                    Some(message) => {
                        let channel = message.get_channel_name().split_once(":wake:");
                        let (prefix, name) = channel.unwrap_or_default();
                        let text: String = message.get_payload().unwrap_or_default();
                        self.shared.fire(name, partition_in(prefix), &text);
                    }
                    None => return Err(reset()),
                },
                _ = sweep.tick() => {
                    for name in self.shared.give_up(&mut unused) {
                        sink.unsubscribe(self.channels(&name)).await?;
                    }
                }
                Ok(()) = moves.changed() => return Err(reset()),
                () = tokio::time::sleep(PROBE_EVERY) => {
                    let ping = sink.ping::<redis::Value>();
                    let pong = tokio::time::timeout(PROBE_LIMIT, ping).await;
                    pong.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                }
            }
        }
    }
}

/// Returns the partition in the prefix of a channel, `<prefix>:{<partition>}`.
fn partition_in(prefix: &str) -> Option<usize> {
    prefix.rsplit_once('{')?.1.strip_suffix('}')?.parse().ok()
}

fn reset() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_wake_up_is_dropped_at_the_second_check() {
        let shared = Shared::default();
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
