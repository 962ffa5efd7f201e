//! The sections `[http]` and `[auth]`, until their layers bring their own: each struct here has the
//! shape of the one that replaces it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// `[http]` and `[auth]`. `http::Settings` takes its place.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `[http]`
    pub http: Http,
    /// `[auth]`
    pub auth: Auth,
}

/// Where the gateway listens and what it puts up with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// The web origins whose scripts may call; `*` is any.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a connection may stay silent, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long readiness says no before the gateway stops to accept connections, in milliseconds.
    pub drain_ms: u64,
    /// How long requests in flight may take to finish after that, in milliseconds.
    pub grace_ms: u64,
}

/// Who may call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// What tokens are signed with; none: no token is accepted.
    pub jwt_secret: Option<Secret>,
    /// A caller's name to `<key>:<role>`.
    pub api_keys: BTreeMap<String, Secret>,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from logs.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}
