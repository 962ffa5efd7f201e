//! Names that a client chooses: task types, agents, sources, workers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The regular expression of names, which error messages and the API document show.
pub const PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// A task type, agent or source: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or digit.
///
/// Such a name needs no escape in a Redis key, a NATS subject, a URL or a JSON string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The error of reading a text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must match {PATTERN}")]
pub struct NotAName;

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let bytes = text.as_bytes();
        let is_valid = (1..=64).contains(&bytes.len())
            && is_letter_or_digit(bytes[0])
            && bytes.iter().all(|byte| is_letter_or_digit(*byte) || b"._-".contains(byte));
        if is_valid { Ok(Self(text)) } else { Err(NotAName) }
    }
}

fn is_letter_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The beginning of all names of a deployment that shares a server with others: 1 to 64 of `a-z 0-9
/// _ -`, the first a letter or digit. No character of a prefix separates names in Redis or NATS, so
/// the names of two prefixes never overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

/// The regular expression of prefixes, which error messages show.
pub const PREFIX_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The error of reading a text that is not a [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must match {PREFIX_PATTERN}")]
pub struct NotAPrefix;

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = NotAPrefix;

    fn try_from(text: String) -> Result<Self, NotAPrefix> {
        let is_valid = !text.contains('.') && Name::try_from(text.clone()).is_ok();
        if is_valid { Ok(Self(text)) } else { Err(NotAPrefix) }
    }
}

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        Self::try_from(text.to_owned())
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The regular expression of worker names, which error messages and the API document show.
pub const WORKER_PATTERN: &str = "^[!#-,.-\\[\\]-~][!#-\\[\\]-~]{0,127}$";

/// The name that a process of an agent gives itself, such as `MacBook-Pro.local`: 1 to 128 visible
/// ASCII characters other than `"` and `\`, not beginning with `-`. It cannot be the name of a
/// principal: it does not begin with `key:` or `user:`.
///
/// Such a name needs no escape in a record or a JSON string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker(String);

/// The error of reading a text that is not a [`Worker`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have 1 to 128 visible ASCII characters without `\"` and `\\`, and begin with none of \
     `-`, `key:` and `user:`"
)]
pub struct NotAWorker;

impl Worker {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Worker {
    type Err = NotAWorker;

    fn from_str(text: &str) -> Result<Self, NotAWorker> {
        if !(1..=128).contains(&text.len()) {
            return Err(NotAWorker);
        }
        if ["-", "key:", "user:"].iter().any(|begin| text.starts_with(begin)) {
            return Err(NotAWorker);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)) {
            return Err(NotAWorker);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_separator_of_redis_or_nats() {
        for good in ["a", "orchestrator", "acme-prod_2"] {
            assert!(Prefix::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a.b", "a:b", "a{0}", "a*", "a>", "a b", "-a", "é", &"x".repeat(65)] {
            assert!(Prefix::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_worker_can_have_the_name_of_its_machine() {
        for good in ["MacBook-Pro.local", "w1", "DESKTOP-7F3K2", "celery@host:4711/2", "[::1]:80"] {
            assert!(Worker::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "-a", "a b", "a\"b", "a\\b", "a\nb", "é", "key:ops", "user:alice"] {
            assert!(Worker::from_str(bad).is_err(), "{bad}");
        }
        assert!(Worker::from_str(&"x".repeat(128)).is_ok());
        assert!(Worker::from_str(&"x".repeat(129)).is_err());
    }

    #[test]
    fn a_name_is_safe_in_a_key_a_subject_and_a_url() {
        for good in ["a", "dev_agent", "kb_update", "0", "a.b-c", &"x".repeat(64)] {
            assert!(Name::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "_a", ".a", "A", "a b", "a\0", "é", "a{b}", "a*", "a:b", &"x".repeat(65)] {
            assert!(Name::from_str(bad).is_err(), "{bad}");
        }
    }
}
