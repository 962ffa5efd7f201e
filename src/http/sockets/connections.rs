//! The connections of a gateway: how many there are, which one makes room for the next, and which
//! are overdue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::super::settings::Http;
use super::super::traffic::{Cause, Traffic};
use super::connection::{Connection, Overdue, Owner};
use super::holders::{Holders, STRANGER};

/// Descriptors that connections never take: they are for the store, NATS, the log and other needs.
const KEPT_FREE: u64 = 64;

/// How many connections there may be beyond the bound. On these only health is answered, and every
/// other request is refused as overloaded.
const RESERVE: usize = 16;

/// How many connections are checked to find one that makes room: to check all of them for each
/// new one would cost more the more there are.
const LOOKED_AT: usize = 256;

/// How long a connection must wait for its client before it can make room, because a request may
/// have arrived that is not read yet. A new connection tries again after as long.
const SETTLING: Duration = Duration::from_millis(10);

/// How long to wait for an evicted connection to leave before trying again.
const LEAVING: Duration = Duration::from_secs(1);

/// How often all connections are checked, unless a deadline is shorter.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often refusals and cuts are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// All connections of a gateway.
pub struct Connections {
    most: usize,
    most_per_address: usize,
    most_answer_bytes: usize,
    traffic: Arc<Traffic>,
    taken: Mutex<Taken>,
    freed: Notify,
    answer_bytes: AtomicUsize,
}

#[derive(Default)]
struct Taken {
    next: u64,
    connections: BTreeMap<u64, Arc<Connection>>,
    /// Who holds the connections within the bound.
    holders: Holders,
    /// The same for each address.
    by_address: HashMap<IpAddr, Holders>,
    /// The ids of connections beyond the bound.
    reserve: BTreeSet<u64>,
    /// The ids of connections that are evicted but have not left.
    leaving: BTreeSet<u64>,
}

/// The place of one connection within the bound; dropping it makes room for the next.
pub struct Slot {
    /// The connection.
    pub connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// The room for one more connection.
enum Room {
    Slot {
        is_reserve: bool,
    },
    /// A connection was evicted and will leave soon.
    Soon,
    /// No connection can make room yet, but one may after [`SETTLING`].
    Later,
}

impl Connections {
    /// As many connections as `http` allows, none of which is open yet.
    pub fn new(http: &Http, traffic: Arc<Traffic>) -> Arc<Self> {
        Arc::new(Self {
            most: http.max_connections,
            most_per_address: http.max_connections_per_address,
            most_answer_bytes: http.max_inflight_bytes,
            traffic,
            taken: Mutex::default(),
            freed: Notify::new(),
            answer_bytes: AtomicUsize::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // The sets stay usable after a panic, which would be a bug here.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a new connection. Waits, shortly, until an evicted connection has left.
    pub async fn take(self: &Arc<Self>, stream: TcpStream, ends: (SocketAddr, SocketAddr)) -> Slot {
        let address = ends.1.ip().to_canonical();
        let is_reserve = loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.room_for(address) {
                Room::Slot { is_reserve } => break is_reserve,
                Room::Soon => drop(timeout(LEAVING, freed).await),
                Room::Later => drop(timeout(SETTLING, freed).await),
            }
        };
        let mut taken = self.lock();
        taken.next += 1;
        let id = taken.next;
        let owner: Weak<Self> = Arc::downgrade(self);
        let connection = Arc::new(Connection::new(id, stream, ends, is_reserve, owner));
        taken.connections.insert(id, Arc::clone(&connection));
        if is_reserve {
            taken.reserve.insert(id);
        } else {
            taken.hold(&connection, &STRANGER.into());
        }
        self.traffic.connections.store(taken.connections.len(), Ordering::Relaxed);
        Slot { connection, connections: Arc::clone(self) }
    }

    fn room_for(&self, address: IpAddr) -> Room {
        let mut taken = self.lock();
        let of_address = taken.by_address.get(&address).map_or(0, Holders::count);
        let is_address_full = of_address >= self.most_per_address;
        if !is_address_full && taken.holders.count() < self.most {
            return Room::Slot { is_reserve: false };
        }
        let of = is_address_full.then_some(address);
        if taken.one_leaves(of) {
            return Room::Soon;
        }
        let mut spare = taken.spare(of);
        if spare.is_none() {
            if taken.reserve.len() < RESERVE {
                return Room::Slot { is_reserve: true };
            }
            let mut reserve = taken.reserve.iter().filter_map(|id| taken.connections.get(id));
            spare = reserve.find(|connection| has_settled(connection)).map(Arc::clone);
        }
        let Some(connection) = spare.filter(has_settled) else { return Room::Later };
        taken.leaving.insert(connection.id);
        self.cut(&connection, Cause::Evicted);
        Room::Soon
    }

    /// Cuts every connection, in any phase.
    pub fn cut_all(&self) {
        for connection in self.lock().connections.values() {
            connection.cut(Cause::Evicted);
        }
    }

    /// Checks all connections regularly: cuts those that are overdue, and logs from time to time
    /// what was refused and cut. Never returns.
    pub async fn watch(&self) {
        let deadlines = self.traffic.deadlines;
        let shortest = deadlines.header.min(deadlines.write).min(deadlines.idle);
        let mut looks = interval((shortest / 8).clamp(Duration::from_millis(10), LOOK_EVERY));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = (Instant::now(), 0);
        loop {
            let now = looks.tick().await.max(Instant::now());
            let connections: Vec<_> = self.lock().connections.values().map(Arc::clone).collect();
            for connection in connections {
                match connection.overdue(now, &deadlines) {
                    _ if connection.cause().is_some() => {}
                    Some(Overdue::Cut(cause)) => self.cut(&connection, cause),
                    Some(Overdue::Idle) => connection.cut(Cause::Evicted),
                    None => {}
                }
            }
            logged = self.log(now, logged);
            self.traffic.traces.flush();
        }
    }

    fn cut(&self, connection: &Connection, cause: Cause) {
        self.traffic.count(cause);
        connection.cut(cause);
    }

    /// Logs one line for everything that was refused or cut since the last one. Returns when and
    /// how much was logged.
    fn log(&self, now: Instant, (at, before): (Instant, u64)) -> (Instant, u64) {
        let all = self.traffic.counts().map(|(_, count)| count).sum();
        if all == before || now.duration_since(at) < LOG_EVERY {
            return (at, before);
        }
        let counts = self.traffic.counts().filter(|(_, count)| *count > 0);
        let counts: Vec<_> =
            counts.map(|(cause, count)| format!("{}={count}", cause.as_str())).collect();
        tracing::warn!(
            new = all - before,
            total = counts.join(" "),
            connections = self.traffic.connections.load(Ordering::Relaxed),
            "requests refused or connections cut to protect the gateway"
        );
        (now, all)
    }
}

impl Owner for Connections {
    fn note_caller(&self, connection: &Connection, caller: &Arc<str>) {
        let mut taken = self.lock();
        // One that has left is no longer counted.
        let is_open = taken.connections.contains_key(&connection.id);
        if is_open && connection.caller.set(Arc::clone(caller)).is_ok() && !connection.is_reserve {
            taken.release(connection, &STRANGER.into());
            taken.hold(connection, caller);
        }
    }

    fn answer_begins(&self, bytes: usize) {
        let all = self.answer_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(mut excess) = all.checked_sub(self.most_answer_bytes).filter(|excess| *excess > 0)
        else {
            return;
        };
        let connections: Vec<_> = self.lock().connections.values().map(Arc::clone).collect();
        let uncut = connections.into_iter().filter(|connection| connection.cause().is_none());
        let unread = uncut.filter_map(|connection| {
            let (since, bytes) = connection.unread()?;
            Some((since, bytes, connection))
        });
        let mut unread: Vec<_> = unread.collect();
        unread.sort_by_key(|(since, ..)| *since);
        for (_, bytes, connection) in unread {
            if excess == 0 {
                return;
            }
            excess = excess.saturating_sub(bytes);
            self.cut(&connection, Cause::AnswerBytes);
        }
    }

    fn answer_ends(&self, bytes: usize) {
        self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Taken {
    /// Whether an evicted connection, of this address if one is given, has not left yet.
    fn one_leaves(&self, of: Option<IpAddr>) -> bool {
        let mut leaving = self.leaving.iter().filter_map(|id| self.connections.get(id));
        leaving.any(|connection| of.is_none_or(|address| connection.address() == address))
    }

    /// Finds a connection that can make room, of this address if one is given: the oldest that has
    /// shown no credential, otherwise one of the caller that holds the most, so that a caller with
    /// many connections does not take those of others.
    fn spare(&mut self, of: Option<IpAddr>) -> Option<Arc<Connection>> {
        let connections = &self.connections;
        let holders = match of {
            Some(address) => self.by_address.get_mut(&address)?,
            None => &mut self.holders,
        };
        let now = Instant::now();
        let strangers = holders.strangers().take(LOOKED_AT).filter_map(|id| connections.get(&id));
        let spare: Vec<_> =
            strangers.filter(|connection| connection.spare_since(now).is_some()).collect();
        // If none has settled, the oldest soon will.
        let oldest = spare.iter().find(|connection| has_settled(connection)).or(spare.first());
        if let Some(oldest) = oldest {
            return Some(Arc::clone(oldest));
        }
        let idlest = holders.idlest(LOOKED_AT, |id| {
            let connection =
                connections.get(&id).filter(|connection| connection.cause().is_none())?;
            connection.spare_since(now)
        })?;
        connections.get(&idlest).map(Arc::clone)
    }

    /// Records that the caller holds this connection.
    fn hold(&mut self, connection: &Connection, caller: &Arc<str>) {
        self.holders.insert(caller, connection.id);
        self.by_address.entry(connection.address()).or_default().insert(caller, connection.id);
    }

    /// Records that the caller no longer holds this connection.
    fn release(&mut self, connection: &Connection, caller: &Arc<str>) {
        self.holders.remove(caller, connection.id);
        let Some(of_address) = self.by_address.get_mut(&connection.address()) else { return };
        of_address.remove(caller, connection.id);
        if of_address.count() == 0 {
            self.by_address.remove(&connection.address());
        }
    }
}

/// Whether the connection only waits for its client, and has for at least [`SETTLING`].
fn has_settled(connection: &Arc<Connection>) -> bool {
    let now = Instant::now();
    connection.spare_since(now).is_some_and(|since| now.duration_since(since) >= SETTLING)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.connections.lock();
        let id = self.connection.id;
        taken.connections.remove(&id);
        taken.reserve.remove(&id);
        taken.leaving.remove(&id);
        if !self.connection.is_reserve {
            let caller = self.connection.caller.get().cloned();
            taken.release(&self.connection, &caller.unwrap_or_else(|| STRANGER.into()));
        }
        self.connections.traffic.connections.store(taken.connections.len(), Ordering::Relaxed);
        drop(taken);
        self.connections.freed.notify_one();
    }
}

/// Returns these settings with no more connections than the process can have descriptors for, after
/// raising the soft limit of descriptors to the hard one.
pub fn limited_by_system(http: &Http) -> Http {
    let limit = getrlimit(Resource::Nofile);
    // If the system refuses that, the soft limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return http.clone() };
    let kept_free = KEPT_FREE + u64::try_from(RESERVE).unwrap_or(u64::MAX);
    let allowed = descriptors.saturating_sub(kept_free).max(descriptors / 4).max(1);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed < http.max_connections {
        tracing::warn!(
            http.max_connections = http.max_connections,
            connections = allowed,
            "fewer connections than configured: raise the limit of open files (ulimit -n)"
        );
    }
    Http { max_connections: http.max_connections.min(allowed), ..http.clone() }
}
