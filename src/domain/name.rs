//! Names that a client chooses: task types, agents, sources, workers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The regular expression of names, which error messages and the API document show.
pub const PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// The regular expression of prefixes, which error messages show.
pub const PREFIX_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The regular expression of worker names, which error messages and the API document show.
pub const WORKER_PATTERN: &str = "^[!#-,.-\\[\\]-~][!#-\\[\\]-~]{0,127}$";

/// Defines a name: the type, and the error of reading a text that does not satisfy its rule.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $error:ident, $message:literal, $is_valid:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        #[doc = concat!("The error of reading a text that is not a [`", stringify!($type), "`].")]
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($message)]
        pub struct $error;

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                if $is_valid(&text) { Ok(Self(text)) } else { Err($error) }
            }
        }

        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A task type, agent or source: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or digit.
    ///
    /// Such a name needs no escape in a Redis key, a NATS subject, a URL or a JSON string.
    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "String")]
    Name, NotAName, "must match {PATTERN}", is_name
);
name!(
    /// The beginning of all names of a deployment that shares a server with others: 1 to 64 of
    /// `a-z 0-9 _ -`, the first a letter or digit. No character of a prefix separates names in
    /// Redis or NATS, so the names of two prefixes never overlap.
    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "String")]
    Prefix, NotAPrefix, "must match {PREFIX_PATTERN}", is_prefix
);
name!(
    /// The name that a process of an agent gives itself, such as `MacBook-Pro.local`: 1 to 128
    /// visible ASCII characters other than `"` and `\`, not beginning with `-`. It cannot be the
    /// name of a principal: it does not begin with `key:` or `user:`.
    ///
    /// Such a name needs no escape in a record or a JSON string.
    Worker, NotAWorker,
    "must have 1 to 128 visible ASCII characters without `\"` and `\\`, and begin with none of \
     `-`, `key:` and `user:`",
    is_worker
);

/// What separates the agent from the tenant in the name of a subject. No other name has it.
const FOR: char = '@';

/// An agent has a subject, the queue of its tasks, for each tenant and one for tasks of no tenant.
/// The name of the subject of `dev_agent` for tenant `acme` is `dev_agent@acme`.
impl Name {
    /// Returns the name of the subject that this agent has for a tenant. Without a tenant it is the
    /// name itself.
    pub fn for_tenant(&self, tenant: Option<&Self>) -> Self {
        match tenant {
            Some(tenant) => Self(format!("{}{FOR}{tenant}", self.agent())),
            None => self.clone(),
        }
    }

    /// Reads the name of a subject, as the store keeps it. A name that a client sends is read as one
    /// without a tenant, so that no client can name a subject of another.
    pub fn of_subject(text: &str) -> Result<Self, NotAName> {
        let (agent, tenant) =
            text.split_once(FOR).map_or((text, None), |(agent, tenant)| (agent, Some(tenant)));
        let tenant = tenant.map(Self::from_str).transpose()?;
        Ok(Self::from_str(agent)?.for_tenant(tenant.as_ref()))
    }

    /// Returns the tenant of this subject. `None` if it has none.
    pub fn tenant(&self) -> Option<Self> {
        self.0.split_once(FOR).map(|(_, tenant)| Self(tenant.to_owned()))
    }

    /// Returns the agent of this subject.
    pub fn agent(&self) -> Self {
        Self(self.0.split(FOR).next().unwrap_or_default().to_owned())
    }

    /// Returns whether this is a subject of `agent`, for a tenant or not.
    pub fn is_subject_of(&self, agent: &Self) -> bool {
        self.0.split(FOR).next() == Some(agent.as_str())
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(is_letter_or_digit)
        && text.chars().all(|letter| is_letter_or_digit(letter) || "._-".contains(letter))
}

fn is_letter_or_digit(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit()
}

fn is_prefix(text: &str) -> bool {
    !text.contains('.') && is_name(text)
}

fn is_worker(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !["-", "key:", "user:"].iter().any(|begin| text.starts_with(begin))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for good in good {
            assert!(T::from_str(good).is_ok(), "{good}");
        }
        for bad in bad {
            assert!(T::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_has_no_separator_of_redis_or_nats() {
        let long = "x".repeat(65);
        check::<Prefix>(
            &["a", "orchestrator", "acme-prod_2"],
            &["", "A", "a.b", "a:b", "a{0}", "a*", "a>", "a b", "-a", "é", &long],
        );
    }

    #[test]
    fn a_worker_can_have_the_name_of_its_machine() {
        let longest = "x".repeat(128);
        let long = "x".repeat(129);
        check::<Worker>(
            &[
                "MacBook-Pro.local",
                "w1",
                "DESKTOP-7F3K2",
                "celery@host:4711/2",
                "[::1]:80",
                &longest,
            ],
            &["", "-", "-a", "a b", "a\"b", "a\\b", "a\nb", "é", "key:ops", "user:alice", &long],
        );
    }

    #[test]
    fn no_client_can_name_a_subject_of_a_tenant() {
        let name = |text: &str| Name::from_str(text).unwrap();
        let own = name("dev_agent").for_tenant(Some(&name("acme")));

        assert_eq!(own.as_str(), "dev_agent@acme");
        assert_eq!((own.agent(), own.tenant()), (name("dev_agent"), Some(name("acme"))));
        assert_eq!(Name::of_subject("dev_agent@acme"), Ok(own.clone()));
        assert_eq!(own.for_tenant(Some(&name("acme"))), own);
        assert!(own.is_subject_of(&name("dev_agent")) && !own.is_subject_of(&name("dev")));
        assert_eq!(name("dev_agent").for_tenant(None).tenant(), None);
        check::<Name>(&[], &["dev_agent@acme", "@acme", "dev_agent@"]);
        for bad in ["@acme", "dev_agent@", "dev@a@b", "dev@A", ""] {
            assert!(Name::of_subject(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_safe_in_a_key_a_subject_and_a_url() {
        let longest = "x".repeat(64);
        let long = "x".repeat(65);
        check::<Name>(
            &["a", "dev_agent", "kb_update", "0", "a.b-c", &longest],
            &["", "_a", ".a", "A", "a b", "a\0", "é", "a{b}", "a*", "a:b", &long],
        );
    }
}
