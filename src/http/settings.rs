//! What an operator can set about the HTTP gateway: the sections `[http]` and `[auth]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine;
use crate::runtime::secret::Secret;

/// Everything that the gateway is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[http]`
    pub http: Http,
    /// `[auth]`
    pub auth: Auth,
}

/// Where the gateway listens and what it puts up with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The address or name to listen on.
    pub host: String,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// The web origins whose scripts may call; `*` is any. Empty: none, and no CORS header is sent.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// What becomes of members and parameters that are not known.
    pub unknown_members: UnknownMembers,
    /// Whether `/metrics` shows figures, to anybody.
    pub metrics: bool,
    /// How long a connection may stay unused between two requests, in milliseconds. More than the longest long-poll (60 s),
    /// or that poll's connection cannot be used again.
    pub idle_timeout_ms: u64,
    /// How long the head of a request may take from its first byte, in milliseconds, and how long a
    /// new connection may take to send one.
    pub header_timeout_ms: u64,
    /// How long a body may take as a whole, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may read nothing of an answer that waits for it, in milliseconds.
    pub write_timeout_ms: u64,
    /// How many bytes a second a body or an answer must move at least, in the mean; 0: none.
    pub min_bytes_per_second: u64,
    /// How many connections there may be, as far as the system gives descriptors.
    pub max_connections: usize,
    /// How many of them may be of one address.
    pub max_connections_per_address: usize,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// How many bytes of bodies may be held at once; also, how many of answers that are not read.
    pub max_inflight_bytes: usize,
    /// How many long-polls and event streams of one principal may wait at once.
    pub max_waits_per_principal: usize,
    /// After how much silence an event stream sends a comment, in milliseconds, so that neither side nor a proxy
    /// between takes it for dead.
    pub heartbeat_ms: u64,
    /// How long `/health/ready` says 503 before the gateway stops to accept connections, in
    /// milliseconds, so that a load balancer looks elsewhere first.
    pub drain_ms: u64,
    /// How long requests in flight may take to finish after that, in milliseconds.
    pub grace_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8000,
            cors_origins: Vec::new(),
            max_body_bytes: 10 * 1024 * 1024,
            unknown_members: UnknownMembers::Refuse,
            metrics: true,
            idle_timeout_ms: 75_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 60_000,
            write_timeout_ms: 30_000,
            min_bytes_per_second: 1_024,
            max_connections: 10_000,
            max_connections_per_address: 2_500,
            max_header_bytes: 64 * 1024,
            max_inflight_bytes: 64 * 1024 * 1024,
            max_waits_per_principal: 1_000,
            heartbeat_ms: 15_000,
            drain_ms: 0,
            grace_ms: 10_000,
        }
    }
}

/// What becomes of members of a body and parameters of a query that are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMembers {
    /// The request is refused with the nearest known name.
    #[default]
    Refuse,
    /// They are passed over, for old clients that send more than is read.
    Ignore,
}

/// Who may call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// What tokens (JWT, HS256) are signed with: at least 32 bytes. None: no token is accepted.
    pub jwt_secret: Option<Secret>,
    /// A caller's name to `<key>:<role>`.
    pub api_keys: BTreeMap<String, Secret>,
    /// A credential, see [`crate::domain::people::credential`], to the name of the person that it is of.
    pub identities: BTreeMap<String, String>,
    /// A credential to the sources that it may submit in the name of; see [`crate::domain::people::People::sources`].
    pub sources: BTreeMap<String, Vec<String>>,
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody could call.
    #[error(
        "no credential is set, so nobody could call: set `auth.jwt_secret` (ORCHESTRATOR_JWT_SECRET, at least 32 \
         bytes) or a key in `auth.api_keys` (ORCHESTRATOR_API_KEY_<NAME>=<key>:<role>)"
    )]
    NoCredential,
    /// A setting is refused.
    #[error("`{key}` {why}")]
    Refused {
        /// Which setting.
        key: String,
        /// What is wrong and what is expected.
        why: String,
    },
    /// What has changed about the credentials cannot be noted in the audit log.
    #[error("cannot note the credentials in the audit log")]
    Store(#[source] engine::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (`http.host`, `http.port`)")]
    Bind {
        /// What was tried.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The setting `key` is refused.
    pub(super) fn refused(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { key: key.into(), why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known() {
        let error = serde_json::from_str::<Http>(r#"{"prot": 1}"#).unwrap_err().to_string();

        assert!(error.contains("`prot`") && error.contains("`port`"), "{error}");
    }
}
