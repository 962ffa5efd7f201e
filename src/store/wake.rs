//! Doorbells: who waits for work is rung instead of asking again and again.
//!
//! One connection a process, however many wait. A bell may ring for nothing, and a bell that is rung while the
//! connection is away is not heard: so whoever waits looks after each ring, and slowly without one. When the
//! connection comes back every bell rings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::domain::ids::{Partition, TaskId};

use super::keys;

/// The bells of one process. Cheap to clone.
#[derive(Clone)]
pub struct Bells {
    shared: Arc<Shared>,
    wanted: mpsc::UnboundedSender<String>,
    /// Ends the listener with the last clone.
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
    pub(super) fn start(client: redis::Client, partitions: Vec<Partition>) -> Self {
        let shared = Arc::new(Shared::default());
        let (wanted, names) = mpsc::unbounded_channel();
        let mut listener = JoinSet::new();
        listener.spawn(listen(client, partitions, Arc::clone(&shared), names));
        Self { shared, wanted, _listener: Arc::new(listener) }
    }

    /// The bell of this name; from now on it is listened for.
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

/// Keeps one subscribed connection, for ever.
async fn listen(
    client: redis::Client,
    partitions: Vec<Partition>,
    shared: Arc<Shared>,
    mut names: mpsc::UnboundedReceiver<String>,
) {
    let mut known: Vec<String> = Vec::new();
    let mut failures = 0u32;
    loop {
        if let Err(error) = listen_once(&client, &partitions, &shared, &mut names, &mut known, &mut failures).await {
            failures += 1;
            if failures == 1 {
                tracing::warn!(%error, "doorbells are away; waiting goes on by slow polling");
            }
        }
        let pause = Duration::from_millis(50 << failures.min(5));
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

async fn listen_once(
    client: &redis::Client,
    partitions: &[Partition],
    shared: &Shared,
    names: &mut mpsc::UnboundedReceiver<String>,
    known: &mut Vec<String>,
    failures: &mut u32,
) -> redis::RedisResult<()> {
    let channels = |name: &str| partitions.iter().map(|partition| keys::bell(*partition, name)).collect::<Vec<_>>();
    let (mut sink, mut messages) = client.get_async_pubsub().await?.split();
    for name in known.iter() {
        sink.subscribe(channels(name)).await?;
    }
    if *failures > 0 {
        tracing::info!("doorbells are back");
        *failures = 0;
    }
    shared.ring_all();
    loop {
        tokio::select! {
            name = names.recv() => match name {
                Some(name) => {
                    // Known first: should subscribing fail, the next connection does it.
                    known.push(name.clone());
                    sink.subscribe(channels(&name)).await?;
                    shared.ring(&name, "1");
                }
                None => return Ok(()),
            },
            message = messages.next() => match message {
                Some(message) => {
                    let name = message.get_channel_name().split_once(":bell:").map(|(_, name)| name);
                    let text: String = message.get_payload().unwrap_or_default();
                    shared.ring(name.unwrap_or_default(), &text);
                }
                None => return Err(redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
            },
        }
    }
}
