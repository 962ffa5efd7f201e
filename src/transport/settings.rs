//! What an operator can set about NATS: the section `[nats]`.

use serde::Deserialize;

use crate::domain::name::Prefix;
use crate::runtime::address::Address;
use crate::runtime::secret::Secret;

/// How NATS is reached and used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `nats://` or `tls://`, several joined by commas; empty: no NATS.
    pub url: Address,
    /// What every subject begins with, and the name of the service: deployments that share one NATS differ in it.
    pub prefix: Prefix,
    /// Whether events go into a JetStream stream where the server has JetStream. Without it a subscriber that is away
    /// misses what happens meanwhile.
    pub jetstream: bool,
    /// The stream's name; empty: see [`Settings::stream_name`].
    pub stream: String,
    /// For how long the stream keeps events, in milliseconds; only used when the bridge creates it.
    pub stream_max_age_ms: u64,
    /// Whether agents may call over NATS, and other systems submit tasks and publish events there.
    pub services: bool,
    /// A token; empty: none.
    pub token: Secret,
    /// A user; empty: none.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// The seed of an nkey; empty: none.
    pub nkey_seed: Secret,
    /// A file with JWT and seed, as the NATS tools write it; empty: none.
    pub credentials_file: String,
    /// A file of certificates (PEM) that the server's must be signed by, besides the system's; empty: none.
    pub tls_ca_file: String,
    /// Our own certificate (PEM), should the server ask for one; empty: none.
    pub tls_cert_file: String,
    /// The key of it; empty: none.
    pub tls_key_file: String,
}

impl Settings {
    /// The stream's name: as set, or else the prefix in capitals and `_EVENTS`.
    pub fn stream_name(&self) -> String {
        if self.stream.is_empty() {
            return format!("{}_EVENTS", self.prefix.as_str().to_ascii_uppercase());
        }
        self.stream.clone()
    }

    /// What the subjects of events begin with.
    pub fn events(&self) -> String {
        format!("{}.events.", self.prefix)
    }

    /// Whether NATS is wanted at all.
    pub fn is_on(&self) -> bool {
        !self.url.expose().is_empty()
    }
}
