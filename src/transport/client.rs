//! The connection to NATS.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

use super::Settings;
use super::servers::Servers;

/// How long connecting to one server may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The longest wait between two attempts to come back.
const RECONNECT_CAP: Duration = Duration::from_secs(2);

/// How many reasons of one absence are logged.
const REASONS_MAX: usize = 8;

/// Why NATS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials cannot be read.
    #[error("cannot read the file of `nats.credentials_file`")]
    Credentials(#[source] std::io::Error),
    /// The URL cannot be used.
    #[error("`nats.url`: {0}")]
    Url(&'static str),
    /// A setting is refused.
    #[error("cannot connect to NATS")]
    Connect(#[source] async_nats::ConnectError),
    /// There is no connection now.
    #[error("NATS is away")]
    Away,
    /// The stream cannot be created or read.
    #[error("cannot use the JetStream stream `{stream}`")]
    Stream {
        /// Its name.
        stream: String,
        /// What the server said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stream is there, but is not what the bridge needs.
    #[error("the JetStream stream `{stream}` does not take `{subjects}`; add that to its subjects")]
    WrongStream {
        /// Its name.
        stream: String,
        /// What it must take.
        subjects: String,
    },
    /// A message was not taken, or not acknowledged in time.
    #[error("NATS did not take an event")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service could not be started.
    #[error("cannot answer requests over NATS")]
    Service(#[source] async_nats::Error),
}

/// Logs what happens to a connection, a fault that lasts once: it is met again with every attempt to come back.
fn log_events() -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
    let said = Mutex::new(BTreeSet::new());
    move |event| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                said.clear();
                tracing::info!("NATS is connected");
            }
            Event::Disconnected => tracing::warn!("NATS is away"),
            Event::ClientError(_) | Event::ServerError(_) => {
                let error = event.to_string();
                if said.len() < REASONS_MAX && said.insert(error.clone()) {
                    tracing::warn!(error, "NATS refuses, or cannot be reached");
                }
            }
            other => tracing::debug!(event = %other, "NATS"),
        }
        ready(())
    }
}

/// A connection that comes back by itself, for ever; NATS need not be there yet.
///
/// # Errors
///
/// If the settings cannot be used. That NATS is away is none.
pub async fn connect(settings: &Settings) -> Result<Client, Error> {
    let mut options = ConnectOptions::new()
        .name("orchestrator")
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_LIMIT)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 << attempts.min(6))
                .min(RECONNECT_CAP)
                .mul_f64(0.5 + fastrand::f64() / 2.0)
        })
        .event_callback(log_events());
    if !settings.token.expose().is_empty() {
        options = options.token(settings.token.expose().to_owned());
    }
    if !settings.user.is_empty() {
        options =
            options.user_and_password(settings.user.clone(), settings.password.expose().to_owned());
    }
    if !settings.nkey_seed.expose().is_empty() {
        options = options.nkey(settings.nkey_seed.expose().to_owned());
    }
    if !settings.credentials_file.is_empty() {
        let text =
            std::fs::read_to_string(&settings.credentials_file).map_err(Error::Credentials)?;
        options = options.credentials(&text).map_err(Error::Credentials)?;
    }
    if !settings.tls_ca_file.is_empty() {
        options = options.add_root_certificates((&settings.tls_ca_file).into());
    }
    if !settings.tls_cert_file.is_empty() {
        options = options.add_client_certificate(
            (&settings.tls_cert_file).into(),
            (&settings.tls_key_file).into(),
        );
    }
    let servers = Servers::read(settings).map_err(Error::Url)?;
    options = match (servers.user, servers.password) {
        (Some(user), Some(password)) => options.user_and_password(user, password),
        (Some(token), None) => options.token(token),
        (None, _) => options,
    };
    options.connect(servers.urls).await.map_err(Error::Connect)
}
