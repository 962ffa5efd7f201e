//! Names that a client chooses: task types, agents, sources, workers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What every name looks like; stands in error messages and in the API document.
pub const PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

/// A task type, agent, source or worker: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or digit.
///
/// Such a name is safe as it is in a Redis key, a NATS subject, a URL and a JSON string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The text is not a [`Name`].
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
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = (1..=64).contains(&bytes.len())
            && is_word(&bytes[0])
            && bytes.iter().all(|byte| is_word(byte) || b"._-".contains(byte));
        if is_valid { Ok(Self(text)) } else { Err(NotAName) }
    }
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

/// What a deployment's names begin with where it shares a server with others: 1 to 64 of `a-z 0-9 _ -`, the first a
/// letter or digit. No character of it parts names in Redis or NATS, so no prefix can lie within another's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

/// What every prefix looks like.
pub const PREFIX_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The text is not a [`Prefix`].
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
    fn a_prefix_parts_nothing_in_redis_or_nats() {
        for good in ["a", "orchestrator", "acme-prod_2"] {
            assert!(Prefix::from_str(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a.b", "a:b", "a{0}", "a*", "a>", "a b", "-a", "é", &"x".repeat(65)] {
            assert!(Prefix::from_str(bad).is_err(), "{bad}");
        }
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
