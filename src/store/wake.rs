//! Doorbells: who waits for work is rung instead of asking again and again.
//!
//! One connection a process, however many wait. A bell may ring for nothing, and a bell that is rung while the
//! connection is away is not heard: so whoever waits looks after each ring, and slowly without one. When the
//! connection comes back every bell rings.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Partition, TaskId};
use crate::runtime::backoff::Backoff;

use super::keys::Keys;

/// The bells of one process. Cheap to clone.
#[derive(Clone)]
pub struct Bells {
    shared: Arc<Shared>,
    wanted: mpsc::UnboundedSender<String>,
    /// Rings when the connection came back.
    back: Arc<Notify>,
    /// Ends the listener, as the end of the last clone does.
    close: CancellationToken,
    _listener: Arc<JoinSet<()>>,
}

#[derive(Default)]
struct Shared {
    /// Name, without the partition → who waits.
    bells: Mutex<HashMap<String, Arc<Notify>>>,
    /// Task → who waits for its end, and how many they are.
    tasks: Mutex<HashMap<TaskId, (Arc<Notify>, usize)>>,
}

/// The bell that rings when tasks end; it is not for waiting but tells which.
const FINISHED: &str = "finished";

impl Bells {
    /// * `moves`: changes when the connection is to be made anew though it seems to be good.
    pub(super) fn start(
        client: redis::Client,
        keys: Keys,
        partitions: Vec<Partition>,
        moves: watch::Receiver<u64>,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (wanted, names) = mpsc::unbounded_channel();
        let back = Arc::new(Notify::new());
        let close = CancellationToken::new();
        let mut listener = JoinSet::new();
        let ears =
            Ears { client, keys, partitions, shared: Arc::clone(&shared), back: Arc::clone(&back) };
        let closed = close.clone();
        listener.spawn(async move {
            let _ = closed.run_until_cancelled(ears.listen(names, moves)).await;
        });
        Self { shared, wanted, back, close, _listener: Arc::new(listener) }
    }

    /// Listens no more: a Redis that ends from now on is not missed.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Rings whenever the connection came back, for one who waits.
    pub(super) fn back(&self) -> Arc<Notify> {
        Arc::clone(&self.back)
    }

    /// The bell of this name; it is listened for from now on, until a while after it was held last.
    pub fn bell(&self, name: &str) -> Arc<Notify> {
        let mut bells = lock(&self.shared.bells);
        if let Some(bell) = bells.get(name) {
            return Arc::clone(bell);
        }
        let bell = Arc::new(Notify::new());
        bells.insert(name.to_owned(), Arc::clone(&bell));
        // The listener lives as long as this does, so there is somebody to hear it.
        let _ = self.wanted.send(name.to_owned());
        bell
    }

    /// A bell that rings when the task ends, for as long as it is held.
    pub fn task(&self, id: TaskId) -> TaskBell {
        self.bell(FINISHED);
        let mut tasks = lock(&self.shared.tasks);
        let (bell, waiting) = tasks.entry(id).or_default();
        *waiting += 1;
        TaskBell { id, bell: Arc::clone(bell), shared: Arc::clone(&self.shared) }
    }
}

/// Rings when one task ends.
pub struct TaskBell {
    id: TaskId,
    bell: Arc<Notify>,
    shared: Arc<Shared>,
}

impl TaskBell {
    /// What to wait on.
    pub fn bell(&self) -> &Notify {
        &self.bell
    }
}

impl Drop for TaskBell {
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
    /// Wakes whoever waits on `name`; `message` says how many have something to do, or which tasks ended.
    fn ring(&self, name: &str, message: &str) {
        if name == FINISHED {
            let tasks = lock(&self.tasks);
            for id in message.split(',').filter_map(|id| id.parse().ok()) {
                if let Some((bell, _)) = tasks.get(&id) {
                    bell.notify_waiters();
                }
            }
            return;
        }
        if let Some(bell) = lock(&self.bells).get(name) {
            for _ in 0..message.parse().unwrap_or(1u8) {
                bell.notify_one();
            }
        }
    }

    /// Forgets the bells that nobody held at the last look, `unused`, nor holds now; returns them.
    fn give_up(&self, unused: &mut HashSet<String>) -> Vec<String> {
        let has_tasks = !lock(&self.tasks).is_empty();
        let mut bells = lock(&self.bells);
        let is_held = |name: &str, bell: &Arc<Notify>| {
            Arc::strong_count(bell) > 1 || (name == FINISHED && has_tasks)
        };
        let idle = bells.iter().filter(|(name, bell)| !is_held(name, bell));
        let idle: HashSet<String> = idle.map(|(name, _)| name.clone()).collect();
        let gone: Vec<String> = idle.intersection(unused).cloned().collect();
        for name in &gone {
            bells.remove(name);
        }
        *unused = idle;
        gone
    }

    /// Wakes everybody: something may have been missed.
    fn ring_all(&self) {
        for bell in lock(&self.bells).values() {
            bell.notify_waiters();
            bell.notify_one();
        }
        for (bell, _) in lock(&self.tasks).values() {
            bell.notify_waiters();
        }
    }
}

/// A panic elsewhere leaves these maps whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the connection is tried that nothing comes over: a dead one would be taken for a quiet one for ever.
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// How often it is looked for bells that nobody holds. One that is not held at two looks is given up: an agent that
/// calls again and again keeps its own.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long Redis may take to answer that.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Whoever listens for all bells of a process.
struct Ears {
    client: redis::Client,
    keys: Keys,
    partitions: Vec<Partition>,
    shared: Arc<Shared>,
    back: Arc<Notify>,
}

impl Ears {
    /// Keeps one subscribed connection, for ever.
    async fn listen(
        self,
        mut names: mpsc::UnboundedReceiver<String>,
        mut moves: watch::Receiver<u64>,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1_600));
        loop {
            if let Err(error) = self.listen_once(&mut names, &mut moves, &mut backoff).await
                && backoff.failures() == 0
            {
                tracing::warn!(%error, "doorbells are away; waiting goes on by slow polling");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// The channels of a name.
    fn channels(&self, name: &str) -> Vec<String> {
        self.partitions.iter().map(|partition| self.keys.bell(*partition, name)).collect()
    }

    async fn listen_once(
        &self,
        names: &mut mpsc::UnboundedReceiver<String>,
        moves: &mut watch::Receiver<u64>,
        backoff: &mut Backoff,
    ) -> redis::RedisResult<()> {
        let (mut sink, mut messages) = self.client.get_async_pubsub().await?.split();
        let known: Vec<_> = lock(&self.shared.bells).keys().cloned().collect();
        for name in &known {
            sink.subscribe(self.channels(name)).await?;
        }
        if backoff.failures() > 0 {
            tracing::info!("doorbells are back");
            backoff.reset();
        }
        self.back.notify_one();
        self.shared.ring_all();
        let mut unused = HashSet::new();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                name = names.recv() => match name {
                    // One that is not known was given up meanwhile.
                    Some(name) if lock(&self.shared.bells).contains_key(&name) => {
                        sink.subscribe(self.channels(&name)).await?;
                        self.shared.ring(&name, "1");
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                message = messages.next() => match message {
                    Some(message) => {
                        let name = message.get_channel_name().split_once(":bell:").map(|(_, name)| name);
                        let text: String = message.get_payload().unwrap_or_default();
                        self.shared.ring(name.unwrap_or_default(), &text);
                    }
                    None => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
                },
                _ = sweep.tick() => {
                    for name in self.shared.give_up(&mut unused) {
                        sink.unsubscribe(self.channels(&name)).await?;
                    }
                }
                Ok(()) = moves.changed() => {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
                }
                () = tokio::time::sleep(PROBE_EVERY) => {
                    let probe = tokio::time::timeout(PROBE_LIMIT, sink.ping::<redis::Value>()).await;
                    probe.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_nobody_holds_is_given_up_at_the_second_look() {
        let shared = Shared::default();
        let held = Arc::new(Notify::new());
        for (name, bell) in
            [("router", &held), ("agent:a", &Arc::default()), (FINISHED, &Arc::default())]
        {
            lock(&shared.bells).insert(name.to_owned(), Arc::clone(bell));
        }
        let mut unused = HashSet::new();

        assert!(shared.give_up(&mut unused).is_empty());
        let waits = Arc::clone(&lock(&shared.bells)["agent:a"]);
        let mut gone = shared.give_up(&mut unused);
        assert_eq!(gone, [FINISHED]);
        drop(waits);
        assert!(shared.give_up(&mut unused).is_empty());
        gone = shared.give_up(&mut unused);

        assert_eq!(gone, ["agent:a"]);
        assert_eq!(lock(&shared.bells).keys().collect::<Vec<_>>(), ["router"]);
    }
}
