//! A human's decision on a task: who may make it, on what, and what comes of silence.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::decision::Author;
use super::ids::{ApprovalId, TaskId};
use super::principal::Role;
use super::task::Millis;

/// Where a request for a decision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalStatus {
    /// Nobody has decided.
    Pending,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody answered in time, which means no.
    Expired,
    /// The task was called off before anybody decided.
    Cancelled,
}

impl ApprovalStatus {
    /// Every status; each is a sorted set in the store.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Cancelled];

    /// The word on the wire and in the store's keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for ApprovalStatus {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or(UnknownStatus)
    }
}

/// The word names no [`ApprovalStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of pending, approved, rejected, expired, cancelled")]
pub struct UnknownStatus;

/// What happens to an approval that nobody decided in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// The task is cancelled.
    Reject,
    /// The task stays blocked until somebody decides.
    Hold,
    /// Others are asked; if they are silent too, the task is cancelled.
    Escalate,
}

impl OnExpiry {
    /// The word in the configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Hold => "hold",
            Self::Escalate => "escalate",
        }
    }
}

/// The members of each group of deciders, as `key:<name>` or `user:<sub>`; each stands for a person.
pub type Groups = BTreeMap<String, Vec<String>>;

/// Who is asked, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Callers of these roles may decide. With no role and no group: everybody whose role may decide at all.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Members of these groups may decide.
    #[serde(default)]
    pub groups: Vec<String>,
    /// How long they are waited for.
    pub expires_after_ms: Millis,
}

impl Level {
    /// Whether everybody is asked whose role may decide at all.
    pub fn is_anybody(&self) -> bool {
        self.roles.is_empty() && self.groups.is_empty()
    }
}

/// How a decision is made. An approval keeps the terms that it was asked under, whatever the configuration says later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who is asked at first and, when they are silent, after them: at least one.
    pub levels: Vec<Level>,
    /// How many must say yes, 1 to 20. One no is enough.
    pub quorum: u32,
    /// Whether a person who wrote the payload is not among those who say yes to it.
    pub four_eyes: bool,
    /// What silence means.
    pub on_expiry: OnExpiry,
    /// How often those who are asked are reminded; none: never.
    pub remind_every_ms: Option<Millis>,
}

impl Terms {
    /// The level of this number; past the last: the last.
    pub fn level(&self, number: usize) -> Option<&Level> {
        self.levels.get(number).or(self.levels.last())
    }
}

/// What the configuration says of terms; what it leaves out is as for every approval.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TermsSetting {
    /// See [`Level::roles`].
    pub roles: Vec<Role>,
    /// See [`Level::groups`].
    pub groups: Vec<String>,
    /// See [`Terms::quorum`]; 1 if left out.
    pub quorum: Option<u32>,
    /// See [`Terms::four_eyes`].
    pub four_eyes: bool,
    /// How long the first level is waited for.
    pub expires_after_ms: Option<Millis>,
    /// What happens then.
    pub on_expiry: Option<OnExpiry>,
    /// Who is asked after that, with `escalate`.
    pub escalate_to: Vec<Level>,
    /// See [`Terms::remind_every_ms`]; 0: never.
    pub remind_every_ms: Option<Millis>,
}

impl TermsSetting {
    /// The terms, given what holds for every approval.
    pub fn resolve(&self, expires_after_ms: Millis, on_expiry: OnExpiry) -> Terms {
        let first = Level {
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            expires_after_ms: self.expires_after_ms.unwrap_or(expires_after_ms),
        };
        Terms {
            levels: std::iter::once(first).chain(self.escalate_to.iter().cloned()).collect(),
            quorum: self.quorum.unwrap_or(1),
            four_eyes: self.four_eyes,
            on_expiry: self.on_expiry.unwrap_or(on_expiry),
            remind_every_ms: self.remind_every_ms.filter(|ms| *ms > 0),
        }
    }
}

/// What a request for a decision is about.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Whether the task may run at all: the policy asks.
    Gate,
    /// Whether the agent that works on it may take a step.
    Step {
        /// Why it asks.
        reason: String,
        /// What it wants to do: any JSON.
        action: Option<Box<RawValue>>,
        /// What a no leads to.
        on_rejection: OnRejection,
    },
}

impl Asked {
    /// The word on the wire and in the store.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Step { .. } => "ask",
        }
    }
}

/// What a no to a step that an agent asked about leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnRejection {
    /// The task is cancelled.
    #[default]
    Cancel,
    /// The agent gets the task back, and is told.
    Return,
}

impl OnRejection {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Return => "return",
        }
    }
}

impl FromStr for OnRejection {
    type Err = UnknownOnRejection;

    fn from_str(word: &str) -> Result<Self, UnknownOnRejection> {
        [Self::Cancel, Self::Return]
            .into_iter()
            .find(|one| one.as_str() == word)
            .ok_or(UnknownOnRejection)
    }
}

/// The word names no [`OnRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of cancel, return")]
pub struct UnknownOnRejection;

/// One yes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// What he said.
    pub comment: Option<String>,
}

/// A payload that an approver changed.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Who did, last.
    pub by: String,
    /// The payload as it was submitted.
    pub original: Box<RawValue>,
    /// Where the payload differs from that: a list of [`super::content::Change`]s.
    pub changes: Box<RawValue>,
}

/// A request for a decision, and the decision.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Its name for ever.
    pub id: ApprovalId,
    /// The task that waits for it.
    pub task: TaskId,
    /// What it is about.
    pub asked: Asked,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// The policy rule that asked for it.
    pub rule: String,
    /// What exactly is decided on: see [`super::content::Content::digest`].
    pub digest: String,
    /// How it is decided.
    pub terms: Terms,
    /// Which of the levels is asked, from 0.
    pub level: usize,
    /// Who said yes so far.
    pub votes: Vec<Vote>,
    /// What an approver changed, if one did.
    pub edit: Option<Edit>,
    /// Who wrote which payload in place of the submitted one, for this approval or one before it.
    pub authors: Vec<Author>,
    /// One more for every time that votes, content or those who are asked change.
    pub revision: u64,
    /// Who submitted the task, or the agent that asked; may not decide.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: Millis,
    /// When the wait for this level ends; none: never.
    pub expires_at: Option<Millis>,
    /// Who decided; `orchestrator` for an expiry.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Millis>,
    /// What the decider said.
    pub comment: Option<String>,
    /// The approval of the same task before this one.
    pub previous: Option<ApprovalId>,
}

/// A decision on an approval.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// At most 1,000 characters; of a no, stands on the task as its error.
    pub comment: Option<String>,
    /// The digest of what the decider saw: the decision is refused if there is something else to decide by now. None:
    /// whatever was submitted; not enough once an approver has changed it.
    pub digest: Option<String>,
}

/// Yes or no.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Yes; with a payload: to that one.
    Approve {
        /// A JSON object in place of the payload.
        payload: Option<Box<RawValue>>,
    },
    /// No.
    Reject,
}

impl Decision {
    /// Yes, as it stands.
    pub fn approve(comment: Option<String>) -> Self {
        Self { verdict: Verdict::Approve { payload: None }, comment, digest: None }
    }

    /// No.
    pub fn reject(reason: Option<String>) -> Self {
        Self { verdict: Verdict::Reject, comment: reason, digest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_take_from_every_approvals_what_their_rule_leaves_out() {
        let json = r#"{"quorum": 2, "on_expiry": "escalate", "escalate_to": [{"roles": ["admin"], "expires_after_ms": 5}]}"#;
        let setting: TermsSetting = serde_json::from_str(json).unwrap();

        let terms = setting.resolve(9, OnExpiry::Reject);

        assert_eq!((terms.quorum, terms.on_expiry, terms.levels.len()), (2, OnExpiry::Escalate, 2));
        assert_eq!((terms.levels[0].expires_after_ms, terms.level(7)), (9, terms.levels.last()));
        assert_eq!(TermsSetting::default().resolve(9, OnExpiry::Hold).on_expiry, OnExpiry::Hold);
    }
}
