//! People: which credentials belong to one person, and for which sources each may submit.

use std::collections::{BTreeMap, BTreeSet};

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

/// What the configuration says about credentials, apart from their secrets.
///
/// Rules consult it when they are applied, not when an actor is stored. So a change of the
/// settings, such as two credentials that become one person, also applies to everything that
/// already waits.
#[derive(Clone, Debug, Default)]
pub struct People {
    identities: BTreeMap<Subject, Identity>,
    sources: BTreeMap<Subject, Vec<String>>,
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
        Self { identities: identities.collect(), sources: sources.collect() }
    }

    /// Returns the person of a credential; by default the person with its bare name.
    pub fn identity(&self, subject: &Subject) -> Identity {
        let configured = self.identities.get(&subject.folded());
        configured.cloned().unwrap_or_else(|| Identity::of(subject.name()))
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
