//! `orchestrator dev`: everything in one process on this machine. The demo and the bench start here too.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Error, Roles, Running, say};
use crate::cli::{self, banner};
use crate::runtime::redis_server::{Options, RedisServer};
use crate::runtime::secret::Secret;
use crate::settings::Settings;

/// What the fresh key is called in timelines and logs.
const KEY_NAME: &str = "dev_admin";

/// How long the private Redis may take to write what it has.
const REDIS_GRACE: Duration = Duration::from_secs(10);

/// Which store an all-in-one process is to use.
#[derive(Clone, Debug)]
pub enum Home {
    /// The one that the settings name, or else a private one that keeps its data in this directory.
    NamedOr(PathBuf),
    /// A private one in memory: nothing is left behind.
    Memory,
}

/// A gateway and a worker in this process, for callers on this machine.
pub struct Dev {
    running: Running,
    redis: Option<RedisServer>,
    store: String,
    address: SocketAddr,
    key: String,
}

impl Dev {
    /// Starts it with the settings given, except that it listens on 127.0.0.1 and knows one more admin key.
    ///
    /// None: `stop` was cancelled while it waited for the store.
    ///
    /// # Errors
    ///
    /// If there is no store to be had, or the port is taken.
    pub async fn start(
        home: &Home,
        mut settings: Settings,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        let key = fresh_key()?;
        settings.http.http.host = Ipv4Addr::LOCALHOST.to_string();
        settings
            .http
            .auth
            .api_keys
            .insert(KEY_NAME.to_owned(), Secret::new(format!("{key}:admin")));
        let redis = match home {
            Home::NamedOr(_) if settings.names_a_store() => None,
            Home::NamedOr(dir) => Some(private_redis(Some(dir.clone())).await?),
            Home::Memory => Some(private_redis(None).await?),
        };
        let mut store = settings.store.url.to_string();
        if let Some(redis) = &redis {
            settings.store.url = redis.url().into();
            store = describe(home);
        }
        let roles = Roles { gateway: true, worker: true, bridge: settings.nats.is_on() };
        let Some(running) = Running::start(&settings, roles, stop).await? else { return Ok(None) };
        let address = running
            .address()
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, settings.http.http.port).into());
        Ok(Some(Self { running, redis, store, address, key }))
    }

    /// Where it is, such as `http://127.0.0.1:8000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The admin key that only this run knows.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The parts that run.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Stops everything in order, the private Redis last.
    ///
    /// # Errors
    ///
    /// If the private Redis cannot be watched while it stops.
    pub async fn finish(self) -> Result<(), Error> {
        self.running.finish().await;
        match self.redis {
            Some(redis) => Ok(redis.stop(REDIS_GRACE).await?),
            None => Ok(()),
        }
    }
}

/// Starts it, does `work` with it, and stops it in order whatever came of the work.
///
/// None: `stop` was cancelled first.
///
/// # Errors
///
/// If it cannot be started or stopped.
pub async fn during<T>(
    home: &Home,
    settings: Settings,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&mut Dev) -> T,
) -> Result<Option<T>, Error> {
    let Some(mut dev) = Dev::start(home, settings, stop).await? else { return Ok(None) };
    let done = tokio::select! {
        done = work(&mut dev) => Some(done),
        () = stop.cancelled() => None,
    };
    dev.finish().await?;
    Ok(done)
}

/// Runs it until `stop`.
pub(super) async fn run(
    options: &cli::Dev,
    mut settings: Settings,
    stop: &CancellationToken,
) -> Result<(), Error> {
    if let Some(port) = options.port {
        settings.http.http.port = port;
    }
    let home = Home::NamedOr(options.data.clone());
    let ended = during(&home, settings, stop, async |dev| {
        say(&banner::text(&dev.url(), dev.key(), &dev.store))?;
        dev.running().until(stop).await
    });
    ended.await?.unwrap_or(Ok(()))
}

async fn private_redis(dir: Option<PathBuf>) -> Result<RedisServer, Error> {
    // Its own group: a Ctrl-C must not take it from under us while requests drain.
    let options = Options { dir, has_own_group: true, ..Options::default() };
    Ok(RedisServer::start(&options).await?)
}

fn describe(home: &Home) -> String {
    match home {
        Home::NamedOr(dir) => format!("a private Redis, data in {}", dir.display()),
        Home::Memory => "a private Redis in memory".to_owned(),
    }
}

/// A key that nobody can guess: 192 random bits.
pub(super) fn fresh_key() -> Result<String, Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_another_one() {
        let key = fresh_key().unwrap();

        assert_eq!(key.len(), 48);
        assert_ne!(key, fresh_key().unwrap());
    }
}
