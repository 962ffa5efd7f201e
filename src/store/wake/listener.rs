//! The connections over which notifications arrive, one to each node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::domain::ids::Partition;
use crate::runtime::backoff::Backoff;

use super::super::keys::Keys;
use super::super::nodes::{Node, Nodes};
use super::{Shared, lock};

/// How often to check a quiet connection: a dead one would look the same for ever.
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// How often to look for unused wake-ups. One that is unused at two checks is dropped, so that an
/// agent that calls again and again keeps its own.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long Redis may take to answer that check.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// The listeners of a process.
pub(super) struct Listeners {
    pub nodes: Nodes,
    pub keys: Keys,
    pub shared: Arc<Shared>,
    pub back: Arc<Notify>,
}

/// A listener to one node, as the others see it.
struct Listener {
    node: Arc<Node>,
    partitions: Vec<Partition>,
    names: mpsc::UnboundedSender<Name>,
    /// Ends with this.
    _task: JoinSet<()>,
}

/// A name of notifications that began or ceased to be wanted.
#[derive(Clone)]
enum Name {
    Wanted(String),
    Unused(String),
}

impl Listeners {
    /// Keeps one subscribed connection to each node, for ever.
    pub async fn listen(self, mut wanted: mpsc::UnboundedReceiver<String>) {
        let mut changes = self.nodes.changes();
        let mut listeners = self.follow(Vec::new());
        let mut unused = HashSet::new();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                name = wanted.recv() => match name {
                    Some(name) => tell(&listeners, &Name::Wanted(name)),
                    None => return,
                },
                _ = sweep.tick() => {
                    for name in self.shared.give_up(&mut unused) {
                        tell(&listeners, &Name::Unused(name));
                    }
                }
                Ok(()) = changes.changed() => listeners = self.follow(listeners),
            }
        }
    }

    /// Returns a listener for each node. Those whose partitions stayed the same go on.
    fn follow(&self, mut before: Vec<Listener>) -> Vec<Listener> {
        let shares = self.nodes.by_node();
        before.retain(|listener| {
            let stays = shares.iter().any(|(node, partitions)| {
                Arc::ptr_eq(node, &listener.node) && *partitions == listener.partitions
            });
            if !stays {
                self.shared.set_listening(&listener.partitions, false);
            }
            stays
        });
        for (node, partitions) in shares {
            if !before.iter().any(|listener| Arc::ptr_eq(&node, &listener.node)) {
                before.push(self.start(node, partitions));
            }
        }
        before
    }

    fn start(&self, node: Arc<Node>, partitions: Vec<Partition>) -> Listener {
        let subscriber = Subscriber {
            node: Arc::clone(&node),
            nodes: self.nodes.clone(),
            keys: self.keys.clone(),
            partitions: partitions.clone(),
            shared: Arc::clone(&self.shared),
            back: Arc::clone(&self.back),
        };
        let (names, changes) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(subscriber.listen(changes));
        Listener { node, partitions, names, _task: task }
    }
}

fn tell(listeners: &[Listener], name: &Name) {
    for listener in listeners {
        // A listener lives as long as its row, so sending cannot fail.
        let _ = listener.names.send(name.clone());
    }
}

/// The subscriber for all wake-ups of a process from one node.
struct Subscriber {
    node: Arc<Node>,
    nodes: Nodes,
    keys: Keys,
    partitions: Vec<Partition>,
    shared: Arc<Shared>,
    back: Arc<Notify>,
}

impl Subscriber {
    /// Keeps one subscribed connection, for ever.
    async fn listen(self, mut names: mpsc::UnboundedReceiver<Name>) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1_600));
        loop {
            let end = self.listen_once(&mut names, &mut backoff).await;
            self.shared.set_listening(&self.partitions, false);
            if let Err(error) = end {
                self.nodes.doubt();
                if backoff.failures() == 0 {
                    tracing::warn!(%error, "pub/sub connection lost; falling back to polling");
                }
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
        names: &mut mpsc::UnboundedReceiver<Name>,
        backoff: &mut Backoff,
    ) -> redis::RedisResult<()> {
        let mut moves = self.node.hot.moves();
        let (mut sink, mut messages) = self.node.client.get_async_pubsub().await?.split();
        let known: Vec<_> = lock(&self.shared.wakes).keys().cloned().collect();
        for name in &known {
            sink.subscribe(self.channels(name)).await?;
        }
        if backoff.failures() > 0 {
            tracing::info!("pub/sub connection restored");
            backoff.reset();
        }
        self.back.notify_one();
        self.shared.fire_all(&self.partitions);
        self.shared.set_listening(&self.partitions, true);
        loop {
            tokio::select! {
                name = names.recv() => match name {
                    Some(name) => self.change(&mut sink, name).await?,
                    None => return Ok(()),
                },
                message = messages.next() => match message {
                    Some(message) => self.fire(&message),
                    None => return Err(reset()),
                },
                Ok(()) = moves.changed() => return Err(reset()),
                () = tokio::time::sleep(PROBE_EVERY) => {
                    let ping = sink.ping::<redis::Value>();
                    let pong = tokio::time::timeout(PROBE_LIMIT, ping).await;
                    pong.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                }
            }
        }
    }

    /// Subscribes to a name, or no longer.
    async fn change(
        &self,
        sink: &mut redis::aio::PubSubSink,
        name: Name,
    ) -> redis::RedisResult<()> {
        let is_known = |name: &String| lock(&self.shared.wakes).contains_key(name);
        match name {
            // A name that is missing was dropped in the meantime.
            Name::Wanted(name) if is_known(&name) => {
                sink.subscribe(self.channels(&name)).await?;
                self.shared.fire(&name, &self.partitions, "1");
            }
            // A name that is known was wanted again in the meantime.
            Name::Unused(name) if !is_known(&name) => {
                sink.unsubscribe(self.channels(&name)).await?;
            }
            Name::Wanted(_) | Name::Unused(_) => {}
        }
        Ok(())
    }

    fn fire(&self, message: &redis::Msg) {
        let (prefix, name) = message.get_channel_name().split_once(":wake:").unwrap_or_default();
        let text: String = message.get_payload().unwrap_or_default();
        let partition: Vec<_> = partition_in(prefix).into_iter().collect();
        self.shared.fire(name, &partition, &text);
    }
}

/// Returns the partition in the prefix of a channel, `<prefix>:{<partition>}`.
fn partition_in(prefix: &str) -> Option<Partition> {
    prefix.rsplit_once('{')?.1.strip_suffix('}')?.parse().ok().map(Partition)
}

fn reset() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}
