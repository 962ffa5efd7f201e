//! The setup for one figure: an empty store, an engine over it, and, where needed, a gateway and a
//! worker as processes of their own, so that the CPU time of each is known.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::figure::Pace;
use super::wire::Wire;
use super::{Error, Open};
use crate::cli::client::Client;
use crate::engine::Engine;
use crate::runtime::process;
use crate::runtime::redis_server::{Options, RedisServer};
use crate::store::RedisUsage;

/// How long a child process may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The interval at which a starting child process is checked.
const POLL: Duration = Duration::from_millis(5);

/// How long a child process may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Creates a setup for each figure, over the given Redis or over private ones.
pub(super) struct Setups {
    pub(super) redis_url: Option<String>,
    pub(super) partitions: u16,
    pub(super) open: Open,
}

/// An empty store, and the processes that run over it.
pub(super) struct Setup {
    /// The private Redis; `None` if a Redis was given.
    redis: Option<RedisServer>,
    url: String,
    pub(super) engine: Engine,
    fleet: Option<Fleet>,
}

/// A gateway and a worker as child processes.
pub(super) struct Fleet {
    gateway: Child,
    worker: Child,
    pub(super) address: SocketAddr,
    key: String,
    /// The time from the start of the gateway's process until it was ready.
    pub(super) ready_in: Duration,
}

/// The resources that the processes of a setup have used since their start.
pub(super) struct Usage {
    pub(super) at: Instant,
    pub(super) redis: RedisUsage,
    pub(super) gateway: Duration,
    pub(super) worker: Duration,
    pub(super) load: Duration,
}

impl Setups {
    /// Creates an empty store with an engine over it.
    pub(super) async fn store(&self) -> Result<Setup, Error> {
        let (redis, url) = match &self.redis_url {
            Some(url) => (None, url.clone()),
            None => {
                let options = Options { has_own_group: true, ..Options::default() };
                let redis = RedisServer::start(&options).await?;
                let url = redis.url();
                (Some(redis), url)
            }
        };
        let engine = (self.open)(url.clone(), self.partitions).await?;
        if !engine.store().is_empty().await? {
            return Err(Error::NotEmpty);
        }
        Ok(Setup { redis, url, engine, fleet: None })
    }

    /// Creates an empty store with an engine, a gateway and a worker over it.
    pub(super) async fn fleet(&self) -> Result<Setup, Error> {
        let mut setup = self.store().await?;
        setup.fleet = Some(Fleet::start(&setup.url, self.partitions).await?);
        Ok(setup)
    }
}

impl Setup {
    pub(super) fn fleet(&self) -> Result<&Fleet, Error> {
        self.fleet.as_ref().ok_or(Error::NotReady)
    }

    /// Returns the resources used so far.
    pub(super) async fn usage(&self) -> Result<Usage, Error> {
        let fleet = self.fleet.as_ref();
        Ok(Usage {
            at: Instant::now(),
            redis: self.engine.store().spent().await?,
            gateway: fleet.map(|fleet| cpu_time(&fleet.gateway)).unwrap_or_default(),
            worker: fleet.map(|fleet| cpu_time(&fleet.worker)).unwrap_or_default(),
            load: process::cpu_time(std::process::id()).unwrap_or_default(),
        })
    }

    /// Returns how many tasks wait in the subjects of all agents.
    pub(super) async fn depth(&self) -> Result<u64, Error> {
        Ok(self.engine.agents().await?.iter().map(|agent| agent.depth).sum())
    }

    /// Stops everything and leaves an empty store.
    pub(super) async fn end(self) -> Result<(), Error> {
        if let Some(fleet) = self.fleet {
            fleet.stop().await?;
        }
        if self.redis.is_none() {
            self.engine.store().wipe().await?;
        }
        self.engine.stop().cancel();
        // A private Redis has nothing to write: it is killed when it is dropped.
        Ok(())
    }
}

fn cpu_time(child: &Child) -> Duration {
    child.id().and_then(process::cpu_time).unwrap_or_default()
}

impl Usage {
    /// Returns the pace of `count` tasks since `before`, if the last one was done at `end`.
    pub(super) fn since(&self, before: &Self, end: Instant, count: u64) -> Pace {
        let each = |used: Duration| (used.as_micros() as f64 / count as f64 * 10.0).round() / 10.0;
        Pace {
            rate: count as f64 / end.duration_since(before.at).as_secs_f64(),
            redis_us: (self.redis.cpu_us - before.redis.cpu_us) as f64 / count as f64,
            gateway_us: each(self.gateway - before.gateway),
            worker_us: each(self.worker - before.worker),
            load_us: each(self.load - before.load),
        }
    }
}

impl Fleet {
    async fn start(redis_url: &str, partitions: u16) -> Result<Self, Error> {
        let key = format!("bench-{:032x}", fastrand::u128(..));
        // A local port on which no process listens at the moment.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let began = Instant::now();
        let store = (redis_url, partitions);
        let mut gateway = spawn("gateway", store, address, &key)?;
        let worker = spawn("worker", store, address, &key)?;
        let health =
            Client::new(&format!("http://{address}"), None).map_err(|_| Error::NotReady)?;
        while health.get::<serde_json::Value>("/health/ready").await.is_err() {
            let ended = gateway.try_wait();
            let ended = ended.map_err(|source| Error::Process { action: "watch", source })?;
            if ended.is_some() || began.elapsed() > START_LIMIT {
                return Err(Error::NotReady);
            }
            sleep(POLL).await;
        }
        Ok(Self { gateway, worker, address, key, ready_in: began.elapsed() })
    }

    /// Opens a new connection to the gateway.
    pub(super) async fn connect(&self) -> Result<Wire, Error> {
        Wire::connect(self.address, &self.key).await
    }

    /// Returns the resident memory of the gateway and the worker, in bytes.
    pub(super) fn resident_bytes(&self) -> [u64; 2] {
        [&self.gateway, &self.worker]
            .map(|child| child.id().and_then(process::resident_bytes).unwrap_or_default())
    }

    async fn stop(mut self) -> Result<(), Error> {
        for child in [&mut self.gateway, &mut self.worker] {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended on its own.
                let _ = kill_process(pid, Signal::TERM);
            }
            if timeout(GRACE, child.wait()).await.is_err() {
                child.kill().await.map_err(|source| Error::Process { action: "stop", source })?;
            }
        }
        Ok(())
    }
}

fn start_failed(source: std::io::Error) -> Error {
    Error::Process { action: "start", source }
}

/// Starts this program in another role, with the default settings.
fn spawn(
    role: &str,
    (redis_url, partitions): (&str, u16),
    address: SocketAddr,
    key: &str,
) -> Result<Child, Error> {
    let mut command = Command::new(std::env::current_exe().map_err(start_failed)?);
    command.arg(role).env_clear().kill_on_drop(true);
    command.env("REDIS_URL", redis_url).env("RUST_LOG", "warn");
    command.env("ORCHESTRATOR__STORE__PARTITIONS", partitions.to_string());
    command.env("ORCHESTRATOR__HTTP__HOST", address.ip().to_string());
    command.env("ORCHESTRATOR_PORT", address.port().to_string());
    command.env("ORCHESTRATOR_API_KEY_BENCH", format!("{key}:admin"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map_err(start_failed)
}
