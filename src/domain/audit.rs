//! The audit log: who did what that somebody must answer for, each entry bound to the one before it by its hash.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::ids::Partition;
use super::principal::Role;
use super::task::Millis;

/// What the first entry of a chain follows on.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// In whose chain it is.
    pub partition: Partition,
    /// Its number there, from 1 on without a gap.
    pub sequence: u64,
    /// When; never before the entry before it.
    pub at: Millis,
    /// Who, as [`super::principal::Principal`] is shown, or `orchestrator`.
    pub actor: String,
    /// From where, as [`super::principal::Origin`] is shown; empty: not known.
    pub origin: String,
    /// What was done: vote, edit, approve, reject, retarget, cancel, requeue, pause, resume, key.added, key.removed,
    /// key.changed.
    pub action: String,
    /// To what, such as `task:<id>`, `approval:<id>`, `agent:<name>`, `key:<name>`.
    pub subject: String,
    /// What more there is to say, by name.
    pub detail: BTreeMap<String, String>,
    /// The hash of the entry before it; [`NO_HASH`]: there was none.
    pub previous: String,
    /// SHA-256 over `previous` and all of the above, hexadecimal.
    pub hash: String,
}

/// Where a partition's chain begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// Whose.
    pub partition: Partition,
    /// The newest entry's number; 0: there was never one.
    pub sequence: u64,
    /// The newest entry's hash.
    pub hash: String,
    /// The number of the newest entry that is gone because its retention was over; 0: none is gone.
    pub trimmed: u64,
    /// That entry's hash, which the oldest one kept follows on.
    pub trimmed_hash: String,
}

/// Where an entry stands among those of all partitions, which are ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// The entry's time.
    pub at: Millis,
    /// Its partition, which decides between equal times.
    pub partition: Partition,
    /// Its place among the partition's entries of that time, from 0.
    pub nth: u64,
}

impl fmt::Display for AuditPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.at, self.partition, self.nth)
    }
}

/// The text is no [`AuditPlace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that a page gave")]
pub struct NotAPlace;

impl FromStr for AuditPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let mut words = text.splitn(3, '-');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or(NotAPlace);
        let (at, partition, nth) = (number()?, number()?, number()?);
        Ok(Self { at, partition: Partition(u8::try_from(partition).map_err(|_| NotAPlace)?), nth })
    }
}

/// Which entries to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
}

impl AuditFilter {
    /// Whether every part of it holds.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let holds = |wanted: &Option<String>, is: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == is)
        };
        holds(&self.actor, &entry.actor)
            && holds(&self.action, &entry.action)
            && holds(&self.subject, &entry.subject)
    }
}

/// A credential that a gateway was told to accept, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `key:<name>` or `secret:jwt`.
    pub subject: String,
    /// The role; none: each token brings its own.
    pub role: Option<Role>,
    /// The first 16 digits of the secret's SHA-256: enough to see that it is another.
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_text_and_nothing_else_does() {
        let place = AuditPlace { at: 1_764_000_000_000, partition: Partition(7), nth: 12 };

        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in [
            "",
            "1",
            "1-2",
            "1-256-0",
            "1-2-3-4",
            "-1-2-3",
            "a-b-c",
            "1-2-+",
            "1-2-99999999999999999999",
        ] {
            assert_eq!(bad.parse::<AuditPlace>(), Err(NotAPlace), "{bad}");
        }
    }
}
