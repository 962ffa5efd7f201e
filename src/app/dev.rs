//! `orchestrator dev` and `orchestrator demo`: everything in one process on this machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Error, INTERRUPTED, Roles, Running, say};
use crate::cli::{self, banner};
use crate::demo;
use crate::domain::principal::Role;
use crate::domain::text::hex;
use crate::runtime::redis_server::{Options, RedisServer};
use crate::runtime::secret::Secret;
use crate::settings::Settings;

/// The name of the new key in timelines and logs.
const KEY_NAME: &str = "dev_admin";

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
    /// The admin key, which is new in every run.
    key: String,
}

impl Dev {
    /// Starts both with the given settings, except that the gateway listens on 127.0.0.1 and
    /// accepts one more admin key. If the settings name no store, a private one starts, which keeps
    /// its data in `dir`, or else in memory.
    ///
    /// Returns `None` if `stop` was cancelled while it waited for the store.
    async fn start(
        dir: Option<PathBuf>,
        mut settings: Settings,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        let key = add_key(&mut settings, KEY_NAME, Role::Admin)?;
        settings.http.http.host = Ipv4Addr::LOCALHOST.to_string();
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
        Ok(Some(Self { running, redis, store, url, key }))
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
    let ended = during(Some(options.data.clone()), settings, stop, async |dev| {
        say(&banner::text(&dev.url, &dev.key, &dev.store))?;
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
        keys.insert(name, add_key(&mut settings, name, role)?);
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

/// Adds a new key of this name and role to the settings, and returns it.
fn add_key(settings: &mut Settings, name: &str, role: Role) -> Result<String, Error> {
    let key = fresh_key()?;
    let entry = Secret::new(format!("{key}:{}", role.as_str()));
    settings.http.auth.api_keys.insert(name.to_owned(), entry);
    Ok(key)
}

/// Returns a new random key of 192 bits, in hexadecimal.
fn fresh_key() -> Result<String, Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_key_is_different() {
        let key = fresh_key().unwrap();

        assert_eq!(key.len(), 48);
        assert_ne!(key, fresh_key().unwrap());
    }
}
