//! A human's decision on a task: who may make it, about what, and what happens when it expires.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ids::{ApprovalId, TaskId};
use super::name::Name;
use super::principal::Role;
use super::submission::Heading;
use super::time::Millis;
use super::word::words;

words! {
    /// The status of an approval. Only `pending` can change; the other four are final.
    pub enum ApprovalStatus {
        /// The approval waits for a decision or for the next approver of its quorum.
        Pending = "pending",
        /// As many approvers as the quorum needs approved it.
        Approved = "approved",
        /// One approver rejected it, which is enough for every quorum.
        Rejected = "rejected",
        /// Its time ran out without a decision, which counts as a rejection.
        Expired = "expired",
        /// The task was cancelled before enough approvers had decided on this approval.
        Cancelled = "cancelled",
    }
}

words! {
    /// What happens when the last level of an approval has not decided in time.
    pub enum OnExpiry {
        /// The task is cancelled.
        Reject = "reject",
        /// The task stays blocked until an approver decides, however long that takes.
        Hold = "hold",
        /// The next level is asked. If the last level does not decide either, the task is cancelled.
        Escalate = "escalate",
    }
}

/// The members of each group of approvers, as `key:<name>` or `user:<sub>`. Each member stands for
/// a person.
pub type Groups = BTreeMap<String, Vec<String>>;

/// The approvers who are asked together, and how long they have to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Callers with one of these roles may decide. If there is neither a role nor a group, every
    /// caller may whose role can decide approvals.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Members of these groups may decide, in addition to callers with one of the roles.
    #[serde(default)]
    pub groups: Vec<String>,
    /// How many milliseconds this level has before the approval escalates or expires.
    pub expires_after_ms: Millis,
}

impl Level {
    /// Whether every caller may decide whose role can decide approvals at all.
    pub fn asks_everyone(&self) -> bool {
        self.roles.is_empty() && self.groups.is_empty()
    }
}

/// How a decision is made. An approval keeps the terms under which it was requested, even if the
/// configuration changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The levels in the order in which they are asked, at least one.
    pub levels: Vec<Level>,
    /// How many people must approve, 1 to 20. One rejection is always enough.
    pub quorum: u32,
    /// Whether a person who edited the payload is barred from approving that payload.
    pub four_eyes: bool,
    /// What happens when a level has not decided before its time runs out.
    pub on_expiry: OnExpiry,
    /// The interval of reminders to the level that is asked. `None` if there are no reminders.
    pub remind_every_ms: Option<Millis>,
}

impl Terms {
    /// Returns the level of this number, from 0. Numbers past the end give the last level.
    pub fn level(&self, number: usize) -> Option<&Level> {
        self.levels.get(number).or(self.levels.last())
    }
}

/// The terms as the configuration gives them. The settings for all approvals give what is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TermsSetting {
    /// The roles of the first level; see [`Level::roles`]. Empty by default.
    pub roles: Vec<Role>,
    /// The groups of the first level; see [`Level::groups`]. Empty by default.
    pub groups: Vec<String>,
    /// How many people must approve; see [`Terms::quorum`]. 1 if it is left out.
    pub quorum: Option<u32>,
    /// Whether editors may not approve their own text; see [`Terms::four_eyes`].
    pub four_eyes: bool,
    /// How many milliseconds the first level has to decide.
    pub expires_after_ms: Option<Millis>,
    /// What happens when the first level has not decided in that time.
    pub on_expiry: Option<OnExpiry>,
    /// The levels that are asked after the first one, if `on_expiry` is `escalate`.
    pub escalate_to: Vec<Level>,
    /// The interval of reminders; see [`Terms::remind_every_ms`]. 0 turns them off.
    pub remind_every_ms: Option<Millis>,
}

impl TermsSetting {
    /// Returns the complete terms. The arguments replace what this setting leaves out.
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

/// What an approval is about: the whole task, or one step of its agent.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Whether the task may run at all. The policy requires this approval at submission.
    Gate,
    /// Whether the agent that holds the task may take a step. The agent requested this approval.
    Step {
        /// Why the agent asks, in its own words; shown to approvers.
        reason: String,
        /// What the agent wants to do: any JSON. `None` if it gave only a reason.
        action: Option<Box<RawValue>>,
        /// What happens to the task if the request is rejected or expires.
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

words! {
    /// What happens to the task when an approval request of its agent is rejected or expires.
    #[derive(Default)]
    pub enum OnRejection {
        /// The task is cancelled.
        #[default]
        Cancel = "cancel",
        /// The task returns to its agent, which reads the rejection and continues without the step.
        Return = "return",
    }
}

/// One approval by one person, of the several that a quorum needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Vote {
    /// The approver, as [`super::principal::Principal`] is displayed.
    pub by: String,
    /// When the approver approved, as an RFC 3339 time in UTC.
    pub at: String,
    /// What the approver wrote about it. `None` if the call had no comment.
    pub comment: Option<String>,
}

/// The change of a payload by an approver, compared with the submitted payload.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The approver who made the newest change of the payload.
    pub by: String,
    /// The payload as it was submitted.
    pub original: Box<RawValue>,
    /// Where the current payload differs from it: a list of [`super::content::Change`]s.
    pub changes: Box<RawValue>,
}

/// An approver who replaced the payload of a task, and the digest of the new payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The payload, by its [`super::decision::payload_digest`]; `*` for an author of more payloads
    /// than the store keeps.
    pub payload: String,
    /// The author, as the store keeps actors: see [`super::people`].
    pub by: String,
}

/// A request for a decision on a task and, once it is made, the decision.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The identifier. It never changes and is never used again.
    pub id: ApprovalId,
    /// The task that waits for it.
    pub task: TaskId,
    /// What approvers see of the task in a list.
    pub heading: Heading,
    /// What approvers decide on: the whole task or one step.
    pub asked: Asked,
    /// The status; only a pending approval can be decided.
    pub status: ApprovalStatus,
    /// The name of the policy rule that required it, which approvers see as the reason.
    pub rule: String,
    /// The digest of exactly what is decided on: see [`super::content::Content::digest`].
    pub digest: String,
    /// The terms under which it was requested, which stay the same.
    pub terms: Terms,
    /// The number of the level that is asked now, from 0.
    pub level: usize,
    /// The approvals so far, oldest first; fewer than the quorum while it is pending.
    pub votes: Vec<Vote>,
    /// The change of the payload. `None` if no approver changed it.
    pub edit: Option<Edit>,
    /// The authors of payloads that replaced the submitted one, for this approval or an earlier one
    /// of the task.
    pub authors: Vec<Author>,
    /// A counter that grows with every change of the votes, the content or the level asked.
    pub revision: u64,
    /// The caller who submitted the task, or the agent that requested it, who may not decide.
    pub requested_by: String,
    /// When the approval was requested, in milliseconds since 1970.
    pub requested_at: Millis,
    /// When the time of the current level runs out. `None` if the approval never expires.
    pub expires_at: Option<Millis>,
    /// The approver whose decision was final; `orchestrator` if the approval expired.
    pub decided_by: Option<String>,
    /// When the final decision was made. `None` while it is pending.
    pub decided_at: Option<Millis>,
    /// What the approver wrote about the final decision, if anything.
    pub comment: Option<String>,
    /// The approval of the same task before this one. `None` if this is the first.
    pub previous: Option<ApprovalId>,
}

/// A decision on an approval, as a caller sends it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether the caller approves or rejects.
    pub verdict: Verdict,
    /// A comment of at most 1,000 characters. For a rejection, it becomes the error of the task.
    pub comment: Option<String>,
    /// The digest of what the approver saw. The decision is refused if the content has changed
    /// since. `None` means the submitted content, and is refused once an approver has edited it.
    pub digest: Option<String>,
}

/// The two possible decisions on an approval.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The approver approves; with a payload, exactly that payload.
    Approve {
        /// A JSON object that replaces the payload of the task before it runs.
        payload: Option<Box<RawValue>>,
    },
    /// The approver rejects, which is enough for every quorum.
    Reject,
}

impl Approval {
    /// Returns the tenant that the task belongs to. `None` if it belongs to none.
    pub fn tenant(&self) -> Option<Name> {
        self.heading.agent.as_ref().and_then(Name::tenant)
    }
}

impl Decision {
    /// Returns an approval of the content as the approver sees it, without an edit or a digest.
    pub fn approve(comment: Option<String>) -> Self {
        Self { verdict: Verdict::Approve { payload: None }, comment, digest: None }
    }

    /// Returns a rejection, whose reason becomes the error of a cancelled task.
    pub fn reject(reason: Option<String>) -> Self {
        Self { verdict: Verdict::Reject, comment: reason, digest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_take_missing_values_from_the_defaults() {
        let json = r#"{"quorum": 2, "on_expiry": "escalate", "escalate_to": [{"roles": ["admin"], "expires_after_ms": 5}]}"#;
        let setting: TermsSetting = serde_json::from_str(json).unwrap();

        let terms = setting.resolve(9, OnExpiry::Reject);

        assert_eq!((terms.quorum, terms.on_expiry, terms.levels.len()), (2, OnExpiry::Escalate, 2));
        assert_eq!((terms.levels[0].expires_after_ms, terms.level(7)), (9, terms.levels.last()));
        assert_eq!(TermsSetting::default().resolve(9, OnExpiry::Hold).on_expiry, OnExpiry::Hold);
    }
}
