//! Which node serves each partition. A single Redis, also one behind Sentinel, serves all of them.
//!
//! In a Redis Cluster partitions move between nodes. Any sign of that (see [`Nodes::learn`]) makes
//! the keeper look at the topology. `MOVED` sends a call to the new node, which is safe: the old
//! one did not run it. `ASK` and `TRYAGAIN` are never followed. While keys move one by one, a
//! script at the new node would begin with an empty partition, and the old node would then delete
//! what it had. So the partition refuses calls until all its keys have moved.

mod keeper;
mod node;
mod topology;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::domain::ids::Partition;

use super::keys::Keys;
use super::link::pause_before_repeat;
use super::{Error, Shared, answers, connect, sentinel};

pub(super) use node::Node;
use topology::{Address, Topology, slot_of};
pub(super) use topology::{Cluster, SCHEMES};

/// How long a call that the cluster refused waits before it is sent again, unless the topology
/// changes first.
const PAUSE: Duration = Duration::from_millis(20);

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Of(Partition),
    /// The layout of the deployment.
    Layout,
}

impl From<Partition> for Place {
    fn from(partition: Partition) -> Self {
        Self::Of(partition)
    }
}

/// The nodes of a deployment. A clone is cheap and shares them.
#[derive(Clone)]
pub(super) struct Nodes {
    inner: Arc<Inner>,
    /// The tasks that follow the topology of a cluster. They end with the last clone.
    _keeper: Arc<JoinSet<()>>,
}

struct Inner {
    map: watch::Sender<Arc<Map>>,
    /// `None` if one address leads to all partitions.
    cluster: Option<Followed>,
    /// How long a call waits for a place that moves.
    patience: Duration,
    /// The relay to the primary that the Sentinels name. `None` without Sentinels.
    _relay: Option<sentinel::Relay>,
}

/// A cluster whose topology is followed.
struct Followed {
    cluster: Cluster,
    /// Every node that was ever named, of which each may know the others.
    known: Mutex<Vec<Address>>,
    /// Wakes the keeper, because the topology may have changed.
    doubt: Notify,
    /// Whether a call failed in each partition, and none has worked there since.
    away: Vec<AtomicBool>,
}

/// Which node serves what.
struct Map {
    /// The node of each partition.
    partitions: Vec<Arc<Node>>,
    layout: Arc<Node>,
    /// Every node of the map, once.
    all: Vec<Arc<Node>>,
}

impl Map {
    fn new(partitions: Vec<Arc<Node>>, layout: Arc<Node>) -> Self {
        let mut all: Vec<Arc<Node>> = Vec::new();
        for node in partitions.iter().chain([&layout]) {
            if !all.iter().any(|known| Arc::ptr_eq(known, node)) {
                all.push(Arc::clone(node));
            }
        }
        Self { partitions, layout, all }
    }

    fn at(&self, place: Place) -> &Arc<Node> {
        match place {
            Place::Of(partition) => {
                self.partitions.get(usize::from(partition.0)).unwrap_or(&self.layout)
            }
            Place::Layout => &self.layout,
        }
    }
}

impl Nodes {
    /// Finds the nodes that the URL of the settings leads to.
    ///
    /// # Errors
    ///
    /// * [`Error::Unusable`] if the URL is invalid, a certificate is not readable, or the server is
    ///   not a node of a cluster although the URL says so.
    /// * [`Error::Unavailable`] if no node of a cluster describes it.
    pub async fn open(shared: &Arc<Shared>) -> Result<Self, Error> {
        let Some(cluster) = connect::cluster(&shared.settings)? else {
            return Self::single(shared);
        };
        let topology = cluster.topology(&cluster.seeds).await.map_err(unusable_if_single)?;
        let map = map_of(&cluster, &topology, None, shared)?;
        let mut known = cluster.seeds.clone();
        known.extend(topology.nodes);
        let followed = Followed {
            cluster,
            known: Mutex::new(known),
            doubt: Notify::new(),
            away: map.partitions.iter().map(|_| AtomicBool::new(false)).collect(),
        };
        let map = watch::Sender::new(Arc::new(map));
        let inner = Arc::new(Inner {
            map,
            cluster: Some(followed),
            patience: patience(shared),
            _relay: None,
        });
        let keeper = keeper::start(&inner, shared);
        Ok(Self { inner, _keeper: Arc::new(keeper) })
    }

    fn single(shared: &Arc<Shared>) -> Result<Self, Error> {
        let (client, relay) = connect::open_client(&shared.settings)?;
        let node = Arc::new(Node::new(client, None, shared)?);
        let partitions = vec![Arc::clone(&node); usize::from(shared.settings.partitions)];
        let map = watch::Sender::new(Arc::new(Map::new(partitions, node)));
        let inner =
            Arc::new(Inner { map, cluster: None, patience: patience(shared), _relay: relay });
        Ok(Self { inner, _keeper: Arc::default() })
    }

    /// Returns the node that serves the place, as far as is known.
    pub fn at(&self, place: impl Into<Place>) -> Arc<Node> {
        Arc::clone(self.inner.map.borrow().at(place.into()))
    }

    /// Returns how many partitions there are.
    pub fn partitions(&self) -> usize {
        self.inner.map.borrow().partitions.len()
    }

    /// Returns every node.
    pub fn all(&self) -> Vec<Arc<Node>> {
        self.inner.map.borrow().all.clone()
    }

    /// Returns each node that serves partitions, with those.
    pub fn by_node(&self) -> Vec<(Arc<Node>, Vec<Partition>)> {
        let map = self.inner.map.borrow();
        let mut shares: Vec<_> = map.all.iter().map(|node| (Arc::clone(node), vec![])).collect();
        for (number, node) in map.partitions.iter().enumerate() {
            if let Some((_, share)) = shares.iter_mut().find(|(one, _)| Arc::ptr_eq(one, node)) {
                share.push(Partition(number as u8));
            }
        }
        shares.retain(|(_, share)| !share.is_empty());
        shares
    }

    /// Returns the partitions in groups, each of which one command can read: a cluster refuses a
    /// command about several slots, also if one node has them.
    pub fn readable_together(&self) -> Vec<Vec<Partition>> {
        let all = (0..self.inner.map.borrow().partitions.len()).map(|nth| Partition(nth as u8));
        match self.inner.cluster {
            None => vec![all.collect()],
            Some(_) => all.map(|partition| vec![partition]).collect(),
        }
    }

    /// Returns a receiver that notices when another node serves a partition.
    pub fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.inner.map.subscribe()
    }

    /// Waits until another node than this one serves the place.
    pub async fn left(&self, node: &Arc<Node>, place: impl Into<Place>) {
        let place = place.into();
        let mut map = self.inner.map.subscribe();
        // The sender lives as long as these nodes, so the wait ends only with a change.
        let _ = map.wait_for(|map| !Arc::ptr_eq(map.at(place), node)).await;
    }

    /// Returns whether the last call in the partition failed, so that walks over all partitions
    /// leave it out. Always false for a single Redis: all its partitions would be left out.
    pub fn is_away(&self, partition: Partition) -> bool {
        let Some(followed) = &self.inner.cluster else { return false };
        let away = followed.away.get(usize::from(partition.0));
        away.is_some_and(|away| away.load(Ordering::Relaxed))
    }

    /// Returns why a server cannot have so many partitions, from whether it is a node of a cluster.
    pub fn fault(&self, is_in_cluster: bool, partitions: u16) -> Option<&'static str> {
        let is_followed = self.inner.cluster.is_some();
        (is_in_cluster && partitions > 1 && !is_followed)
            .then_some("keeps partitions on different slots")
    }

    /// Makes the keeper look at the topology, because a connection of its own failed.
    pub fn doubt(&self) {
        if let Some(followed) = &self.inner.cluster {
            followed.doubt.notify_one();
        }
    }

    /// Begins a call about the place.
    pub fn route(&self, place: impl Into<Place>) -> Route<'_> {
        let place = place.into();
        Route { nodes: self, place, node: self.at(place), repeats: 0, begun: Instant::now() }
    }

    /// Learns from an answer of the node about the place. Returns whether the cluster refused the
    /// call, because the place is elsewhere or on its way there.
    pub fn learn<T>(&self, place: Place, node: &Arc<Node>, answer: &RedisResult<T>) -> bool {
        let Some(followed) = &self.inner.cluster else { return false };
        let Err(error) = answer else {
            followed.note(place, false);
            return false;
        };
        let row = answers::of(error);
        if !row.is_down {
            return false;
        }
        followed.doubt.notify_one();
        let is_elsewhere = matches!(row.word, "MOVED" | "ASK" | "TRYAGAIN" | "READONLY");
        if is_elsewhere || row.word == "CLUSTERDOWN" {
            followed.note(place, true);
            return is_elsewhere;
        }
        let map = self.inner.map.borrow();
        for (number, one) in map.partitions.iter().enumerate() {
            if Arc::ptr_eq(one, node) {
                followed.note(Place::Of(Partition(number as u8)), true);
            }
        }
        false
    }

    /// Returns whether the error means that what the call is about moves to another node.
    pub fn is_moving(&self, error: &RedisError) -> bool {
        self.inner.cluster.is_some()
            && matches!(answers::of(error).word, "MOVED" | "ASK" | "TRYAGAIN")
    }

    /// Returns the error of a call.
    pub fn error(&self, operation: &'static str, source: RedisError) -> Error {
        if self.is_moving(&source) {
            return Error::Moving { operation, source };
        }
        Error::redis(operation, source)
    }
}

impl Followed {
    fn note(&self, place: Place, is_away: bool) {
        let Place::Of(partition) = place else { return };
        let Some(away) = self.away.get(usize::from(partition.0)) else { return };
        // Most calls find it as it is. A write would take it from the caches of other cores.
        if away.load(Ordering::Relaxed) != is_away {
            away.store(is_away, Ordering::Relaxed);
        }
    }

    fn known(&self) -> Vec<Address> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A call to one place, which may have to be sent several times.
pub(super) struct Route<'n> {
    nodes: &'n Nodes,
    place: Place,
    /// The node to send it to.
    pub node: Arc<Node>,
    /// How often it was sent again because the connection broke.
    repeats: u32,
    begun: Instant,
}

impl Route<'_> {
    /// Returns whether an earlier attempt may have run.
    pub fn is_again(&self) -> bool {
        self.repeats > 0
    }

    /// Waits, if the call must be sent again after this answer. Returns whether it must.
    pub async fn goes_on<T>(&mut self, answer: &RedisResult<T>) -> bool {
        if self.nodes.learn(self.place, &self.node, answer) {
            return self.goes_elsewhere().await;
        }
        let is_refused = answer.as_ref().err().is_some_and(RedisError::is_connection_refusal);
        if is_refused && self.nodes.inner.cluster.is_some() {
            // Another node takes over in seconds at best, and other partitions must not wait.
            return false;
        }
        let Some(pause) = pause_before_repeat(answer, &mut self.repeats) else { return false };
        sleep(pause).await;
        self.node = self.nodes.at(self.place);
        true
    }

    /// Learns from an answer that ends the call.
    pub fn learn<T>(&self, answer: &RedisResult<T>) {
        self.nodes.learn(self.place, &self.node, answer);
    }

    /// As [`Route::goes_on`], for a call that is not sent again if the connection broke.
    pub async fn goes_on_unbroken<T>(&mut self, answer: &RedisResult<T>) -> bool {
        self.nodes.learn(self.place, &self.node, answer) && self.goes_elsewhere().await
    }

    /// Waits until another node may serve the place. Returns false if that took too long.
    async fn goes_elsewhere(&mut self) -> bool {
        if self.begun.elapsed() >= self.nodes.inner.patience {
            return false;
        }
        let _ = timeout(PAUSE, self.nodes.left(&self.node, self.place)).await;
        self.node = self.nodes.at(self.place);
        true
    }
}

fn patience(shared: &Shared) -> Duration {
    Duration::from_millis(shared.settings.response_timeout_ms)
}

/// Makes the map of a topology. Nodes that are known keep their connections, and a place that no
/// node serves keeps its node.
///
/// # Errors
///
/// [`Error::Unavailable`] if no node serves a place that had none.
fn map_of(
    cluster: &Cluster,
    topology: &Topology,
    before: Option<&Map>,
    shared: &Arc<Shared>,
) -> Result<Map, Error> {
    let mut nodes: Vec<Arc<Node>> = before.map(|map| map.all.clone()).unwrap_or_default();
    let mut node_of = |key: String, place: Place| {
        let Some(address) = topology.primary_of(slot_of(&key)) else {
            let known = before.map(|map| Arc::clone(map.at(place)));
            let why = Some(format!("no node serves the slot of {key}"));
            let down = redis::make_extension_error("CLUSTERDOWN".to_owned(), why);
            return known.ok_or_else(|| Error::redis("find the nodes", down));
        };
        let known = nodes.iter().find(|node| node.address.as_ref() == Some(address));
        if let Some(node) = known {
            return Ok(Arc::clone(node));
        }
        let client = cluster.client(address).map_err(connect::unusable)?;
        let node = Arc::new(Node::new(client, Some(address.clone()), shared)?);
        nodes.push(Arc::clone(&node));
        Ok(node)
    };
    let keys: &Keys = &shared.keys;
    let partitions = (0..shared.settings.partitions).map(|number| Partition(number as u8));
    let partitions = partitions.map(|one| node_of(keys.prefix(one), one.into()));
    let partitions = partitions.collect::<Result<_, _>>()?;
    let layout = node_of(keys.layout(), Place::Layout)?;
    Ok(Map::new(partitions, layout))
}

/// Makes it fatal that the servers are not in cluster mode.
fn unusable_if_single(source: RedisError) -> Error {
    let is_single = source.detail().is_some_and(|detail| detail.contains("cluster support"));
    if is_single {
        let why = "the server is no node of a Redis Cluster; use redis:// or rediss://".to_owned();
        return Error::Unusable { why };
    }
    Error::redis("find the nodes", source)
}
