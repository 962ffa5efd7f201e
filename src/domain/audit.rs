//! The audit log: who did what to tasks, approvals, agents and credentials. The hash of each entry
//! binds it to the entry before it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::ids::Partition;
use super::principal::Role;
use super::time::Millis;

/// The value of [`AuditEntry::previous`] in the first entry of a chain.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One entry of the audit log: one action of one actor on one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The partition whose chain the entry belongs to.
    pub partition: Partition,
    /// The number of the entry in its chain, from 1 on without a gap.
    pub sequence: u64,
    /// When it happened, in milliseconds since 1970; never earlier than the entry before it.
    pub at: Millis,
    /// Who acted, as [`super::principal::Principal`] is displayed, or `orchestrator`.
    pub actor: String,
    /// The caller's address, as [`super::principal::Origin`] is displayed. Empty if unknown.
    pub origin: String,
    /// What was done: vote, edit, approve, reject, retarget, cancel, requeue, reprioritize, bulk,
    /// abort, pause, resume, key.added, key.removed, key.changed, key.created, key.rotated,
    /// key.revoked, refuse.
    pub action: String,
    /// What the action changed, such as `task:<id>`, `approval:<id>`, `bulk:<id>`,
    /// `agent:<name>`, `key:<name>`, or the `call:<method> <path>` that was refused.
    pub subject: String,
    /// Further facts by name, such as `reason` or `comment`; often empty.
    pub detail: BTreeMap<String, String>,
    /// The hash of the entry before it; [`NO_HASH`] if this is the first entry.
    pub previous: String,
    /// SHA-256 over `previous` and all of the above, hexadecimal.
    pub hash: String,
}

/// The two ends of a partition's chain: what a verifier compares the entries with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditChain {
    /// The partition that this chain belongs to.
    pub partition: Partition,
    /// The number of the newest entry; 0 if there was never one.
    pub sequence: u64,
    /// The hash of the newest entry; [`NO_HASH`] if there was never one.
    pub hash: String,
    /// The number of the newest entry that was deleted after its retention; 0 if none was.
    pub trimmed: u64,
    /// The hash of that deleted entry, which the oldest kept entry follows.
    pub trimmed_hash: String,
}

/// The cursor of an entry in the list of all partitions, which is ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// The time of the entry, in milliseconds since 1970.
    pub at: Millis,
    /// The partition of the entry, which orders entries of the same time.
    pub partition: Partition,
    /// The rank of the entry among the entries of its partition with the same time, from 0.
    pub nth: u64,
}

impl fmt::Display for AuditPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}-{}", self.at, self.partition, self.nth)
    }
}

/// The error of reading a text that is not an [`AuditPlace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that a page gave")]
pub struct NotAPlace;

impl FromStr for AuditPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let words: Vec<&str> = text.splitn(3, '-').collect();
        let [at, partition, nth] = words.as_slice() else { return Err(NotAPlace) };
        let place = Self {
            at: at.parse().map_err(|_| NotAPlace)?,
            partition: Partition(partition.parse().map_err(|_| NotAPlace)?),
            nth: nth.parse().map_err(|_| NotAPlace)?,
        };
        // A number has other forms than the one that is written, such as +1 and 01.
        if place.to_string() == text { Ok(place) } else { Err(NotAPlace) }
    }
}

/// Which entries to list: those that match every part that is given.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only entries of this actor. `None` if every actor matches.
    pub actor: Option<String>,
    /// Only entries of this action. `None` if every action matches.
    pub action: Option<String>,
    /// Only entries about this subject. `None` if every subject matches.
    pub subject: Option<String>,
}

impl AuditFilter {
    /// Returns whether the entry matches every part that is given.
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        self.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && self.action.as_ref().is_none_or(|action| *action == entry.action)
            && self.subject.as_ref().is_none_or(|subject| *subject == entry.subject)
    }
}

/// A credential that the settings of a gateway accept, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The name of the credential: `key:<name>`, `secret:jwt` for the secret of all tokens, or
    /// `secret:oidc` for that with the identity provider.
    pub subject: String,
    /// The role that the credential gives. `None` if each token names its own role.
    pub role: Option<Role>,
    /// The first 16 hexadecimal digits of the SHA-256 of the secret: enough to notice a change.
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_written_cursor_is_read_back() {
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
            "+1-2-3",
            "01-2-3",
            "1-2-99999999999999999999",
        ] {
            assert_eq!(bad.parse::<AuditPlace>(), Err(NotAPlace), "{bad}");
        }
    }
}
