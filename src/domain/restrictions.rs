//! What a key may do less than its role allows.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::role::Scope;
use super::time::Millis;

/// The restrictions of a key. An empty list restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restrictions {
    /// The tenant whose tasks, approvals and events alone the key sees and touches; `None` if it sees
    /// those of all.
    pub tenant: Option<Name>,
    /// The only scopes that the key has, all of which its role includes.
    pub scopes: Vec<Scope>,
    /// The only agents for which the key claims, reports, asks and pauses.
    pub agents: Vec<Name>,
    /// The only types of tasks that the key submits.
    pub task_types: Vec<Name>,
    /// The only sources in whose name the key submits; they replace those of the settings.
    pub sources: Vec<Name>,
    /// The only networks from which the key may call.
    pub networks: Vec<IpNet>,
    /// When the key ends by itself, in milliseconds since 1970; `None` if it does not.
    pub expires_at: Option<Millis>,
}

impl Restrictions {
    /// Returns whether the key may do all that its role allows, from anywhere and without an end.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns whether a list of restrictions, of which an empty one restricts nothing, allows `one`.
pub fn allows<T: PartialEq>(list: &[T], one: &T) -> bool {
    list.is_empty() || list.contains(one)
}
