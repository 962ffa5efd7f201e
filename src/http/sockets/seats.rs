//! How many connections there are, who makes room for the next one, and who is overdue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::super::settings::Http;
use super::super::traffic::{Cause, Traffic};
use super::line::{Late, Line};

/// Descriptors that connections never take: for the store, NATS, the log and what comes.
const KEPT_FREE: u64 = 64;

/// Seats beyond the bound, on which only health is answered and the rest is told that there is no room.
const RESERVE: usize = 16;

/// How many connections are looked at to find one that makes room: a look at all of them for each
/// new one would cost more the more there are.
const LOOKED_AT: usize = 256;

/// How long a connection waits for its client before it makes room: a request may be there that is not read yet. A new
/// connection looks again as much later.
const SETTLING: Duration = Duration::from_millis(10);

/// How long one that was told to leave is waited for before it is looked again.
const LEAVING: Duration = Duration::from_secs(1);

/// How often all connections are looked at, unless a deadline is shorter.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often at most refusals and cuts are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// All connections of a gateway.
pub struct Seats {
    most: usize,
    most_per_address: usize,
    most_answer_bytes: usize,
    traffic: Arc<Traffic>,
    taken: Mutex<Taken>,
    freed: Notify,
    answer_bytes: AtomicUsize,
}

impl std::fmt::Debug for Seats {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Seats").field("most", &self.most).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// By their number.
    lines: BTreeMap<u64, Arc<Line>>,
    /// Those on which no credential was shown.
    unknown: BTreeSet<u64>,
    /// Those beyond the bound.
    reserve: BTreeSet<u64>,
    /// Those that were told to leave.
    leaving: BTreeSet<u64>,
    by_address: HashMap<IpAddr, usize>,
    /// Where the next look for one that makes room begins.
    cursor: u64,
}

/// The seat of one connection. Dropped, it is free.
pub struct Seat {
    /// The connection.
    pub line: Arc<Line>,
    seats: Arc<Seats>,
}

/// What there is for one more connection.
enum Room {
    Seat {
        is_reserve: bool,
    },
    /// One has to leave first, and is told so.
    Soon,
    /// One can leave in a moment.
    Later,
}

impl Seats {
    /// As `http` says.
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
        // A panic between two of its sets would be a bug here; the sets stay usable.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection. Waits, shortly, until one that makes room has left.
    pub async fn take(self: &Arc<Self>, stream: TcpStream, ends: (SocketAddr, SocketAddr)) -> Seat {
        let address = ends.1.ip().to_canonical();
        let is_reserve = loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.room_for(address) {
                Room::Seat { is_reserve } => break is_reserve,
                Room::Soon => drop(timeout(LEAVING, freed).await),
                Room::Later => drop(timeout(SETTLING, freed).await),
            }
        };
        let mut taken = self.lock();
        taken.next += 1;
        let id = taken.next;
        let line = Arc::new(Line::new(id, stream, ends, is_reserve, Arc::downgrade(self)));
        taken.lines.insert(id, Arc::clone(&line));
        let set = if is_reserve { &mut taken.reserve } else { &mut taken.unknown };
        set.insert(id);
        *taken.by_address.entry(address).or_default() += 1;
        self.traffic.connections.store(taken.lines.len(), Ordering::Relaxed);
        Seat { line, seats: Arc::clone(self) }
    }

    fn room_for(&self, address: IpAddr) -> Room {
        let mut taken = self.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        let is_address_full = of_address >= self.most_per_address;
        if !is_address_full && taken.lines.len() - taken.reserve.len() < self.most {
            return Room::Seat { is_reserve: false };
        }
        let of = is_address_full.then_some(address);
        if taken.one_leaves(of) {
            return Room::Soon;
        }
        let mut spare = taken.spare(of);
        if spare.is_none() {
            if taken.reserve.len() < RESERVE {
                return Room::Seat { is_reserve: true };
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

    /// A request of this connection has shown a credential.
    pub fn note_known(&self, id: u64) {
        self.lock().unknown.remove(&id);
    }

    /// An answer of so many bytes begins. If all of them are too many together, those make room that
    /// their clients have not read for longest.
    pub fn answer_begins(&self, bytes: usize) {
        let all = self.answer_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(mut excess) = all.checked_sub(self.most_answer_bytes).filter(|excess| *excess > 0)
        else {
            return;
        };
        let lines: Vec<_> = self.lock().lines.values().map(Arc::clone).collect();
        let unread = |line: Arc<Line>| {
            let (since, bytes) = line.unread().filter(|_| line.cause().is_none())?;
            Some((since, bytes, line))
        };
        let mut unread: Vec<_> = lines.into_iter().filter_map(unread).collect();
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

    /// So many bytes of an answer are no longer held.
    pub fn answer_ends(&self, bytes: usize) {
        self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends every connection.
    pub fn cut_all(&self) {
        for line in self.lock().lines.values() {
            line.cut(Cause::Evicted);
        }
    }

    /// Looks at all connections again and again: cuts those that are overdue, and logs at times what
    /// was refused and cut. Never returns.
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

    fn end(&self, line: &Line, late: Late) {
        match late {
            Late::Idle => line.cut(Cause::Evicted),
            Late::Cut(cause) => {
                self.traffic.count(cause);
                line.cut(cause);
            }
        }
    }

    /// One line for all that was refused or cut in some time. Returns when and how many were logged.
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

impl Taken {
    /// Whether one that was told to leave has not left.
    fn one_leaves(&self, of: Option<IpAddr>) -> bool {
        let mut leaving = self.leaving.iter().filter_map(|id| self.lines.get(id));
        leaving.any(|line| fits(line, of))
    }

    /// One that can leave, of this address if there is one: the oldest that has shown no credential,
    /// else, of some, the one that has held its seat for nothing for longest.
    fn spare(&mut self, of: Option<IpAddr>) -> Option<Arc<Line>> {
        let unknown = self.unknown.iter().take(LOOKED_AT).filter_map(|id| self.lines.get(id));
        let mut unknown = unknown.filter(|line| fits(line, of) && has_settled(line));
        let oldest = unknown.next().map(Arc::clone);
        oldest.or_else(|| self.idlest(of))
    }

    fn idlest(&mut self, of: Option<IpAddr>) -> Option<Arc<Line>> {
        let now = Instant::now();
        let (before, behind) = (self.lines.range(..self.cursor), self.lines.range(self.cursor..));
        let some: Vec<_> = behind.chain(before).take(LOOKED_AT).map(|(_, line)| line).collect();
        let next = some.last().map_or(0, |line| line.id + 1);
        let spare = some.into_iter().filter(|line| !line.is_reserve && fits(line, of));
        let spare = spare.filter(|line| line.cause().is_none());
        let spare = spare.filter_map(|line| Some((line.spare_since(now)?, line)));
        let idlest = spare.min_by_key(|(since, _)| *since).map(|(_, line)| Arc::clone(line));
        self.cursor = next;
        idlest
    }
}

/// Whether it waits for its client alone, and not since just now.
fn has_settled(line: &Arc<Line>) -> bool {
    let now = Instant::now();
    line.spare_since(now).is_some_and(|since| now.duration_since(since) >= SETTLING)
}

fn fits(line: &Line, of: Option<IpAddr>) -> bool {
    of.is_none_or(|address| line.remote.ip().to_canonical() == address)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let id = self.line.id;
        taken.lines.remove(&id);
        taken.unknown.remove(&id);
        taken.reserve.remove(&id);
        taken.leaving.remove(&id);
        let address = self.line.remote.ip().to_canonical();
        if let Some(of_address) = taken.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&address);
            }
        }
        self.seats.traffic.connections.store(taken.lines.len(), Ordering::Relaxed);
        drop(taken);
        self.seats.freed.notify_one();
    }
}

/// These settings with no more connections than the system gives this process descriptors for.
pub fn as_the_system_allows(http: &Http) -> Http {
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

/// How many connections the system allows, after the soft limit of descriptors was raised to the hard one.
fn allowed_by_system() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused the soft limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let kept_free = KEPT_FREE + u64::try_from(RESERVE).unwrap_or(u64::MAX);
    let allowed = descriptors.saturating_sub(kept_free).max(descriptors / 4).max(1);
    usize::try_from(allowed).unwrap_or(usize::MAX)
}
