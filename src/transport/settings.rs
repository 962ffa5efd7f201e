//! The settings of NATS: the section `[nats]`.

use serde::Deserialize;

use crate::domain::name::Prefix;
use crate::runtime::address::Address;
use crate::runtime::secret::Secret;

/// How callers over NATS prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// By a key or token in clear, or by a signature.
    Any,
    /// By a signature only.
    Signed,
}

/// How NATS is reached and used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The servers: `nats://` or `tls://`, several joined by commas; empty if NATS is not used.
    pub url: Address,
    /// The first token of every subject, and the name of the service. Deployments that share one
    /// NATS have different ones.
    pub prefix: Prefix,
    /// Whether events go into a JetStream stream if the server has JetStream. Without it a
    /// disconnected subscriber misses events.
    pub jetstream: bool,
    /// The name of the stream; if empty, see [`Settings::stream_name`].
    pub stream: String,
    /// How long the stream keeps events, in milliseconds; used only when the bridge creates it.
    pub stream_max_age_ms: u64,
    /// Whether agents may call over NATS, and other systems submit tasks and publish events there.
    pub services: bool,
    /// The token to authenticate with; empty if there is none.
    pub token: Secret,
    /// The user to authenticate as; empty if there is none.
    pub user: String,
    /// The password of the user.
    pub password: Secret,
    /// How callers prove who they are.
    pub credentials: Credentials,
    /// The seed of the nkey to authenticate with; empty if there is none.
    pub nkey_seed: Secret,
    /// The path of a file with JWT and seed, as the NATS tools write it; empty if there is none.
    pub credentials_file: String,
    /// The path of a file of certificates (PEM) that may sign the server's, besides the system's;
    /// empty if there is none.
    pub tls_ca_file: String,
    /// The path of the client certificate (PEM) for servers that ask for one; empty if there is
    /// none.
    pub tls_cert_file: String,
    /// The path of the key of the client certificate; empty if there is none.
    pub tls_key_file: String,
}

impl Settings {
    /// The name of the stream: the configured one, or else the prefix in capitals and `_EVENTS`.
    pub fn stream_name(&self) -> String {
        if self.stream.is_empty() {
            return format!("{}_EVENTS", self.prefix.as_str().to_ascii_uppercase());
        }
        self.stream.clone()
    }

    /// The prefix of the subjects of events.
    pub fn events(&self) -> String {
        format!("{}.events.", self.prefix)
    }

    /// Whether NATS is used at all.
    pub fn is_on(&self) -> bool {
        !self.url.expose().is_empty()
    }
}
