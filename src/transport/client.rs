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

/// The longest wait between two attempts to reconnect.
const RECONNECT_CAP: Duration = Duration::from_secs(2);

/// How many different reasons are logged while the connection is lost.
const REASONS_MAX: usize = 8;

/// Why NATS cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant is")]
pub enum Error {
    #[error("cannot read the file of `nats.credentials_file`")]
    Credentials(#[source] std::io::Error),
    #[error("`nats.url`: {0}")]
    Url(&'static str),
    #[error("cannot connect to NATS")]
    Connect(#[source] async_nats::ConnectError),
    #[error("NATS is disconnected")]
    Disconnected,
    #[error("cannot use the JetStream stream `{stream}`")]
    Stream { stream: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the JetStream stream `{stream}` does not take `{subjects}`; add that to its subjects")]
    WrongStream { stream: String, subjects: String },
    /// NATS did not accept a message, or did not acknowledge it in time.
    #[error("NATS did not accept an event")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot answer requests over NATS")]
    Service(#[source] async_nats::Error),
}

/// Logs what happens to a connection. A lasting fault is logged once, though every attempt to
/// reconnect meets it again.
fn log_events() -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
    let logged = Mutex::new(BTreeSet::new());
    move |event| {
        let mut logged = logged.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                logged.clear();
                tracing::info!("NATS connected");
            }
            Event::Disconnected => tracing::warn!("NATS disconnected, reconnecting"),
            Event::ClientError(_) | Event::ServerError(_) => {
                let error = event.to_string();
                if logged.len() < REASONS_MAX && logged.insert(error.clone()) {
                    tracing::warn!(error, "NATS error, retrying");
                }
            }
            other => tracing::debug!(event = %other, "NATS connection event"),
        }
        ready(())
    }
}

/// Returns a connection that reconnects without end. It is no error that NATS cannot be reached
/// yet.
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
