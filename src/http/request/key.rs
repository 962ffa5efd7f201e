//! Managed keys: what an admin says of a new one, and of its rotation.

use std::ops::RangeInclusive;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::folded::folded;
use crate::domain::name::Name;
use crate::domain::principal::{Role, Scope};
use crate::domain::restrictions::Restrictions;
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::engine::NewKey;

use super::super::bounds::{Number, Text};
use super::super::field::{Faults, Field, List};
use super::super::text::{Network, Time};

/// How many agents, types, sources or networks a key may name.
const MOST: usize = 100;

/// The bound of the name of a person or service.
const IDENTITY: Bound = Bound { chars: 256, bytes: 1_024 };

/// The range of the time in which both secrets of a rotated key are valid, in seconds: 7 days.
const GRACE: RangeInclusive<u64> = 0..=7 * 24 * 3_600;

/// The bounds of numbers in these bodies.
pub const NUMBERS: &[Number] = &[("RotateKey", "grace_seconds", *GRACE.start(), *GRACE.end())];

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[("CreateKey", "identity", IDENTITY)];

/// A new API key. A list that is left out restricts nothing.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct CreateKey {
    /// The name of the caller that the key proves, `key:<name>` in timelines. It stays with the
    /// key, also after its end.
    name: Field<Name>,
    /// The person or service that the key belongs to, as rules compare them; that of the name if
    /// left out.
    identity: Field<Option<String>>,
    /// The role, which decides what the key may do at the most.
    role: Field<Role>,
    /// The tenant to which the key is bound: it sees and touches only that tenant's tasks, approvals
    /// and events. If left out, the key sees those of all.
    tenant: Field<Option<Name>>,
    /// The only scopes that the key has; all must be of its role.
    scopes: Field<Option<List<Scope, 8>>>,
    /// The only agents for which the key claims, reports, asks and pauses.
    agents: Field<Option<List<Name, MOST>>>,
    /// The only types of tasks that the key submits.
    task_types: Field<Option<List<Name, MOST>>>,
    /// The only sources in whose name the key submits; its name and `user`, or those of the
    /// configuration, if left out.
    sources: Field<Option<List<Name, MOST>>>,
    /// The only networks from which the key may call over HTTP, in CIDR notation. Such a key cannot
    /// be used over NATS.
    networks: Field<Option<List<Network, MOST>>>,
    /// When the key ends by itself; never if left out.
    expires_at: Field<Option<Time>>,
}

/// A new secret for a key.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct RotateKey {
    /// How long the old secret stays valid beside the new one, in seconds, at most 7 days; 0 if
    /// left out. A secret before the old one ends at once.
    grace_seconds: Field<Option<u64>>,
    /// The new expiry of the key; unchanged if left out.
    expires_at: Field<Option<Time>>,
}

impl CreateKey {
    /// Returns what the caller wants of the new key.
    pub fn into_key(self, faults: &mut Faults) -> Option<NewKey> {
        let name = faults.required("name", self.name);
        let identity = faults.short("identity", self.identity, IDENTITY);
        if identity.as_deref().is_some_and(|identity| folded(identity).is_empty()) {
            faults.add("identity", "must have a visible character");
        }
        let role = faults.required("role", self.role);
        let networks = some_of(faults, "networks", self.networks);
        let restrictions = Restrictions {
            tenant: faults.optional("tenant", self.tenant),
            scopes: some_of(faults, "scopes", self.scopes),
            agents: some_of(faults, "agents", self.agents),
            task_types: some_of(faults, "task_types", self.task_types),
            sources: some_of(faults, "sources", self.sources),
            networks: networks.into_iter().map(|network| network.0).collect(),
            expires_at: faults.optional("expires_at", self.expires_at).map(|time| time.0),
        };
        Some(NewKey { name: name?, identity, role: role?, restrictions })
    }
}

/// Returns the items of a list that may be left out. An empty one is a fault: it could mean all or
/// none.
fn some_of<T, const MOST: usize>(
    faults: &mut Faults,
    name: &str,
    field: Field<Option<List<T, MOST>>>,
) -> Vec<T> {
    let Some(List(items)) = faults.optional(name, field) else { return Vec::new() };
    if items.is_empty() {
        faults.add(name, "must have at least one item; leave it out to restrict nothing");
    }
    items
}

impl RotateKey {
    /// Returns the grace in milliseconds, and the new expiry in milliseconds since 1970.
    pub fn into_parts(self, faults: &mut Faults) -> Option<(Millis, Option<Millis>)> {
        let grace = faults.within("grace_seconds", self.grace_seconds, GRACE).unwrap_or(0);
        let expires_at = faults.optional("expires_at", self.expires_at).map(|time| time.0);
        Some((grace * 1_000, expires_at))
    }
}
