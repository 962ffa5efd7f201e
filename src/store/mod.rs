//! Redis: the only module that names `redis` and `deadpool_redis`.
//!
//! Invariants: every change of a task is one script, which moves the task, writes its record and
//! appends the event, or does nothing. The clock is Redis's. Scripts go over one shared connection that
//! reconnects by itself; long reads (lists, the doctor) over a small pool, so that a large answer never
//! delays a claim; doorbells over a connection of their own.

mod agents;
mod answers;
mod approvals;
mod audit;
mod bridge;
mod claims;
mod codec;
mod connect;
mod doctor;
mod error;
mod events;
mod examiner;
mod health;
pub mod keys;
mod keyspace;
mod layout;
mod link;
pub mod lists;
mod log;
mod probe;
mod recount;
mod replicas;
mod report;
pub mod script;
pub mod sentinel;
mod server;
mod settings;
mod sweeps;
mod tasks;
mod wake;
mod watch;
mod yardstick;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::domain::ids::Partition;
use crate::domain::principal::Principal;

pub use agents::{AgentRow, Standing, StatsRow};
pub use approvals::{Decided, NewContent};
pub use claims::{Answer, Room, Row, Sessions, Taken};
pub use connect::fault_of_url;
pub use doctor::{Examination, Finding, Remedy};
pub use error::Error;
pub use examiner::{Rounds, Turn};
use keys::Keys;
use link::Link;
pub use log::{Latest, LogBounds, LogPart};
pub use probe::Spent;
use replicas::Replicas;
use script::Script;
pub use settings::Settings;
pub use sweeps::Sweep;
pub use tasks::{Gate, NewRecord, ParentState, Parts, SubmitAnswer};
pub use wake::Bells;

/// Who acts when no caller does: the duties.
pub use crate::domain::principal::ORCHESTRATOR;

/// How often a call whose answer was lost with its connection is sent again. Scripts are safe to repeat.
const REPEATS: u32 = 3;

/// How many MiB of answers with stored texts one process has on their way at once; more wait their turn.
const ANSWERS_MIB: u32 = 64;

/// The store. Cheap to clone; clones share connections and clock.
#[derive(Clone)]
pub struct Store {
    hot: Link,
    cold: deadpool_redis::Pool,
    bells: Bells,
    client: redis::Client,
    /// None: the primary's word is enough.
    replicas: Option<Replicas>,
    shared: Arc<Shared>,
    /// The way to the primary that the Sentinels name; none: the address is Redis's own.
    _relay: Option<Arc<sentinel::Relay>>,
    /// Watches whether Redis is the one that it was; ends with the last clone that has it.
    _watch: Option<Arc<JoinSet<()>>>,
}

struct Shared {
    settings: Settings,
    /// MiB of answers with stored texts that may be on their way over the shared connection.
    answers: Semaphore,
    keys: Keys,
    /// What tests add to Redis's clock, ms.
    clock_offset: AtomicI64,
    /// Milliseconds after `opened` at which Redis last answered.
    answered_at: AtomicU64,
    opened: Instant,
    /// Where the next walk over the partitions starts, so that none is always first.
    turn: AtomicU64,
    /// The live end of the log, once somebody reads it.
    tail: log::TailCell,
    /// Rings when the log has grown.
    log_bell: Arc<tokio::sync::Notify>,
    watch: watch::Watch,
    health: health::Health,
}

impl Shared {
    async fn evaluate<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        script: &Script,
        partition: Partition,
        actor: &str,
        args: &Cmd,
        is_again: bool,
    ) -> redis::RedisResult<T> {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        let call = |command: &str, body: &str| {
            let mut cmd = redis::cmd(command);
            cmd.arg(body).arg(1).arg(self.keys.prefix(partition));
            cmd.arg(offset).arg(actor).arg(self.settings.events_to_keep()).arg(u8::from(is_again));
            for arg in args.args_iter() {
                if let redis::Arg::Simple(bytes) = arg {
                    cmd.arg(bytes);
                }
            }
            cmd
        };
        match call("EVALSHA", &script.digest).query_async(connection).await {
            Err(error) if error.kind() == redis::ServerErrorKind::NoScript.into() => {
                // EVAL both runs and loads it.
                call("EVAL", &script.text).query_async(connection).await
            }
            answer => answer,
        }
    }
}

impl Store {
    /// Connects, and checks that the keyspace is one that this program may work on.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if Redis cannot be reached or takes no writes now, [`Error::Unusable`] if its version,
    /// its user's permissions or our settings do not do, [`Error::Layout`] if the keyspace was written with another
    /// number of partitions or by an incompatible version.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
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
            clock_offset: AtomicI64::new(0),
            answered_at: AtomicU64::new(0),
            opened: Instant::now(),
            turn: AtomicU64::new(0),
            tail: log::TailCell::default(),
            log_bell: Arc::default(),
            watch: watch::Watch::default(),
            health: health::Health::default(),
        });
        let is_awaited = shared.settings.wait_replicas > 0;
        let mut store = Self {
            hot: hot.clone(),
            cold,
            bells: Bells::start(client.clone(), keys, partitions, hot.moves()),
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

    /// The names of this deployment's keys and channels.
    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// The doorbells.
    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Every partition, each walk beginning at another one.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let count = u64::from(self.shared.settings.partitions);
        let first = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        (0..count).map(move |nth| Partition(((first + nth) % count) as u8))
    }

    /// The partition that `hash` falls into.
    pub fn partition_of(&self, hash: u64) -> Partition {
        Partition((hash % u64::from(self.shared.settings.partitions)) as u8)
    }

    /// Whether an id of `partition` can exist here.
    pub fn has(&self, partition: Partition) -> bool {
        u16::from(partition.0) < self.shared.settings.partitions
    }

    /// Moves the clock that this store's scripts see; for tests of leases, deadlines and retention.
    pub fn advance(&self, by: Duration) {
        self.shared.clock_offset.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    /// How long ago Redis last answered.
    pub fn last_answer(&self) -> Duration {
        let at = Duration::from_millis(self.shared.answered_at.load(Ordering::Relaxed));
        self.shared.opened.elapsed().saturating_sub(at)
    }

    /// One round trip that writes nothing; returns the store's time in ms.
    pub async fn now(&self) -> Result<u64, Error> {
        let mut cmd = redis::cmd("TIME");
        let (seconds, micros): (u64, u64) = self.query("time", &mut cmd).await?;
        let offset = self.shared.clock_offset.load(Ordering::Relaxed);
        Ok((seconds * 1000 + micros / 1000).saturating_add_signed(offset))
    }

    /// Runs a script in one partition.
    ///
    /// A call whose connection broke is sent again, marked as such: whether the first one ran is unknown,
    /// and the scripts find out.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        partition: Partition,
        actor: &str,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut connection = self.hot.clone();
        let (mut repeats, mut doubt) = (0, None);
        loop {
            let call =
                self.shared.evaluate(&mut connection, script, partition, actor, &args, repeats > 0);
            let answer = call.await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                self.shared.health.note(script.name, &answer);
                // That nobody is there now does not say that the first call did not run.
                return self.heard(script.name, answer.map_err(|error| doubt.unwrap_or(error)));
            };
            doubt = doubt.or(answer.err().filter(|error| !error.is_connection_refusal()));
            tokio::time::sleep(pause).await;
        }
    }

    /// Room for an answer of up to `bytes`, for as long as it is kept: until the answer is read.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if there is none within the time that an answer may take.
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

    /// Runs a script that also writes into the audit log, and so wants to know who calls, and from where.
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

    /// Runs a script that answers at length, over the pool.
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
        self.heard(script.name, answer)
    }

    async fn cold_connection(
        &self,
        operation: &'static str,
    ) -> Result<deadpool_redis::Connection, Error> {
        self.cold.get().await.map_err(|source| Error::NoConnection { operation, source })
    }

    /// One command that is safe to repeat.
    async fn query<T: FromRedisValue>(
        &self,
        operation: &'static str,
        cmd: &mut Cmd,
    ) -> Result<T, Error> {
        let (mut connection, mut repeats) = (self.hot.clone(), 0);
        loop {
            let answer = cmd.query_async(&mut connection).await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                return self.heard(operation, answer);
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Several commands in one round trip, each safe to repeat.
    async fn query_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        pipe: &redis::Pipeline,
    ) -> Result<T, Error> {
        let (mut connection, mut repeats) = (self.hot.clone(), 0);
        loop {
            let answer = pipe.query_async(&mut connection).await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                return self.heard(operation, answer);
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn heard<T>(&self, operation: &'static str, answer: redis::RedisResult<T>) -> Result<T, Error> {
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

/// How long to wait before a call is sent again, whose connection broke before the answer came; none: it is not.
fn pause_before_repeat<T>(answer: &redis::RedisResult<T>, repeats: &mut u32) -> Option<Duration> {
    let error = answer.as_ref().err()?;
    let is_broken = error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout());
    if !is_broken || *repeats >= REPEATS {
        return None;
    }
    *repeats += 1;
    // Nobody there: spread out, so that a Redis that comes back is not met by everybody at once. A connection that
    // was only cut is replaced at once, before the new one is cut too.
    let is_away = error.is_connection_refusal();
    Some(Duration::from_millis(if is_away {
        fastrand::u64(10..40) << *repeats
    } else {
        fastrand::u64(0..4)
    }))
}

/// The arguments of a script, from `ARGV[5]` on. A bare command: only its arguments are used.
fn args() -> Cmd {
    Cmd::new()
}
