//! `orchestrator dev`: everything in one process on this machine. The demo starts here too.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Error, Roles, Running, say};
use crate::cli::{self, banner};
use crate::domain::text::hex;
use crate::runtime::redis_server::{Options, RedisServer};
use crate::runtime::secret::Secret;
use crate::settings::Settings;

/// The name of the new key in timelines and logs.
const KEY_NAME: &str = "dev_admin";

/// How long the private Redis may take to write its data at the stop.
const REDIS_GRACE: Duration = Duration::from_secs(10);

/// Which store an all-in-one process uses.
#[derive(Clone, Debug)]
pub enum Home {
    /// The store that the settings name, or else a private one that keeps its data in this
    /// directory.
    NamedOr(PathBuf),
    /// A private store in memory, which leaves nothing on disk.
    Memory,
}

/// A gateway and a worker in this process, for callers on this machine only.
pub struct Dev {
    running: Running,
    redis: Option<RedisServer>,
    store: String,
    address: SocketAddr,
    key: String,
}

impl Dev {
    /// Starts both with the given settings, except that the gateway listens on 127.0.0.1 and
    /// accepts one more admin key.
    ///
    /// Returns `None` if `stop` was cancelled while it waited for the store.
    ///
    /// # Errors
    ///
    /// Returns an error if no store can be used, or if the port is taken.
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

    /// Returns the address of the gateway, such as `http://127.0.0.1:8000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the admin key, which is new in every run.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the running parts, so that the caller can wait for them.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Stops all parts in order, the private Redis last.
    ///
    /// # Errors
    ///
    /// Returns an error if the private Redis cannot be watched while it stops.
    pub async fn finish(self) -> Result<(), Error> {
        self.running.finish().await;
        match self.redis {
            Some(redis) => Ok(redis.stop(REDIS_GRACE).await?),
            None => Ok(()),
        }
    }
}

/// Starts a gateway and a worker, runs `work` with them, and stops them in order whether it
/// succeeded or not.
///
/// Returns `None` if `stop` was cancelled first.
///
/// # Errors
///
/// Returns an error if a part cannot be started or stopped.
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

/// Runs a gateway and a worker until `stop` is cancelled.
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
    // A process group of its own, so that Ctrl-C does not end it while requests drain.
    let options = Options { dir, has_own_group: true, ..Options::default() };
    Ok(RedisServer::start(&options).await?)
}

fn describe(home: &Home) -> String {
    match home {
        Home::NamedOr(dir) => format!("a private Redis, data in {}", dir.display()),
        Home::Memory => "a private Redis in memory".to_owned(),
    }
}

/// Returns a new random key of 192 bits, in hexadecimal.
pub(super) fn fresh_key() -> Result<String, Error> {
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
