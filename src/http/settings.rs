//! The settings of the HTTP gateway: the sections `[http]` and `[auth]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::name::Name;
use crate::domain::network::Network;
use crate::domain::principal::Role;
use crate::engine;
use crate::runtime::secret::Secret;

/// The settings of the gateway.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The section `[http]`: where the gateway listens, and its limits.
    pub http: Http,
    /// The section `[auth]`: which callers the gateway accepts.
    pub auth: Auth,
}

/// Where the gateway listens, and the limits that protect it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// The address or host name to listen on.
    pub host: String,
    /// The port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// The PEM file of the certificate for TLS, followed by those between it and its authority; empty
    /// for plain HTTP.
    pub tls_cert_file: String,
    /// The PEM file of the certificate's key.
    pub tls_key_file: String,
    /// The PEM file of the authorities whose certificates clients must show; empty if they need
    /// none.
    pub tls_client_ca_file: String,
    /// The web origins whose scripts may call; `*` is any. If empty, no CORS header is sent.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How unknown members and query parameters are treated.
    pub unknown_members: UnknownMembers,
    /// Whether `/metrics` returns figures; it needs no credential.
    pub metrics: bool,
    /// The address and port that serve `/metrics`, and nothing else, over plain HTTP; empty if the
    /// gateway's own serve it.
    pub metrics_address: String,
    /// Whether `/ui` serves the page for people.
    pub ui: bool,
    /// How long a connection may stay unused between two requests, in milliseconds. Should exceed
    /// the longest long-poll (60 s), or that poll's connection cannot be used again.
    pub idle_timeout_ms: u64,
    /// How long the head of a request may take from its first byte, in milliseconds, and how long a
    /// new connection may take to send one.
    pub header_timeout_ms: u64,
    /// How long a body may take as a whole, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may read nothing of an answer that is being sent to it, in milliseconds.
    pub write_timeout_ms: u64,
    /// How many bytes a second a body or an answer must move on average; 0 for no minimum.
    pub min_bytes_per_second: u64,
    /// How many connections may be open, as far as the system has descriptors.
    pub max_connections: usize,
    /// How many of the connections may come from one address.
    pub max_connections_per_address: usize,
    /// The largest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// How many bytes of bodies may be held at once; the same bound holds for answers that are not
    /// read.
    pub max_inflight_bytes: usize,
    /// How many long-polls and event streams of one principal may wait at once.
    pub max_waits_per_principal: usize,
    /// How many calls of one address may fail to authenticate within a minute; 0 for no limit.
    pub max_failed_logins_per_minute: u32,
    /// The proxies whose statements about their clients are believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which these proxies name their clients.
    pub forwarded_header: ForwardedHeader,
    /// How long an event stream may be silent before it sends a comment, in milliseconds, so that
    /// neither side nor a proxy takes the connection for dead.
    pub heartbeat_ms: u64,
    /// How long `/health/ready` returns 503 before the gateway stops accepting connections, in
    /// milliseconds, so that a load balancer stops sending requests first.
    pub drain_ms: u64,
    /// How long requests in flight may take to finish after that, in milliseconds.
    pub grace_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8000,
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            tls_client_ca_file: String::new(),
            cors_origins: Vec::new(),
            max_body_bytes: 10 * 1024 * 1024,
            unknown_members: UnknownMembers::Refuse,
            metrics: true,
            metrics_address: String::new(),
            ui: true,
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
            max_failed_logins_per_minute: 10,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            heartbeat_ms: 15_000,
            drain_ms: 0,
            grace_ms: 10_000,
        }
    }
}

/// The header in which proxies name the client of a request. Only the one that they write may be
/// read: clients can send the other one through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, joined by commas.
    #[default]
    XForwardedFor,
    /// `Forwarded`, as RFC 7239 defines it.
    Forwarded,
}

impl ForwardedHeader {
    /// The name of the header, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// How unknown members of a body and unknown parameters of a query are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownMembers {
    /// The request is refused; the refusal names the nearest known name.
    #[default]
    Refuse,
    /// They are ignored, for old clients that send more than the gateway reads.
    Ignore,
}

/// The credentials that the gateway accepts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The secret that signs tokens (JWT, HS256): at least 32 bytes. `None` if tokens are not
    /// accepted.
    pub jwt_secret: Option<Secret>,
    /// How far in the future a token may end, in seconds.
    pub jwt_max_seconds: u64,
    /// The public keys of an identity provider: a JWKS file or its `https` URL. Empty if none is
    /// trusted.
    pub jwks: String,
    /// The `iss` that the provider's tokens must have.
    pub jwks_issuer: String,
    /// The `aud` that the provider's tokens must have.
    pub jwks_audience: String,
    /// How often the keys of the provider are read again, in seconds.
    pub jwks_refresh_seconds: u64,
    /// The claims of the provider's tokens whose words name roles; the highest role counts.
    pub role_claims: Vec<String>,
    /// The claim of the provider's tokens that holds scopes. Empty if the role alone decides.
    pub scope_claim: String,
    /// The claim of tokens that names the tenant of the caller, or `*`. Empty if tokens are of no
    /// tenant.
    pub tenant_claim: String,
    /// The roles that other words of `role_claims` stand for, such as the names of groups.
    pub token_roles: BTreeMap<String, Role>,
    /// The identity provider that signs people in to the page: its `https` URL, as in the `iss` of
    /// its tokens. Empty if none does.
    pub oidc_issuer: String,
    /// The name of the gateway as a client of the provider, which is the `aud` of its ID tokens.
    pub oidc_client_id: String,
    /// The secret of the gateway with the provider. `None` if none signs people in.
    pub oidc_client_secret: Option<Secret>,
    /// Where the provider sends people back to: the page's URL, then
    /// [`super::auth::CALLBACK`].
    pub oidc_redirect_uri: String,
    /// The scopes that are requested of the provider, among them `openid`.
    pub oidc_scopes: Vec<String>,
    /// The claim of ID tokens that names the person.
    pub oidc_name_claim: String,
    /// How long a session of a person whom the provider signed in lasts, in seconds.
    pub oidc_session_seconds: u64,
    /// The API keys: the name of each caller to `<key>:<role>`.
    pub api_keys: BTreeMap<String, Secret>,
    /// The tenants of those API keys that are bound to one: name of the key to tenant.
    pub tenants: BTreeMap<String, Name>,
    /// The callers that certificates of clients stand for.
    pub certificates: Vec<CertificateSetting>,
    /// The persons behind credentials, see [`crate::domain::people::credential`]: credential to
    /// name.
    pub identities: BTreeMap<String, String>,
    /// The sources that a credential may submit for; see
    /// [`crate::domain::people::People::sources`].
    pub sources: BTreeMap<String, Vec<String>>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_max_seconds: 31_536_000,
            jwks: String::new(),
            jwks_issuer: String::new(),
            jwks_audience: String::new(),
            jwks_refresh_seconds: 300,
            role_claims: vec!["role".to_owned()],
            scope_claim: String::new(),
            tenant_claim: String::new(),
            oidc_issuer: String::new(),
            oidc_client_id: String::new(),
            oidc_client_secret: None,
            oidc_redirect_uri: String::new(),
            oidc_scopes: ["openid", "profile", "email"].map(str::to_owned).into(),
            oidc_name_claim: "sub".to_owned(),
            oidc_session_seconds: engine::SESSION_SECONDS,
            token_roles: BTreeMap::new(),
            api_keys: BTreeMap::new(),
            tenants: BTreeMap::new(),
            certificates: Vec::new(),
            identities: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }
}

/// An entry of `auth.certificates`: the caller that a name in a certificate stands for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSetting {
    /// A name under "subject alternative name": `dns:<name>` or `uri:<URI>`, compared exactly.
    pub san: String,
    /// The name of the caller, which no API key of the settings has.
    pub name: String,
    /// The role of the caller.
    pub role: Role,
    /// The only agents for which the caller claims, reports, asks and pauses. Empty for any.
    #[serde(default)]
    pub agents: Vec<Name>,
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No credential is configured, so every call would be refused.
    #[error(
        "no credential is set, so every call would be refused: set `auth.jwt_secret` \
         (ORCHESTRATOR_JWT_SECRET, at least 32 bytes) or a key in `auth.api_keys` \
         (ORCHESTRATOR_API_KEY_<NAME>=<key>:<role>), or create one with `orchestrator first-key`"
    )]
    NoCredential,
    /// A setting has a value that the gateway cannot use.
    #[error("`{key}` {why}")]
    Refused {
        /// The path of the setting.
        key: String,
        /// What is wrong with the value and what is expected instead.
        why: String,
    },
    /// The managed keys cannot be read, or changes of credentials not noted in the audit log.
    #[error("cannot read or note the credentials in the store")]
    Store(#[source] engine::Error),
    /// The gateway cannot listen on its address.
    #[error("cannot listen on {address} (`http.host`, `http.port`, `http.metrics_address`)")]
    Bind {
        /// The address that was tried.
        address: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl Error {
    /// The error for a setting that cannot be used; `why` continues a sentence that begins with
    /// `key`.
    pub(super) fn refused(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { key: key.into(), why: why.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_lists_the_known() {
        let error = serde_json::from_str::<Http>(r#"{"prot": 1}"#).unwrap_err().to_string();

        assert!(error.contains("`prot`") && error.contains("`port`"), "{error}");
    }
}
