//! The composition root: settings → store → engine → roles, and the stop in the opposite order.
//!
//! Every process is a [`Running`]: a gateway, a worker, or both over one engine.

pub mod bridge;
mod dev;
mod dev_keys;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::bench;
use crate::cli::user::output::Form;
use crate::cli::{self, Command};
use crate::domain::name::Name;
use crate::engine::{self, Engine};
use crate::http::{self, Gateway, openapi};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;
use crate::runtime::redis_server;
use crate::runtime::signal::{self, Stop};
use crate::runtime::telemetry;
use crate::settings::Settings;
use crate::store::{self, Store};
use crate::transport;
use crate::workers::{self, Supervisor};

/// How long the last steps of the background duties may take at the stop: more than one answer of a
/// slow store.
const WORKER_GRACE: Duration = Duration::from_secs(5);

/// How long sending the last messages to NATS may take at the stop.
const NATS_GRACE: Duration = Duration::from_secs(2);

/// How long the check of the approvers of pending approvals may take at the start.
const LOOK: Duration = Duration::from_secs(10);

/// How much longer than its own grace period a gateway may take before the process ends without it.
const GATEWAY_SLACK: Duration = Duration::from_secs(1);

/// The exit code after a second signal to stop, as shells count it.
const INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error("cannot start the log")]
    Log(#[from] telemetry::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
    #[error("cannot make a random key")]
    Random(#[source] getrandom::Error),
    #[error("cannot keep the keys in {}", path.display())]
    Keys { path: PathBuf, source: io::Error },
    #[error("cannot run a private Redis")]
    PrivateRedis(#[from] redis_server::Error),
    #[error("cannot use the store")]
    Store(#[source] engine::Error),
    #[error("cannot start the gateway")]
    Bind(#[from] http::Error),
    #[error("no NATS server is configured: set `nats.url` (NATS_URL)")]
    NoNats,
    #[error("cannot use NATS")]
    Nats(#[from] transport::Error),
    #[error("the gateway failed")]
    Gateway(#[source] io::Error),
    #[error("the demo failed")]
    Demo(#[from] crate::demo::Error),
    #[error("the benchmark failed")]
    Bench(#[from] bench::Error),
}

impl Error {
    /// Whether the reader of the output has gone, as in `orchestrator settings | head`.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command of the command line. Findings of the doctor are not an error, but give the exit
/// code 1.
pub async fn run(command: Command, settings: Settings) -> Result<ExitCode, Error> {
    match command {
        Command::Settings { output } => {
            let rows = settings.all();
            let text = output.of_rows(&rows, |row| &row.key, || settings.shown());
            say(&text.map_err(|error| Error::Output(error.into()))?)
        }
        Command::Openapi { yaml: true } => say(&openapi::yaml()),
        Command::Openapi { yaml: false } => say(&format!("{:#}\n", openapi::document())),
        Command::Doctor { repair, data, output } => {
            check(beside_dev(settings, &data), repair, output).await
        }
        Command::Upgrade => upgrade(&settings).await,
        Command::FirstKey { name, identity } => first_key(&settings, name, identity).await,
        Command::Gateway => serve(&settings, Roles { gateway: true, ..Roles::default() }).await,
        Command::Worker => serve(&settings, Roles { worker: true, ..Roles::default() }).await,
        Command::Bridge => serve(&settings, Roles { bridge: true, ..Roles::default() }).await,
        Command::Dev(options) => {
            let log = settings.log.clone();
            until_stopped(&log, async |stop| dev::run(&options, settings, stop).await).await
        }
        Command::Demo => {
            let log = quiet_log(&settings, "warn");
            until_stopped(&log, async |stop| dev::demo(settings, stop).await).await
        }
        Command::Bench(options) => {
            let log = quiet_log(&settings, "error");
            until_stopped(&log, async |stop| measure(&options, stop).await).await
        }
    }
}

/// The roles of one process; at least one is set.
#[derive(Clone, Copy, Default)]
struct Roles {
    /// Whether the process serves the HTTP API.
    gateway: bool,
    /// Whether the process runs the background duties.
    worker: bool,
    /// Whether the process publishes events to NATS and answers requests from there.
    bridge: bool,
}

async fn serve(settings: &Settings, roles: Roles) -> Result<ExitCode, Error> {
    if roles.bridge && !settings.nats.is_on() {
        return Err(Error::NoNats);
    }
    until_stopped(&settings.log, async |stop| {
        let Some(mut running) = Running::start(settings, roles, stop).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        let ended = running.until(stop).await;
        running.finish().await;
        ended
    })
    .await
}

/// Starts the log and listens for signals, then runs `work`, which must end soon after the first
/// signal. A second one drops it.
async fn until_stopped(
    log: &telemetry::Settings,
    work: impl AsyncFnOnce(&CancellationToken) -> Result<ExitCode, Error>,
) -> Result<ExitCode, Error> {
    telemetry::start(log)?;
    let Stop { in_order, at_once } = signal::listen().map_err(Error::Signals)?;
    tokio::select! {
        done = work(&in_order) => done,
        () = at_once.cancelled() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// The log settings of a command with its own output: nothing below `level`, unless the settings
/// name a level.
fn quiet_log(settings: &Settings, level: &str) -> telemetry::Settings {
    let mut log = settings.log.clone();
    if !settings.names("log.level") {
        log.level = level.to_owned();
    }
    log
}

/// The parts of a running process, which [`Running::finish`] stops in order.
struct Running {
    engine: Engine,
    gateway: JoinSet<io::Result<()>>,
    /// The task that answers requests over NATS.
    nats: JoinSet<()>,
    nats_client: Option<transport::Client>,
    /// The address of the gateway. `None` if this process has none.
    address: Option<SocketAddr>,
    supervisor: Supervisor,
    stop: CancellationToken,
    drain: Duration,
    gateway_grace: Duration,
}

impl Running {
    /// Waits for the store, then starts `roles` over it. Returns `None` if `stop` ended the wait.
    async fn start(
        settings: &Settings,
        roles: Roles,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        let Some(engine) = open_engine(settings, stop).await? else { return Ok(None) };
        let http = &settings.http.http;
        let drain = Duration::from_millis(http.drain_ms);
        let mut running = Self {
            engine: engine.clone(),
            gateway: JoinSet::new(),
            nats: JoinSet::new(),
            nats_client: None,
            address: None,
            supervisor: Supervisor::default(),
            stop: stop.child_token(),
            drain,
            gateway_grace: drain + Duration::from_millis(http.grace_ms) + GATEWAY_SLACK,
        };
        if roles.gateway {
            let gateway =
                Gateway::bind(engine.clone(), &settings.http, running.stop.clone()).await?;
            let address = gateway.address();
            tracing::info!(%address, tls = gateway.is_tls(), "the gateway listens");
            if let Some(address) = gateway.metrics_address() {
                tracing::info!(%address, "the metrics are served");
            }
            running.address = Some(gateway.address());
            running.gateway.spawn(gateway.serve());
            match timeout(LOOK, engine.warn_of_unreachable()).await {
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "cannot check the approvers")
                }
                Err(_) => tracing::warn!("check of the approvers takes too long, skipped"),
                Ok(Ok(())) => {}
            }
        }
        if roles.worker {
            workers::start_all(&running.supervisor, &engine);
            tracing::info!("the worker runs");
        }
        if roles.bridge {
            bridge::start(&mut running, settings).await?;
        }
        Ok(Some(running))
    }

    /// Waits until `stop` is cancelled, or until the gateway ends on its own or fails.
    async fn until(&mut self, stop: &CancellationToken) -> Result<ExitCode, Error> {
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.gateway.join_next() => {
                ended.unwrap_or_else(|error| Err(error.into())).map_err(Error::Gateway)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Stops everything in order: readiness fails, waits and streams end, requests drain, duties
    /// stop. Senders stop before receivers. Parts that do not end in time are logged and dropped,
    /// which leases make safe.
    async fn finish(mut self) {
        self.stop.cancel();
        if !self.gateway.is_empty() {
            // Long-polls continue until load balancers choose other gateways: clients would repeat
            // them at once.
            sleep(self.drain).await;
        }
        self.engine.stop().cancel();
        match timeout(self.gateway_grace, self.gateway.join_next()).await {
            Ok(Some(Ok(Err(error)))) => {
                tracing::warn!(error = %Chain(&error), "gateway stopped with an error")
            }
            Ok(Some(Err(error))) => {
                tracing::error!(error = %Chain(&error), "gateway stopped with a panic")
            }
            Ok(None | Some(Ok(Ok(())))) => {}
            Err(_) => tracing::warn!("gateway did not end in time, dropped"),
        }
        if timeout(self.gateway_grace, self.nats.join_next()).await.is_err() {
            tracing::warn!("requests over NATS did not end in time, dropped");
        }
        self.supervisor.finish(WORKER_GRACE).await;
        if let Some(client) = self.nats_client
            && timeout(NATS_GRACE, client.drain()).await.is_err()
        {
            tracing::debug!("NATS did not drain in time");
        }
        self.engine.store().notifier().close();
        tracing::info!("stopped");
    }
}

/// Connects to the store, however long it takes, and logs once what it waits for. Returns `None` if
/// `stop` came first.
async fn open_engine(
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<Option<Engine>, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match connect(settings).await {
            Ok(engine) => {
                if backoff.failures() > 0 {
                    tracing::info!("store connected");
                }
                return Ok(Some(engine));
            }
            Err(error @ (engine::Error::Unavailable(_) | engine::Error::Moving(_)))
                if backoff.failures() == 0 =>
            {
                let url = &settings.store.url;
                tracing::warn!(store.url = %url, error = %Chain(&error), "waiting for the store");
            }
            Err(engine::Error::Unavailable(_) | engine::Error::Moving(_)) => {}
            Err(other) => return Err(Error::Store(other)),
        }
        if stop.run_until_cancelled(sleep(backoff.next_wait())).await.is_none() {
            return Ok(None);
        }
    }
}

/// Connects to the store once and starts the use cases over it.
async fn connect(settings: &Settings) -> Result<Engine, engine::Error> {
    let store = store::Settings {
        events_kept: settings.engine.retention.events,
        events_bytes: settings.engine.retention.events_bytes,
        ..settings.store.clone()
    };
    let store = Store::open(store).await?;
    // A stop token of its own, because waits end only after the drain: see `Running::finish`.
    Ok(Engine::new(store, settings.engine.clone(), CancellationToken::new()))
}

/// If the settings name no store, and a `dev` runs over the private Redis of this directory, returns
/// the settings with that one.
fn beside_dev(mut settings: Settings, data: &Path) -> Settings {
    if !settings.names("store.url")
        && let Some(url) = redis_server::running_in(data)
    {
        settings.store.url = url.into();
    }
    settings
}

/// Runs the doctor once, without waiting for the store. The log names repairs too.
async fn check(settings: Settings, is_repair: bool, form: Form) -> Result<ExitCode, Error> {
    telemetry::start(&settings.log)?;
    let engine = connect(&settings).await.map_err(Error::Store)?;
    let diagnosis = engine.diagnosis(is_repair).await.map_err(Error::Store)?;
    let findings = &diagnosis.findings;
    let rows = cli::doctor::rows(findings);
    let text = form.of_rows(&rows, |row| &row.subject, || cli::doctor::diagnosis(&diagnosis));
    say(&text.map_err(|error| Error::Output(error.into()))?)?;
    let is_sound = findings.iter().all(cli::doctor::is_repaired);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Converts the store to the layout of this version.
async fn upgrade(settings: &Settings) -> Result<ExitCode, Error> {
    telemetry::start(&settings.log)?;
    let done = store::upgrade(&settings.store).await;
    let done = done.map_err(|error| Error::Store(error.into()))?;
    say(&cli::upgrade::text(&done))?;
    Ok(if cli::upgrade::is_clean(&done) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates the first admin key of the store and prints its secret.
async fn first_key(
    settings: &Settings,
    name: Name,
    identity: Option<String>,
) -> Result<ExitCode, Error> {
    telemetry::start(&quiet_log(settings, "warn"))?;
    let engine = connect(settings).await.map_err(Error::Store)?;
    let (_, secret) = engine.create_first_key(name, identity).await.map_err(Error::Store)?;
    say(&format!("{}\n", secret.expose()))
}

/// Runs the benchmarks, each over an engine with the default settings, until they are done or
/// `stop` is cancelled, which ends the processes that they started.
async fn measure(options: &bench::Options, stop: &CancellationToken) -> Result<ExitCode, Error> {
    let open: bench::Open = Box::new(|url, partitions| {
        Box::pin(async move {
            let partitions = ("ORCHESTRATOR__STORE__PARTITIONS".to_owned(), partitions.to_string());
            let settings = Settings::read(None, &vec![("REDIS_URL".to_owned(), url), partitions])
                .map_err(|error| engine::Error::Corrupt(Box::new(error)))?;
            connect(&settings).await
        })
    });
    match stop.run_until_cancelled(bench::run(options, open)).await {
        Some(done) => Ok(done.map(|()| ExitCode::SUCCESS)?),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// Writes `text` to the standard output, for a command that this completes.
fn say(text: &str) -> Result<ExitCode, Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}
