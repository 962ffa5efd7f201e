//! Decisions.

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::approval::Decision;

use super::super::error::Refusal;
use super::super::field::{Faults, Field, Fields};
use super::super::json::Raw;

/// The longest comment or reason, in characters.
const MAX_COMMENT: usize = 1_000;

/// Yes.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Approve {
    /// What the decider says, 1 to 1,000 characters.
    comment: Field<Option<String>>,
    /// Must be left out: a task is approved as it was submitted.
    payload: Field<Option<Raw>>,
}

impl Fields for Approve {}

/// No.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Reject {
    /// Why, 1 to 1,000 characters; stands on the task as its error.
    reason: Field<Option<String>>,
    /// The same as `reason`, which wins.
    comment: Field<Option<String>>,
}

impl Fields for Reject {}

impl Approve {
    /// The decision.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_decision(self) -> Result<Decision, Refusal> {
        let mut faults = Faults::default();
        let comment = faults.optional("comment", self.comment).filter(|comment| !comment.is_empty());
        let comment = faults.short("comment", comment, MAX_COMMENT);
        // Silence would let an approver believe that the agent gets another payload.
        if faults.optional("payload", self.payload).is_some() {
            faults.add("payload", "cannot be changed by an approval: reject it and submit another task");
        }
        faults.finish(Some(Decision::Approve { comment }))
    }
}

impl Reject {
    /// The decision; `reason` is the query parameter, for a body that has none.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_decision(self, reason: Option<String>) -> Result<Decision, Refusal> {
        let mut faults = Faults::default();
        let comment = faults.optional("comment", self.comment);
        let reason = faults.optional("reason", self.reason).or(reason).or(comment).filter(|text| !text.is_empty());
        let reason = faults.short("reason", reason, MAX_COMMENT);
        faults.finish(Some(Decision::Reject { reason }))
    }
}
