//! A human's decision on a task.

use std::str::FromStr;

use super::ids::{ApprovalId, TaskId};
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
    pub const ALL: [Self; 5] = [Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Cancelled];

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

/// A request for a decision, and the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its name for ever.
    pub id: ApprovalId,
    /// The task that waits for it.
    pub task: TaskId,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// The policy rule that asked for it.
    pub rule: String,
    /// Who submitted the task, and so may not decide.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: Millis,
    /// When silence becomes a no; none: never.
    pub expires_at: Option<Millis>,
    /// Who decided; `orchestrator` for an expiry.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<Millis>,
    /// What the decider said.
    pub comment: Option<String>,
}

/// A decision on an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Approve {
        /// At most 1,000 characters.
        comment: Option<String>,
    },
    /// No; ends the task.
    Reject {
        /// At most 1,000 characters; stands on the task as its error.
        reason: Option<String>,
    },
}
