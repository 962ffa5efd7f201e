//! Checks of credentials, and of the persons, groups and sources that belong to them.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::Check;
use crate::domain::approval::Groups;
use crate::domain::folded::folded;
use crate::domain::name::{Name, PATTERN};
use crate::domain::people::{ANY_SOURCE, Identity, People, credential};
use crate::domain::principal::{Principal, Role, Subject};
use crate::http::fault_of_certificates;

/// The shortest secret for HS256, in bytes: as long as its hash.
const JWT_SECRET_MIN: usize = 32;

/// How the kinds of credentials are named.
const KINDS: [&str; 2] = ["key:", "user:"];

impl Check<'_> {
    pub(super) fn auth(&mut self, auth: &crate::http::Auth) {
        if auth.jwt_secret.as_ref().is_some_and(|secret| secret.expose().len() < JWT_SECRET_MIN) {
            self.fail("auth.jwt_secret", format!("expected at least {JWT_SECRET_MIN} bytes"));
        }
        if !auth.oidc_scopes.iter().any(|scope| scope == "openid") {
            self.fail("auth.oidc_scopes", "expected `openid` among them");
        }
        let mut seen = BTreeSet::new();
        for (name, entry) in &auth.api_keys {
            let path = format!("auth.api_keys.{name}");
            let (key, role) = entry.expose().rsplit_once(':').unwrap_or((entry.expose(), ""));
            self.credential(&path, Subject::Key(name.clone()));
            if key.is_empty() || Role::from_str(role).is_err() {
                let why = "expected `<key>:<role>` with the role user, agent, approver or admin";
                self.fail(&path, why);
            } else if !seen.insert(key) {
                self.fail(&path, "another name has the same key, so the caller would be ambiguous");
            }
        }
        for name in auth.tenants.keys().filter(|name| !auth.api_keys.contains_key(*name)) {
            // A key that is not bound sees every tenant.
            self.fail(
                &format!("auth.tenants.{name}"),
                "expected the name of a key in auth.api_keys",
            );
        }
        if let Some(fault) = fault_of_certificates(auth) {
            self.fail("auth.certificates", fault);
        }
        self.identities(&auth.identities);
        self.sources(&auth.sources);
    }

    fn credential(&mut self, path: &str, subject: Subject) {
        if let Err(why) = Principal::new(subject, Role::User) {
            self.fail(path, why.to_string());
        }
    }

    /// An entry that does not mean what it seems to would let one person count twice.
    fn identities(&mut self, identities: &BTreeMap<String, String>) {
        let people = People::new(identities, &BTreeMap::new());
        for (who, person) in identities {
            let path = format!("auth.identities.{who}");
            self.credential(&path, credential(who));
            if folded(person).is_empty() {
                self.fail(&path, "expected the name of a person");
            } else if KINDS.iter().any(|kind| person.starts_with(kind)) {
                self.fail(&path, "expected the name of a person, without `key:` or `user:`");
            }
            let named = Identity::of(person);
            let of_that_name = [Subject::Key(person.clone()), Subject::User(person.clone())];
            if of_that_name.iter().any(|subject| people.identity(subject) != named) {
                let why = "a credential of this name is another person's: name that person";
                self.fail(&path, why);
            }
        }
    }

    fn sources(&mut self, sources: &BTreeMap<String, Vec<String>>) {
        for (who, sources) in sources {
            let path = format!("auth.sources.{who}");
            self.credential(&path, credential(who));
            if sources.is_empty() {
                self.fail(&path, "expected at least one source");
            }
            for source in sources {
                if source != ANY_SOURCE && Name::from_str(source).is_err() {
                    self.fail(&path, format!("`{source}`: expected `*`, or a name: {PATTERN}"));
                }
            }
        }
    }

    pub(super) fn groups(&mut self, groups: &Groups) {
        let expected = "expected `key:<name of an API key>` or `user:<sub of a token>`";
        for (group, members) in groups {
            for member in members {
                let is_named = KINDS.iter().any(|kind| member.starts_with(kind));
                if !is_named || Principal::new(credential(member), Role::User).is_err() {
                    let path = format!("approvals.groups.{group}");
                    self.fail(&path, format!("`{member}`: {expected}"));
                }
            }
        }
    }
}
