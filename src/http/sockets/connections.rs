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

impl std::fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connections").field("most", &self.most).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Taken {
    next: u64,
    lines: BTreeMap<u64, Arc<Connection>>,
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
    pub line: Arc<Connection>,
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
        let line = Arc::new(Connection::new(id, stream, ends, is_reserve, owner));
        taken.lines.insert(id, Arc::clone(&line));
        if is_reserve {
            taken.reserve.insert(id);
        } else {
            taken.hold(&line, &STRANGER.into());
        }
        self.traffic.connections.store(taken.lines.len(), Ordering::Relaxed);
        Slot { line, connections: Arc::clone(self) }
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
            let mut reserve = taken.reserve.iter().filter_map(|id| taken.lines.get(id));
            spare = reserve.find(|line| has_settled(line)).map(Arc::clone);
        }
        let Some(line) = spare.filter(has_settled) else { return Room::Later };
        taken.leaving.insert(line.id);
        self.traffic.count(Cause::Evicted);
        line.cut(Cause::Evicted);
        Room::Soon
    }

    /// Cuts every connection, in any phase.
    pub fn cut_all(&self) {
        for line in self.lock().lines.values() {
            line.cut(Cause::Evicted);
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
            let lines: Vec<_> = self.lock().lines.values().map(Arc::clone).collect();
            for line in lines {
                match line.overdue(now, &deadlines) {
                    Some(late) if line.cause().is_none() => self.end(&line, late),
                    Some(_) | None => {}
                }
            }
            logged = self.log(now, logged);
        }
    }

    fn end(&self, line: &Connection, late: Overdue) {
        match late {
            Overdue::Idle => line.cut(Cause::Evicted),
            Overdue::Cut(cause) => {
                self.traffic.count(cause);
                line.cut(cause);
            }
        }
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
    fn note_caller(&self, line: &Connection, caller: &Arc<str>) {
        let mut taken = self.lock();
        // One that has left is no longer counted.
        let is_open = taken.lines.contains_key(&line.id);
        if is_open && line.caller.set(Arc::clone(caller)).is_ok() && !line.is_reserve {
            taken.release(line, &STRANGER.into());
            taken.hold(line, caller);
        }
    }

    fn answer_begins(&self, bytes: usize) {
        let all = self.answer_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(mut excess) = all.checked_sub(self.most_answer_bytes).filter(|excess| *excess > 0)
        else {
            return;
        };
        let lines: Vec<_> = self.lock().lines.values().map(Arc::clone).collect();
        let unread = lines.into_iter().filter(|line| line.cause().is_none()).filter_map(|line| {
            let (since, bytes) = line.unread()?;
            Some((since, bytes, line))
        });
        let mut unread: Vec<_> = unread.collect();
        unread.sort_by_key(|(since, ..)| *since);
        for (_, bytes, line) in unread {
            if excess == 0 {
                return;
            }
            excess = excess.saturating_sub(bytes);
            self.traffic.count(Cause::AnswerBytes);
            line.cut(Cause::AnswerBytes);
        }
    }

    fn answer_ends(&self, bytes: usize) {
        self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Taken {
    /// Whether an evicted connection, of this address if one is given, has not left yet.
    fn one_leaves(&self, of: Option<IpAddr>) -> bool {
        let mut leaving = self.leaving.iter().filter_map(|id| self.lines.get(id));
        leaving.any(|line| fits(line, of))
    }

    /// Finds a connection that can make room, of this address if one is given: the oldest that has
    /// shown no credential, otherwise one of the caller that holds the most, so that a caller with
    /// many connections does not take those of others.
    fn spare(&mut self, of: Option<IpAddr>) -> Option<Arc<Connection>> {
        let lines = &self.lines;
        let holders = match of {
            Some(address) => self.by_address.get_mut(&address)?,
            None => &mut self.holders,
        };
        let now = Instant::now();
        let strangers = holders.strangers().take(LOOKED_AT).filter_map(|id| lines.get(&id));
        let spare: Vec<_> = strangers.filter(|line| line.spare_since(now).is_some()).collect();
        // If none has settled, the oldest soon will.
        let oldest = spare.iter().find(|line| has_settled(line)).or(spare.first());
        if let Some(oldest) = oldest {
            return Some(Arc::clone(oldest));
        }
        let idlest = holders.idlest(LOOKED_AT, |id| {
            let line = lines.get(&id).filter(|line| line.cause().is_none())?;
            line.spare_since(now)
        })?;
        lines.get(&idlest).map(Arc::clone)
    }

    /// Records that the caller holds this connection.
    fn hold(&mut self, line: &Connection, caller: &Arc<str>) {
        self.holders.insert(caller, line.id);
        self.by_address.entry(line.address()).or_default().insert(caller, line.id);
    }

    /// Records that the caller no longer holds this connection.
    fn release(&mut self, line: &Connection, caller: &Arc<str>) {
        self.holders.remove(caller, line.id);
        let Some(of_address) = self.by_address.get_mut(&line.address()) else { return };
        of_address.remove(caller, line.id);
        if of_address.count() == 0 {
            self.by_address.remove(&line.address());
        }
    }
}

/// Whether the connection only waits for its client, and has for at least [`SETTLING`].
fn has_settled(line: &Arc<Connection>) -> bool {
    let now = Instant::now();
    line.spare_since(now).is_some_and(|since| now.duration_since(since) >= SETTLING)
}

fn fits(line: &Connection, of: Option<IpAddr>) -> bool {
    of.is_none_or(|address| line.address() == address)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.connections.lock();
        let id = self.line.id;
        taken.lines.remove(&id);
        taken.reserve.remove(&id);
        taken.leaving.remove(&id);
        if !self.line.is_reserve {
            let caller = self.line.caller.get().cloned();
            taken.release(&self.line, &caller.unwrap_or_else(|| STRANGER.into()));
        }
        self.connections.traffic.connections.store(taken.lines.len(), Ordering::Relaxed);
        drop(taken);
        self.connections.freed.notify_one();
    }
}

/// Returns these settings with no more connections than the process can have descriptors for.
pub fn limited_by_system(http: &Http) -> Http {
    let allowed = allowed_by_system();
    if allowed < http.max_connections {
        tracing::warn!(
            http.max_connections = http.max_connections,
            connections = allowed,
            "fewer connections than configured: raise the limit of open files (ulimit -n)"
        );
    }
    Http { max_connections: http.max_connections.min(allowed), ..http.clone() }
}

/// How many connections the system allows, after raising the soft limit of descriptors to the hard
/// one.
fn allowed_by_system() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If the system refuses that, the soft limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let kept_free = KEPT_FREE + u64::try_from(RESERVE).unwrap_or(u64::MAX);
    let allowed = descriptors.saturating_sub(kept_free).max(descriptors / 4).max(1);
    usize::try_from(allowed).unwrap_or(usize::MAX)
}
