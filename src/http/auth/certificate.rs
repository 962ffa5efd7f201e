//! Client certificates as credentials: which caller the names in a certificate stand for.
//!
//! The gateway has verified a certificate in the handshake; this module only reads who it is of.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::principal::{Principal, Role, Subject};
use crate::domain::restrictions::Restrictions;

use super::super::settings::{Auth, Error};

/// The callers by the names in their certificates.
#[derive(Default)]
pub struct Certificates(BTreeMap<String, Arc<Principal>>);

/// Returns what is wrong with `auth.certificates`. `None` if they can be used.
pub fn fault_of_certificates(settings: &Auth) -> Option<String> {
    Certificates::of(settings).err().map(|error| error.to_string())
}

impl Certificates {
    /// Reads `auth.certificates`.
    ///
    /// # Errors
    ///
    /// An entry is malformed, or contradicts another one or an API key; the error names it.
    pub fn of(settings: &Auth) -> Result<Self, Error> {
        let mut found = BTreeMap::new();
        let mut callers: BTreeMap<String, Arc<Principal>> = BTreeMap::new();
        for (number, entry) in settings.certificates.iter().enumerate() {
            let refused =
                |why: &str| Error::refused(format!("auth.certificates[{number}]"), why.to_owned());
            let is_name = ["dns:", "uri:"]
                .into_iter()
                .any(|kind| entry.san.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
            if !is_name || entry.san.starts_with("dns:*") {
                return Err(refused(
                    "must have a `san` such as `dns:worker.example.com` or \
                     `uri:spiffe://example.com/worker`, without a wildcard",
                ));
            }
            if settings.api_keys.contains_key(&entry.name) {
                return Err(refused("has the name of an API key, whose caller would be the same"));
            }
            let principal = Principal::new(Subject::Key(entry.name.clone()), entry.role)
                .map_err(|error| refused(&error.to_string()))?;
            let agents = entry.agents.clone();
            let principal =
                principal.restricted(Restrictions { agents, ..Restrictions::default() });
            let principal = Arc::new(principal);
            let known = callers.entry(entry.name.clone()).or_insert_with(|| Arc::clone(&principal));
            let is_same = known.role() == principal.role()
                && known.restrictions() == principal.restrictions();
            if !is_same {
                return Err(refused("has the name of another entry, but another role or agents"));
            }
            if found.insert(folded(&entry.san), principal).is_some() {
                return Err(refused("has the `san` of another entry"));
            }
        }
        Ok(Self(found))
    }

    /// Returns whether no certificate stands for a caller.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the caller of a certificate with these names. `None` if they stand for none, or for
    /// several.
    pub fn find(&self, names: &[String]) -> Option<&Arc<Principal>> {
        let mut callers = names.iter().filter_map(|name| self.0.get(&folded(name)));
        let first = callers.next()?;
        callers.all(|other| other.name() == first.name()).then_some(first)
    }

    /// Returns each caller with its role and a digest of its entries.
    pub fn digests(&self) -> Vec<(String, Role, [u8; 32])> {
        let mut callers: BTreeMap<String, (Role, Sha256)> = BTreeMap::new();
        for (san, principal) in &self.0 {
            let (_, hash) = callers
                .entry(principal.to_string())
                .or_insert_with(|| (principal.role(), Sha256::new()));
            let agents = principal.restrictions().map(|only| only.agents.as_slice());
            hash.update(format!("{san} {agents:?}\n"));
        }
        let callers = callers.into_iter();
        callers.map(|(caller, (role, hash))| (caller, role, hash.finalize().into())).collect()
    }
}

/// Returns a name for comparison: the case of a DNS name does not matter.
fn folded(name: &str) -> String {
    if name.starts_with("dns:") { name.to_ascii_lowercase() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &str) -> Result<Certificates, String> {
        let certificates = serde_json::from_str(entries).unwrap();
        let auth = Auth { certificates, ..Auth::default() };
        Certificates::of(&auth).map_err(|error| error.to_string())
    }

    fn found(certificates: &Certificates, names: &[&str]) -> Option<String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        certificates.find(&names).map(|principal| principal.to_string())
    }

    #[test]
    fn certificate_is_of_the_caller_that_its_names_stand_for() {
        let certificates = read(
            r#"[{"san": "dns:One.example.com", "name": "one", "role": "agent"},
                {"san": "uri:spiffe://x/One", "name": "one", "role": "agent"},
                {"san": "dns:two.example.com", "name": "two", "role": "admin"}]"#,
        )
        .unwrap();

        let one = Some("key:one".to_owned());
        assert_eq!(found(&certificates, &["dns:one.EXAMPLE.com", "dns:else"]), one);
        assert_eq!(found(&certificates, &["uri:spiffe://x/One", "dns:one.example.com"]), one);
        for none in [
            &["uri:spiffe://x/one"][..],
            &["dns:one.example.com", "dns:two.example.com"],
            &["uri:dns:one.example.com"],
            &["dns:*.example.com"],
            &[],
        ] {
            assert_eq!(found(&certificates, none), None, "{none:?}");
        }
        assert_eq!(certificates.digests().len(), 2);
    }

    #[test]
    fn malformed_or_contradictory_entry_is_named() {
        for (entries, why) in [
            (r#"[{"san": "a.example.com", "name": "a", "role": "user"}]"#, "must have a `san`"),
            (r#"[{"san": "dns:*.example.com", "name": "a", "role": "user"}]"#, "wildcard"),
            (r#"[{"san": "uri:", "name": "a", "role": "user"}]"#, "must have a `san`"),
            (
                r#"[{"san": "dns:a", "name": "a", "role": "user"},
                    {"san": "dns:b", "name": "a", "role": "admin"}]"#,
                "another role",
            ),
            (
                r#"[{"san": "dns:a", "name": "a", "role": "user"},
                    {"san": "dns:A", "name": "b", "role": "user"}]"#,
                "`san` of another entry",
            ),
        ] {
            let refusal = read(entries).map(|_| ()).unwrap_err();
            assert!(refusal.contains("auth.certificates[") && refusal.contains(why), "{refusal}");
        }
    }
}
