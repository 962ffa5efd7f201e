//! Managed API keys: one hash with all of them, and a version that changes with each change.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::domain::api_key::ApiKey;
use crate::domain::ids::Partition;
use crate::domain::principal::{Principal, Role};
use crate::domain::time::Millis;

use super::{Error, ORCHESTRATOR, Store, args, script};

/// The partition of the keys.
const HOME: Partition = Partition(0);

/// The notification that the keys have changed.
pub const WAKE: &str = "keys";

/// The origin of an audit entry about a key that a command made on this machine.
const COMMAND: &str = "command";

/// A change of one managed key.
pub struct KeyChange<'c> {
    /// The version of the keys on which the change is based; empty if there never was a key.
    pub base: &'c str,
    /// The version of the keys after it.
    pub next: &'c str,
    /// The key as it is after the change.
    pub key: &'c ApiKey,
    /// The action for the audit log, such as `key.created`.
    pub action: &'static str,
    /// Facts for the audit log, by name.
    pub detail: BTreeMap<&'static str, String>,
    /// Keys to forget, because they ended long ago.
    pub forget: &'c [Uuid],
}

impl Store {
    /// Returns the store's time in milliseconds since 1970 and the version of the keys, which is
    /// empty if there never was one. It is one round trip that writes nothing.
    pub async fn key_version(&self) -> Result<(Millis, String), Error> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        pipe.cmd("GET").arg(self.keys().key_version(HOME));
        type Raw = ((u64, u64), Option<String>);
        let ((seconds, micros), version): Raw = self.query("version of keys", HOME, &pipe).await?;
        Ok((self.time_of(seconds, micros), version.unwrap_or_default()))
    }

    /// Returns all managed keys. One that cannot be read is logged and left out, so that it proves
    /// no caller.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let stored: HashMap<String, String> =
            self.query("keys", HOME, cmd.arg(self.keys().api_keys(HOME))).await?;
        let mut keys = Vec::with_capacity(stored.len());
        for (id, json) in stored {
            match serde_json::from_str(&json) {
                Ok(key) => keys.push(key),
                // Its text may show what a secret is derived from.
                Err(error) => tracing::error!(key.id = id, line = error.line(), "unreadable key"),
            }
        }
        Ok(keys)
    }

    /// Returns when each key was last used, in milliseconds since 1970; 0 if never.
    pub async fn key_uses(&self) -> Result<HashMap<Uuid, Millis>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys().key_uses(HOME)).arg(0).arg(-1).arg("WITHSCORES");
        let uses: Vec<(String, f64)> = self.query("uses of keys", HOME, &cmd).await?;
        let uses = uses.into_iter();
        Ok(uses.filter_map(|(id, at)| Some((id.parse().ok()?, at as Millis))).collect())
    }

    /// Records when keys were last used, in milliseconds since 1970. Keys that are gone are left
    /// out, and no time goes back.
    pub async fn note_key_uses(&self, uses: &[(Uuid, Millis)]) -> Result<(), Error> {
        self.admit()?;
        let mut cmd = redis::cmd("ZADD");
        cmd.arg(self.keys().key_uses(HOME)).arg("XX").arg("GT");
        for (id, at) in uses {
            cmd.arg(*at).arg(id.to_string());
        }
        self.query("note uses of keys", HOME, &cmd).await
    }

    /// Makes a change of a key. Returns whether it did: not if the keys have another version.
    ///
    /// * `caller`: who changes it; `None` for a command on this machine.
    pub async fn change_key(
        &self,
        caller: Option<&Principal>,
        change: &KeyChange<'_>,
    ) -> Result<bool, Error> {
        let unwritable = |error: serde_json::Error| Error::corrupt(error.to_string());
        let key = serde_json::to_string(change.key).map_err(unwritable)?;
        let detail = serde_json::to_string(&change.detail).map_err(unwritable)?;
        let mut args = args();
        args.arg(change.base).arg(change.next);
        args.arg(change.key.id.to_string()).arg(key);
        args.arg(change.action).arg(change.key.name.as_str()).arg(detail);
        for id in change.forget {
            args.arg(id.to_string());
        }
        if let Some(caller) = caller {
            return self.commit_audited(&script::API_KEYS, HOME, caller, args).await;
        }
        args.arg(Role::Admin.rank()).arg(COMMAND);
        self.commit(&script::API_KEYS, HOME, ORCHESTRATOR, args).await
    }
}
