//! People: which credentials belong to one person, and for which sources each may submit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::approval::Groups;
use super::folded::folded;
use super::name::Name;
use super::principal::{Principal, Subject};

/// The source of a submission that names none. A credential without a list of sources may use it.
pub const DEFAULT_SOURCE: &str = "user";

/// The entry in a list of sources that allows all of them.
pub const ANY_SOURCE: &str = "*";

/// A person, as the rules compare people. All credentials with one identity are one person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(String);

impl Identity {
    /// Returns the identity for this name, compared as in [`folded`].
    pub fn of(name: &str) -> Self {
        Self(folded(name))
    }
}

/// What the configuration and the managed keys say about credentials, apart from their secrets.
///
/// Rules consult it when they are applied, not when an actor is stored. So a change of the
/// settings, such as two credentials that become one person, also applies to everything that
/// already waits. A clone shares the managed keys.
#[derive(Clone, Debug, Default)]
pub struct People {
    identities: BTreeMap<Subject, Identity>,
    sources: BTreeMap<Subject, Vec<String>>,
    /// The persons of managed keys, which change while the process runs.
    managed: Arc<RwLock<BTreeMap<Subject, Identity>>>,
}

impl People {
    /// Reads the tables `[auth.identities]` and `[auth.sources]`, which give each credential the
    /// name of its person or its sources. [`credential`] says how a credential is written.
    pub fn new(
        identities: &BTreeMap<String, String>,
        sources: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let identities =
            identities.iter().map(|(who, name)| (credential(who).folded(), Identity::of(name)));
        let sources =
            sources.iter().map(|(who, sources)| (credential(who).folded(), sources.clone()));
        Self {
            identities: identities.collect(),
            sources: sources.collect(),
            managed: Arc::default(),
        }
    }

    /// Replaces the persons of the managed keys by these: the key and the name of its person.
    pub fn set_managed<'k>(&self, keys: impl Iterator<Item = (Subject, &'k str)>) {
        let managed = keys.map(|(subject, name)| (subject.folded(), Identity::of(name))).collect();
        *self.managed.write().unwrap_or_else(PoisonError::into_inner) = managed;
    }

    /// Returns the person of a credential: as configured, as its managed key says, or else the
    /// person with its bare name.
    pub fn identity(&self, subject: &Subject) -> Identity {
        let folded = subject.folded();
        if let Some(configured) = self.identities.get(&folded) {
            return configured.clone();
        }
        let managed = self.managed.read().unwrap_or_else(PoisonError::into_inner);
        managed.get(&folded).cloned().unwrap_or_else(|| Identity::of(subject.name()))
    }

    /// Returns whether `actor`, as the store keeps it, is this person.
    pub fn is(&self, person: &Identity, actor: &str) -> bool {
        Subject::of_actor(actor).is_some_and(|subject| self.identity(&subject) == *person)
    }

    /// Returns the people of a group. Empty if it has no members or is not configured.
    pub fn members(&self, groups: &Groups, group: &str) -> BTreeSet<Identity> {
        let members = groups.get(group).into_iter().flatten();
        members.map(|member| self.identity(&credential(member))).collect()
    }

    /// Returns the sources in whose name `caller` may submit; see [`ANY_SOURCE`].
    pub fn sources(&self, caller: &Principal) -> Vec<String> {
        let own = caller.restrictions().map(|only| only.sources.as_slice()).unwrap_or_default();
        if !own.is_empty() {
            return own.iter().map(Name::to_string).collect();
        }
        let subject = caller.subject();
        let configured = self.sources.get(&subject.folded());
        configured.cloned().unwrap_or_else(|| {
            let own = subject.name().parse::<Name>().ok().map(String::from);
            own.into_iter().chain([DEFAULT_SOURCE.to_owned()]).collect()
        })
    }
}

/// Returns the credential that a text in the configuration names: `user:<sub>` is the bearer of a
/// token; `key:<name>` or a bare name is an API key.
pub fn credential(text: &str) -> Subject {
    match text.split_once(':') {
        Some(("user", name)) => Subject::User(name.to_owned()),
        Some(("key", name)) => Subject::Key(name.to_owned()),
        _ => Subject::Key(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::principal::Role;
    use super::*;

    fn people(identities: &[(&str, &str)], sources: &[(&str, &[&str])]) -> People {
        let identities = identities.iter().map(|(who, name)| ((*who).into(), (*name).into()));
        let sources = sources.iter().map(|(who, sources)| {
            ((*who).to_owned(), sources.iter().map(|source| (*source).to_owned()).collect())
        });
        People::new(&identities.collect(), &sources.collect())
    }

    #[test]
    fn a_credential_is_the_person_of_its_name_by_default() {
        let people = people(&[("ops", "Alice"), ("user:auth0|5F7C", "alice")], &[]);
        let alice = Identity::of("alice");

        for actor in [
            "key:alice",
            "user:alice",
            "user:ALICE",
            "user:%20alice",
            "user:%EF%BC%A1lice",
            "key:ops",
            "key:OPS",
            "user:auth0|5f7c",
        ] {
            assert!(people.is(&alice, actor), "{actor}");
        }
        for actor in ["user:ops", "key:auth0|5f7c", "user:al%D1%96ce", "orchestrator", "alice"] {
            assert!(!people.is(&alice, actor), "{actor}");
        }
    }

    #[test]
    fn a_managed_key_is_the_person_that_it_names() {
        let people = people(&[("ops", "alice")], &[]);
        let key = |name: &str| Subject::Key(name.to_owned());
        people.set_managed([(key("laptop"), "Bob"), (key("ops"), "bob")].into_iter());

        assert!(people.is(&Identity::of("bob"), "key:laptop"));
        assert!(people.clone().is(&Identity::of("alice"), "key:ops"), "the configuration counts");
        people.set_managed(std::iter::empty());
        assert!(people.is(&Identity::of("laptop"), "key:laptop"));
    }

    #[test]
    fn the_members_of_a_group_are_people() {
        let people = people(&[("ops", "alice")], &[]);
        let members = ["key:ops", "user:Alice", "user:bob"].map(str::to_owned).to_vec();
        let groups = Groups::from([("oncall".to_owned(), members)]);

        let oncall = people.members(&groups, "oncall");

        assert_eq!(oncall, [Identity::of("alice"), Identity::of("bob")].into());
        assert!(people.members(&groups, "gone").is_empty());
    }

    #[test]
    fn a_credential_has_its_name_and_user_as_default_sources() {
        let people = people(&[], &[("crew", &["github", "slack"]), ("user:root", &["*"])]);
        let sources = |subject| people.sources(&Principal::new(subject, Role::Agent).unwrap());

        assert_eq!(sources(Subject::Key("crew".to_owned())), ["github", "slack"]);
        assert_eq!(sources(Subject::User("crew".to_owned())), ["crew", "user"]);
        assert_eq!(sources(Subject::User("root".to_owned())), ["*"]);
        assert_eq!(sources(Subject::User("O'Brien@example.com".to_owned())), ["user"]);
    }
}
