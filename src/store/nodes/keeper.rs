//! Follows a Redis Cluster: its topology, partitions that were away, and who listens to channels.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use redis::RedisResult;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::domain::ids::Partition;
use crate::runtime::chain::Chain;

use super::super::{ORCHESTRATOR, Shared, args, script};
use super::{Inner, Map, Nodes, Place, map_of};

/// The shortest time between two looks at the topology.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How often to look without a sign of a change, to know new nodes before they are needed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often to try partitions that were away.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// How long such a try may take.
const TRY_LIMIT: Duration = Duration::from_millis(500);

/// How often to look whether clients listen to the channels of events.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// Starts the tasks that follow the cluster.
pub(super) fn start(inner: &Arc<Inner>, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(Arc::clone(inner), Arc::clone(shared)));
    tasks.spawn(try_again(Arc::clone(inner), Arc::clone(shared)));
    tasks.spawn(listen(Arc::clone(inner), Arc::clone(shared)));
    tasks
}

/// Looks at the topology whenever it may have changed.
async fn follow(inner: Arc<Inner>, shared: Arc<Shared>) {
    let Some(followed) = &inner.cluster else { return };
    loop {
        let _ = timeout(LOOK_EVERY, followed.doubt.notified()).await;
        let known = followed.known();
        match followed.cluster.topology(&known).await {
            Ok(topology) => {
                let before = Arc::clone(&inner.map.borrow());
                match map_of(&followed.cluster, &topology, Some(&before), &shared) {
                    Ok(map) => inner.change(&before, map),
                    Err(error) => tracing::warn!(error = %Chain(&error), "unusable cluster node"),
                }
                let mut known = followed.cluster.seeds.clone();
                known.extend(topology.nodes);
                *followed.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = known;
            }
            Err(error) => tracing::debug!(%error, "no node describes the cluster"),
        }
        sleep(LOOK_PAUSE).await;
    }
}

impl Inner {
    /// Puts the map in place if a place has another node than before.
    fn change(&self, before: &Map, map: Map) {
        let places = (0..map.partitions.len()).map(|nth| Place::Of(Partition(nth as u8)));
        let moved = places.chain([Place::Layout]);
        let moved: Vec<_> =
            moved.filter(|place| !Arc::ptr_eq(before.at(*place), map.at(*place))).collect();
        if moved.is_empty() {
            return;
        }
        let (nodes, count) = (map.all.len(), moved.len());
        self.map.send_replace(Arc::new(map));
        tracing::info!(nodes, moved = count, "the cluster has another topology");
        for place in moved {
            if let Some(followed) = &self.cluster {
                followed.note(place, false);
            }
        }
    }
}

/// Tries the partitions that were away, so that walks visit them again.
async fn try_again(inner: Arc<Inner>, shared: Arc<Shared>) {
    let Some(followed) = &inner.cluster else { return };
    let nodes = Nodes { inner: Arc::clone(&inner), _keeper: Arc::default() };
    loop {
        sleep(TRY_EVERY).await;
        let away = followed.away.iter().enumerate();
        let away = away.filter(|(_, away)| away.load(Ordering::Relaxed));
        let tries = away.map(|(number, _)| {
            let partition = Partition(number as u8);
            let node = nodes.at(partition);
            let (nodes, shared) = (&nodes, &shared);
            async move {
                let mut connection = node.hot.clone();
                let args = args();
                let probe = shared.evaluate::<u8>(
                    &mut connection,
                    &script::PROBE,
                    partition,
                    ORCHESTRATOR,
                    &args,
                    false,
                );
                // A partition that does not answer in time stays away.
                if let Ok(answer) = timeout(TRY_LIMIT, probe).await
                    && !nodes.learn(partition.into(), &node, &answer)
                {
                    node.health.note("probe", &answer);
                }
            }
        });
        join_all(tries).await;
    }
}

/// Looks at which nodes clients listen to the channels of events. A script sees only those of its
/// own node, but what it publishes reaches the others too.
async fn listen(inner: Arc<Inner>, shared: Arc<Shared>) {
    let mut pipe = redis::pipe();
    pipe.cmd("PUBSUB").arg("NUMPAT");
    pipe.cmd("PUBSUB").arg("CHANNELS").arg(shared.keys.event_channels());
    loop {
        let nodes = inner.map.borrow().all.clone();
        let looks = nodes.iter().map(async |node| {
            let mut connection = node.hot.clone();
            let asked: Result<RedisResult<(u64, Vec<String>)>, _> =
                timeout(TRY_LIMIT, pipe.query_async(&mut connection)).await;
            matches!(asked, Ok(Ok((patterns, channels))) if patterns > 0 || !channels.is_empty())
        });
        let has_listeners = join_all(looks).await.contains(&true);
        shared.has_listeners.store(has_listeners, Ordering::Relaxed);
        sleep(LISTEN_EVERY).await;
    }
}
