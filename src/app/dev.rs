//! `orchestrator dev` and `orchestrator demo`: everything in one process on this machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dev_keys::{Keys, add_key, fresh_key};
use super::{Error, INTERRUPTED, Roles, Running, say};
use crate::cli;
use crate::cli::banner::Banner;
use crate::demo;
use crate::http::Http;
use crate::runtime::redis_server::{Options, RedisServer};
use crate::settings::Settings;

/// How long the private Redis may take to write its data at the stop.
const REDIS_GRACE: Duration = Duration::from_secs(10);

/// A gateway and a worker in this process, for callers on this machine only.
struct Dev {
    running: Running,
    redis: Option<RedisServer>,
    /// What the store is, in words.
    store: String,
    /// The address of the gateway, such as `http://127.0.0.1:8000`.
    url: String,
}

impl Dev {
    /// Starts both with the given settings, except that the gateway listens on 127.0.0.1 and speaks
    /// plain HTTP, so that what is printed and handed out fits any settings. If the
    /// settings name no store, a private one starts, which keeps its data in `dir`, or else in
    /// memory.
    ///
    /// Returns `None` if `stop` was cancelled while it waited for the store.
    async fn start(
        dir: Option<PathBuf>,
        mut settings: Settings,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        settings.http.http = Http {
            host: Ipv4Addr::LOCALHOST.to_string(),
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            tls_client_ca_file: String::new(),
            ..settings.http.http
        };
        let mut store = settings.store.url.to_string();
        let mut redis = None;
        if !settings.names("store.url") {
            store = dir.as_ref().map_or("a private Redis in memory".to_owned(), |dir| {
                format!("a private Redis, data in {}", dir.display())
            });
            // A process group of its own, so that Ctrl-C does not end it while requests drain.
            let options = Options { dir, has_own_group: true, ..Options::default() };
            let server = RedisServer::start(&options).await?;
            settings.store.url = server.url().into();
            redis = Some(server);
        }
        let roles = Roles { gateway: true, worker: true, bridge: settings.nats.is_on() };
        let Some(running) = Running::start(&settings, roles, stop).await? else { return Ok(None) };
        let configured = (Ipv4Addr::LOCALHOST, settings.http.http.port).into();
        let url = format!("http://{}", running.address.unwrap_or(configured));
        Ok(Some(Self { running, redis, store, url }))
    }
}

/// Starts a gateway and a worker, runs `work` with them, and stops them in order whether it
/// succeeded or not, the private Redis last.
///
/// Returns `None` if `stop` was cancelled first.
async fn during<T>(
    dir: Option<PathBuf>,
    settings: Settings,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&mut Dev) -> T,
) -> Result<Option<T>, Error> {
    let Some(mut dev) = Dev::start(dir, settings, stop).await? else { return Ok(None) };
    let done = tokio::select! {
        done = work(&mut dev) => Some(done),
        () = stop.cancelled() => None,
    };
    dev.running.finish().await;
    if let Some(redis) = dev.redis {
        redis.stop(REDIS_GRACE).await?;
    }
    Ok(done)
}

/// Runs a gateway and a worker until `stop` is cancelled.
pub(super) async fn run(
    options: &cli::Dev,
    mut settings: Settings,
    stop: &CancellationToken,
) -> Result<ExitCode, Error> {
    if let Some(port) = options.port {
        settings.http.http.port = port;
    }
    let keys = Keys::of(&options.data)?;
    keys.add_to(&mut settings);
    let program = std::env::args().next().unwrap_or_else(|| "orchestrator".to_owned());
    let ended = during(Some(options.data.clone()), settings, stop, async |dev| {
        let has_contexts = !options.no_contexts && keys.add_contexts(&dev.url);
        let banner = Banner {
            url: &dev.url,
            keys: &keys.0,
            store: &dev.store,
            program: &program,
            has_contexts,
        };
        say(&banner.text())?;
        dev.running.until(stop).await
    });
    ended.await?.unwrap_or(Ok(ExitCode::SUCCESS))
}

/// Runs the story of `orchestrator demo`. The exit code is a failure unless every task of it was
/// completed.
pub(super) async fn demo(
    mut settings: Settings,
    stop: &CancellationToken,
) -> Result<ExitCode, Error> {
    let mut keys = BTreeMap::new();
    for (name, role) in demo::CAST {
        let key = fresh_key()?;
        add_key(&mut settings, name, role, &key);
        keys.insert(name, key);
    }
    settings.http.http.port = 0;
    // Nothing is kept, so a store on disk is used only if the settings name one.
    let story = during(None, settings, stop, async |dev| {
        demo::run(&dev.url, |name| keys.get(name).cloned().unwrap_or_default()).await
    });
    match story.await? {
        Some(Ok(true)) => Ok(ExitCode::SUCCESS),
        Some(Ok(false)) => Ok(ExitCode::FAILURE),
        Some(Err(error)) => Err(error.into()),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}
