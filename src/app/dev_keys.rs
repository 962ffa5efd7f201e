//! The API keys of `orchestrator dev`: one of each role, kept between runs, and the contexts of the
//! user that have them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::cli::contexts::{self, Context, Contexts, write_private};
use crate::domain::name::Name;
use crate::domain::principal::Role;
use crate::domain::text::hex;
use crate::runtime::chain::Chain;
use crate::runtime::secret::Secret;
use crate::settings::Settings;

/// The file of the keys, in the directory of the data.
const FILE: &str = "keys.json";

/// What the URL of every gateway of `dev` begins with.
const LOCAL: &str = "http://127.0.0.1:";

/// The name of a key in timelines and logs, its role, and its context.
pub struct Kept {
    pub name: &'static str,
    pub role: Role,
    pub context: &'static str,
}

/// One key of each role. The first context is the current one of a user who has none.
pub const KEPT: [Kept; 4] = [
    Kept { name: "dev_admin", role: Role::Admin, context: "dev" },
    Kept { name: "dev_approver", role: Role::Approver, context: "dev-approver" },
    Kept { name: "dev_agent", role: Role::Agent, context: "dev-agent" },
    Kept { name: "dev_user", role: Role::User, context: "dev-user" },
];

/// The keys, in the order of [`KEPT`].
#[derive(Serialize, Deserialize)]
pub struct Keys(pub [String; KEPT.len()]);

impl Keys {
    /// Returns the keys that `dir` keeps. If there are none yet, makes them and keeps them there,
    /// for this user only.
    pub fn of(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let failed = |source| Error::Keys { path: path.clone(), source };
        match fs::read(&path) {
            Ok(json) => return serde_json::from_slice(&json).map_err(|why| failed(why.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let [admin, approver, agent, user] = std::array::from_fn(|_| fresh_key());
        let keys = Self([admin?, approver?, agent?, user?]);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let json = serde_json::to_vec(&keys).map_err(|why| failed(why.into()))?;
        write_private(&path, &json).map_err(failed)?;
        Ok(keys)
    }

    /// Has the gateway of these settings accept the keys.
    pub fn add_to(&self, settings: &mut Settings) {
        for (Kept { name, role, .. }, key) in KEPT.iter().zip(&self.0) {
            add_key(settings, name, *role, key);
        }
    }

    /// Adds a context for each key to those of the user, in place of one of an earlier run. Returns
    /// whether the user has them now; why not is logged.
    pub fn add_contexts(&self, url: &str) -> bool {
        let done = Contexts::change(|all| {
            for (Kept { context, .. }, key) in KEPT.iter().zip(&self.0) {
                let Ok(name) = context.parse::<Name>() else { continue };
                let is_ours = |known: &Context| known.url.starts_with(LOCAL);
                if all.contexts.get(&name).is_some_and(|known| !is_ours(known)) {
                    return Err(contexts::Error::Exists(name));
                }
                let key = Some(Secret::new(key.as_str()));
                let url = url.to_owned();
                all.current.get_or_insert_with(|| name.clone());
                all.contexts.insert(name, Context { url, key, key_command: None, ca_file: None });
            }
            Ok(())
        });
        if let Err(error) = &done {
            tracing::warn!(error = %Chain(error), "no contexts for this gateway");
        }
        done.is_ok()
    }
}

/// Has the gateway of these settings accept a key of this name and role.
pub fn add_key(settings: &mut Settings, name: &str, role: Role, key: &str) {
    let entry = Secret::new(format!("{key}:{}", role.as_str()));
    settings.http.auth.api_keys.insert(name.to_owned(), entry);
}

/// Returns a new random key of 192 bits, in hexadecimal.
pub fn fresh_key() -> Result<String, Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_new_key_is_different() {
        let key = fresh_key().unwrap();

        assert_eq!(key.len(), 48);
        assert_ne!(key, fresh_key().unwrap());
    }

    #[test]
    fn keys_are_kept_for_this_user_only() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");

        let keys = Keys::of(&dir).unwrap();

        assert_eq!(Keys::of(&dir).unwrap().0, keys.0);
        let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.join(FILE), "[]").unwrap();
        assert!(matches!(Keys::of(&dir), Err(Error::Keys { .. })));
    }
}
