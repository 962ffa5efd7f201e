//! What an operator can set about NATS: the section `[nats]`.

use std::path::PathBuf;

use serde::Deserialize;

/// How NATS is reached and used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `nats://` or `tls://`, several joined by commas; empty: no NATS.
    pub url: String,
    /// Whether events go into a JetStream stream where the server has JetStream. Without it a subscriber that is away
    /// misses what happens meanwhile.
    pub jetstream: bool,
    /// The stream's name.
    pub stream: String,
    /// For how long the stream keeps events, in milliseconds; only used when the bridge creates it.
    pub stream_max_age_ms: u64,
    /// Whether agents may call over NATS, and other systems submit tasks and publish events there.
    pub services: bool,
    /// A token; empty: none.
    pub token: String,
    /// A user; empty: none.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The seed of an nkey; empty: none.
    pub nkey_seed: String,
    /// A file with JWT and seed, as the NATS tools write it.
    pub credentials_file: Option<PathBuf>,
    /// A file of certificates (PEM) that the server's must be signed by, besides the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Our own certificate (PEM), should the server ask for one.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of it.
    pub tls_key_file: Option<PathBuf>,
}
