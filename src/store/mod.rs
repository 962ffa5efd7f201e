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
mod claims;
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
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::domain::ids::Partition;
use crate::domain::principal::Principal;

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
use link::{Link, pause_before_repeat};
pub use log::{Latest, LogBounds, LogPart};
pub use new_record::{Gate, NewRecord, ParentState};
pub use rates::Part;
use replicas::Replicas;
use script::Script;
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
    hot: Link,
    cold: deadpool_redis::Pool,
    notifier: Notifier,
    client: redis::Client,
    /// Confirms writes by replicas. `None` if the primary's confirmation is enough.
    replicas: Option<Replicas>,
    shared: Arc<Shared>,
    /// The relay to the primary that the Sentinels name. `None` if the URL is the address of Redis.
    _relay: Option<Arc<sentinel::Relay>>,
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
    /// The reader of new events. Empty until the first subscription.
    tail: log::TailCell,
    /// Wakes when the log has grown.
    log_wake: Arc<tokio::sync::Notify>,
    watch: watch::Watch,
    health: health::Health,
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
        let (client, relay) = connect::open_client(&settings)?;
        let patience = connect::patience(&settings);
        let hot = Link::new(client.clone(), patience.clone());
        let info = client.get_connection_info().clone();
        let cold = deadpool_redis::Manager::new_with_config(info, patience)
            .map_err(|source| Error::redis("connect", source))?;
        let cold = deadpool_redis::Pool::builder(cold).runtime(deadpool_redis::Runtime::Tokio1);
        let cold = cold.build().map_err(|error| Error::corrupt(error.to_string()))?;
        let partitions = (0..settings.partitions).map(|number| Partition(number as u8)).collect();
        let keys = Keys::new(&settings.prefix);
        let shared = Arc::new(Shared {
            settings,
            answers: Semaphore::new(ANSWERS_MIB as usize),
            keys: keys.clone(),
            cipher,
            functions: Functions::default(),
            clock_offset: AtomicI64::new(0),
            answered_at: AtomicU64::new(0),
            opened: Instant::now(),
            turn: AtomicU64::new(0),
            tail: log::TailCell::default(),
            log_wake: Arc::default(),
            watch: watch::Watch::default(),
            health: health::Health::default(),
        });
        let is_awaited = shared.settings.wait_replicas > 0;
        let mut store = Self {
            hot: hot.clone(),
            cold,
            notifier: Notifier::start(client.clone(), keys, partitions, hot.moves()),
            replicas: is_awaited.then(|| Replicas::start(client.clone(), Arc::clone(&shared))),
            client,
            shared,
            _relay: relay.map(Arc::new),
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

    /// Returns the partition that `hash` belongs to.
    pub fn partition_of(&self, hash: u64) -> Partition {
        Partition((hash % u64::from(self.shared.settings.partitions)) as u8)
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
        let mut cmd = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) = self.query("time", &mut cmd).await?;
        Ok(self.time_of(seconds, micros))
    }

    /// Returns the store's time in milliseconds since 1970 from the answer of `TIME`.
    fn time_of(&self, seconds: u64, micros: u64) -> u64 {
        let offset = self.shared.clock_offset.load(Ordering::Relaxed);
        (seconds * 1000 + micros / 1000).saturating_add_signed(offset)
    }

    /// Runs a script in one partition.
    ///
    /// If the connection breaks, the call is sent again and marked as a repetition. It is unknown
    /// whether the first call ran; the scripts find out.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        partition: Partition,
        actor: &str,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut connection = self.hot.clone();
        let mut repeats = 0;
        let mut doubt = None;
        loop {
            let call =
                self.shared.evaluate(&mut connection, script, partition, actor, &args, repeats > 0);
            let answer = call.await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                self.shared.health.note(script.name, &answer);
                // A refused connection does not prove that the first call did not run.
                return self.result(script.name, answer.map_err(|error| doubt.unwrap_or(error)));
            };
            doubt = doubt.or(answer.err().filter(|error| !error.is_connection_refusal()));
            tokio::time::sleep(pause).await;
        }
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

    /// Runs a script that also writes to the audit log, so it gets the caller's role and origin.
    async fn commit_audited<T: FromRedisValue>(
        &self,
        script: &'static Script,
        partition: Partition,
        caller: &Principal,
        mut args: Cmd,
    ) -> Result<T, Error> {
        args.arg(caller.role().rank()).arg(caller.origin());
        self.commit(script, partition, &caller.to_string(), args).await
    }

    /// Runs a script with a long answer over the pool.
    async fn run_cold<T: FromRedisValue>(
        &self,
        script: &Script,
        partition: Partition,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut connection = self.cold_connection(script.name).await?;
        let answer = self
            .shared
            .evaluate(&mut connection, script, partition, ORCHESTRATOR, &args, false)
            .await;
        if answer.as_ref().err().is_some_and(answers::wants_another_connection) {
            drop(deadpool_redis::Connection::take(connection));
        }
        self.result(script.name, answer)
    }

    async fn cold_connection(
        &self,
        operation: &'static str,
    ) -> Result<deadpool_redis::Connection, Error> {
        self.cold.get().await.map_err(|source| Error::NoConnection { operation, source })
    }

    /// Sends one command that is safe to repeat.
    async fn query<T: FromRedisValue>(
        &self,
        operation: &'static str,
        cmd: &mut Cmd,
    ) -> Result<T, Error> {
        let mut connection = self.hot.clone();
        let mut repeats = 0;
        loop {
            let answer = cmd.query_async(&mut connection).await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                return self.result(operation, answer);
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends several commands, each safe to repeat, in one round trip.
    async fn query_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        pipe: &redis::Pipeline,
    ) -> Result<T, Error> {
        let mut connection = self.hot.clone();
        let mut repeats = 0;
        loop {
            let answer = pipe.query_async(&mut connection).await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                return self.result(operation, answer);
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn result<T>(
        &self,
        operation: &'static str,
        answer: redis::RedisResult<T>,
    ) -> Result<T, Error> {
        match answer {
            Ok(value) => {
                let at = self.shared.opened.elapsed().as_millis() as u64;
                self.shared.answered_at.store(at, Ordering::Relaxed);
                Ok(value)
            }
            Err(source) => Err(Error::redis(operation, source)),
        }
    }
}

/// Returns an empty list for the arguments of a script, from `ARGV[5]` on.
fn args() -> Cmd {
    Cmd::new()
}
