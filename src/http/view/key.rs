//! Managed keys as admins see them: everything but their secrets.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::name::Name;
use crate::domain::principal::{Role, Scope};
use crate::domain::restrictions::Restrictions;
use crate::engine::{KeyState, Page};
use crate::runtime::secret::Secret;

use super::super::text::Network;
use super::{At, at};

/// A managed API key, without its secret.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ManagedKey")]
pub struct KeyView {
    /// The id of the key, which never changes.
    pub key_id: Uuid,
    /// The name of the caller that the key proves, `key:<name>` in timelines.
    pub name: Name,
    /// The person or service that the key belongs to, as rules compare them.
    pub identity: String,
    /// The role, which decides what the key may do at the most.
    pub role: Role,
    /// The tenant to which the key is bound; absent if it sees all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// The only scopes that the key has; empty: all of its role.
    pub scopes: Vec<Scope>,
    /// The only agents for which the key claims, reports, asks and pauses; empty: any.
    pub agents: Vec<Name>,
    /// The only types of tasks that the key submits; empty: any.
    pub task_types: Vec<Name>,
    /// The only sources in whose name the key submits; empty: those of the configuration.
    pub sources: Vec<Name>,
    /// The only networks from which the key may call; empty: any.
    pub networks: Vec<Network>,
    /// When the key ends by itself; null if it does not.
    pub expires_at: Option<At>,
    /// When the key was created.
    pub created_at: At,
    /// Who created it; `orchestrator` for the first key of a store.
    pub created_by: String,
    /// When its newest secret was made.
    pub rotated_at: At,
    /// When the secret before that ends; null if it has ended.
    pub old_secret_ends_at: Option<At>,
    /// When the key was last used, to the minute; null if never.
    pub last_used_at: Option<At>,
    /// When the key ended: expired or revoked; null if it is valid.
    pub ended_at: Option<At>,
    /// Who revoked the key; null if it was not revoked.
    pub revoked_by: Option<String>,
    /// The first 16 hexadecimal digits of the SHA-256 of its newest secret; null if it was revoked.
    pub fingerprint: Option<String>,
}

/// A page of the managed keys, the oldest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct KeyPage {
    /// The keys of the page, with those that ended.
    pub items: Vec<KeyView>,
    /// The `cursor` of the next page; null if this is the last page.
    pub next_cursor: Option<String>,
}

/// A managed API key with its new secret.
#[derive(Serialize, Object)]
#[oai(rename = "KeyWithSecret")]
pub struct KeySecretView {
    /// The id of the key, which never changes.
    pub key_id: Uuid,
    /// The secret, which is shown this once: `orc_`, 43 letters and digits, and a checksum of 6.
    pub secret: String,
    /// The key.
    pub key: KeyView,
}

impl From<KeyState> for KeyView {
    fn from(KeyState { key, last_used_at, ended_at }: KeyState) -> Self {
        let Restrictions { tenant, scopes, agents, task_types, sources, networks, expires_at } =
            key.restrictions;
        Self {
            key_id: key.id,
            identity: key.identity.unwrap_or_else(|| key.name.to_string()),
            name: key.name,
            role: key.role,
            tenant,
            scopes,
            agents,
            task_types,
            sources,
            networks: networks.into_iter().map(Network).collect(),
            expires_at: expires_at.map(at),
            created_at: at(key.created_at),
            created_by: key.created_by,
            rotated_at: at(key.rotated_at),
            old_secret_ends_at: key.secrets.get(1).and_then(|secret| secret.until).map(at),
            last_used_at: last_used_at.map(at),
            ended_at: ended_at.map(at),
            revoked_by: key.revoked.map(|revocation| revocation.by),
            fingerprint: key.secrets.first().map(|secret| secret.sha256[..16].to_owned()),
        }
    }
}

impl From<Page<KeyState>> for KeyPage {
    fn from(page: Page<KeyState>) -> Self {
        Self {
            items: page.items.into_iter().map(KeyView::from).collect(),
            next_cursor: page.next_cursor,
        }
    }
}

impl From<(KeyState, Secret)> for KeySecretView {
    fn from((state, secret): (KeyState, Secret)) -> Self {
        let key_id = state.key.id;
        Self { key_id, secret: secret.expose().to_owned(), key: state.into() }
    }
}
