//! The store on Redis. Only this module uses `redis` and `deadpool_redis`.
//!
//! Every change of a task is one script. It moves the task, writes its record and appends the
//! event, or it does nothing. The clock is the one of Redis. Scripts share one connection that
//! reconnects by itself. Long reads (lists, the doctor) use a small pool, so that a large answer
//! never delays a claim. Notifications have a connection of their own.

mod agents;
mod answers;
mod api_keys;
mod approvals;
mod audit;
mod bench;
mod bridge;
mod bulks;
mod calls;
mod claims;
mod client;
mod codec;
mod connect;
mod doctor;
mod error;
mod events;
mod facts;
mod functions;
mod health;
pub mod keys;
mod keyspace;
mod layout;
mod link;
pub mod lists;
mod log;
mod new_record;
mod nodes;
mod nonces;
mod rates;
mod replicas;
mod report;
pub mod script;
pub mod sentinel;
mod server;
mod settings;
mod sign_outs;
mod sweeps;
mod tasks;
mod upgrade;
mod wake;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::domain::ids::Partition;

pub use agents::{AgentRow, Standing, StatsRow};
pub use api_keys::{KeyChange, WAKE as KEYS_WAKE};
pub use approvals::{Decided, NewContent};
pub use bench::RedisUsage;
pub use bulks::{BulkAnswer, BulkEnd, BulkRow, BulkTurn, InBulk, NewBulk};
pub use claims::{Answer, Room, Row, Sessions, Taken};
use codec::cipher::Cipher;
pub use codec::cipher::{EncryptionFault, fault_of_encryption};
pub use connect::fault_of_url;
pub use doctor::{Check, Finding, Problem, Repair};
pub use doctor::{DoctorStats, Texts, Turn};
pub use error::Error;
use functions::Functions;
use keys::Keys;
pub use log::{Latest, LogBounds, LogPart};
pub use new_record::{Gate, NewRecord, ParentState};
use nodes::Nodes;
pub use rates::Part;
pub use settings::{Encryption, Settings};
pub use sweeps::Sweep;
pub use tasks::{Parts, SubmitAnswer};
pub use upgrade::{Upgrade, upgrade};
pub use wake::{Counts, Notifier};

/// The actor of changes that no caller requests, such as those of the background workers.
pub use crate::domain::principal::ORCHESTRATOR;

/// How many MiB of answers with stored texts one process reads at the same time. More calls wait.
const ANSWERS_MIB: u32 = 64;

/// The store. A clone is cheap and shares the connections and the clock of the original.
#[derive(Clone)]
pub struct Store {
    nodes: Nodes,
    notifier: Notifier,
    /// The reader of new events. Empty until the first subscription.
    tail: Arc<log::TailCell>,
    shared: Arc<Shared>,
    /// The task that checks whether Redis still holds the same data. It ends with the last clone.
    _watch: Option<Arc<JoinSet<()>>>,
}

struct Shared {
    settings: Settings,
    /// Permits in MiB for answers with stored texts over the shared connection.
    answers: Semaphore,
    keys: Keys,
    /// Encrypts and decrypts what Redis must not show.
    cipher: Cipher,
    functions: Functions,
    /// The offset that tests add to the clock of Redis, in milliseconds.
    clock_offset: AtomicI64,
    /// When Redis last answered, in milliseconds after `opened`.
    answered_at: AtomicU64,
    opened: Instant,
    /// The partition that the next iteration begins with, so that none is always first.
    turn: AtomicU64,
    /// Wakes when the log has grown.
    log_wake: Arc<tokio::sync::Notify>,
    watch: watch::Watch,
    /// Whether a client of any node listens to channels of events; see `tell.lua`. Always false for
    /// a single Redis, whose scripts see all clients.
    has_listeners: AtomicBool,
}

impl Store {
    /// Connects to Redis and checks that this version can use the keyspace.
    ///
    /// # Errors
    ///
    /// * [`Error::Unavailable`] if Redis cannot be reached or accepts no writes now.
    /// * [`Error::Unusable`] if its version, the permissions of its user or the settings are
    ///   unsuitable.
    /// * [`Error::Layout`] if the keyspace has another number of partitions or an incompatible
    ///   version.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let cipher = Cipher::new(&settings.encryption).map_err(|fault| Error::Unusable {
            why: format!("{}: {}", fault.setting, fault.expected),
        })?;
        let keys = Keys::new(&settings.prefix);
        let shared = Arc::new(Shared {
            settings,
            answers: Semaphore::new(ANSWERS_MIB as usize),
            keys,
            cipher,
            functions: Functions::default(),
            clock_offset: AtomicI64::new(0),
            answered_at: AtomicU64::new(0),
            opened: Instant::now(),
            turn: AtomicU64::new(0),
            log_wake: Arc::default(),
            watch: watch::Watch::default(),
            has_listeners: AtomicBool::new(false),
        });
        let nodes = Nodes::open(&shared).await?;
        let mut store = Self {
            notifier: Notifier::start(nodes.clone(), shared.keys.clone()),
            nodes,
            tail: Arc::default(),
            shared,
            _watch: None,
        };
        store.begin().await?;
        let mut watch = JoinSet::new();
        watch.spawn(store.clone().keep_watch());
        store._watch = Some(Arc::new(watch));
        Ok(store)
    }

    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Returns the notifier, through which callers wait for work and for the end of tasks.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Returns every partition. Each call begins with another one, so that none is always first.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let count = u64::from(self.shared.settings.partitions);
        let first = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        (0..count).map(move |nth| Partition(((first + nth) % count) as u8))
    }

    /// Returns every partition that a walk should visit, in the same way: those that do not answer
    /// are left out, unless none does.
    pub fn reachable(&self) -> impl Iterator<Item = Partition> + use<> {
        let all: Vec<_> = self.partitions().collect();
        let is_any = all.iter().any(|partition| !self.nodes.is_away(*partition));
        let nodes = self.nodes.clone();
        all.into_iter().filter(move |partition| !is_any || !nodes.is_away(*partition))
    }

    /// Returns the partition that `hash` belongs to.
    pub fn partition_of(&self, hash: u64) -> Partition {
        Partition((hash % u64::from(self.shared.settings.partitions)) as u8)
    }

    /// Returns a partition for a new task, which `random` chooses among those that answer.
    pub fn place_for(&self, random: u64) -> Partition {
        let chosen = self.partition_of(random);
        if !self.is_away(chosen) {
            return chosen;
        }
        self.reachable().next().unwrap_or(chosen)
    }

    /// Returns whether the node of the partition did not answer, or moves the partition, so that
    /// walks over all partitions leave it out. Always false for a single Redis.
    pub fn is_away(&self, partition: Partition) -> bool {
        self.nodes.is_away(partition)
    }

    /// Returns whether `partition` exists in this deployment, so that ids can name it.
    pub fn has(&self, partition: Partition) -> bool {
        u16::from(partition.0) < self.shared.settings.partitions
    }

    /// Moves the clock of this store's scripts forward, for tests of leases, deadlines and
    /// retention.
    pub fn advance(&self, by: Duration) {
        self.shared.clock_offset.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    /// Returns the time since the last answer of Redis.
    pub fn last_answer(&self) -> Duration {
        let at = Duration::from_millis(self.shared.answered_at.load(Ordering::Relaxed));
        self.shared.opened.elapsed().saturating_sub(at)
    }

    /// Returns the store's time in milliseconds since 1970, with one round trip that writes
    /// nothing.
    pub async fn now(&self) -> Result<u64, Error> {
        let partition = self.reachable().next().unwrap_or(Partition(0));
        let (seconds, micros): (u64, u64) =
            self.query("time", partition, &redis::cmd("TIME")).await?;
        Ok(self.time_of(seconds, micros))
    }

    /// Returns the store's time in milliseconds since 1970 from the answer of `TIME`.
    fn time_of(&self, seconds: u64, micros: u64) -> u64 {
        let offset = self.shared.clock_offset.load(Ordering::Relaxed);
        (seconds * 1000 + micros / 1000).saturating_add_signed(offset)
    }

    /// Waits until an answer of up to `bytes` may be read. The permit lasts until it is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if there is no room within the time limit of an answer.
    async fn room_for(
        &self,
        operation: &'static str,
        bytes: usize,
    ) -> Result<SemaphorePermit<'_>, Error> {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX).clamp(1, ANSWERS_MIB);
        let patience = Duration::from_millis(self.shared.settings.response_timeout_ms);
        match timeout(patience, self.shared.answers.acquire_many(mib)).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => Err(Error::Busy { operation }),
        }
    }
}

/// Returns an empty list for the arguments of a script, from `ARGV[5]` on.
fn args() -> Cmd {
    Cmd::new()
}
