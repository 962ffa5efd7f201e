//! The closed lists of words that only requests have.

use poem_openapi::types::{ParseFromParameter, ParseResult};

use crate::domain::word::{UnknownWord, words};

use super::super::described::described;
use super::super::field::Field;

words! {
    /// The status that a caller requests for a task.
    pub enum NewStatus {
        /// The caller takes the task under a long lease.
        InProgress = "in_progress",
        /// The caller completed the task.
        Completed = "completed",
        /// The caller failed for good.
        Failed = "failed",
        /// The task is cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// How an attempt ended, in one of several reports.
    pub enum OutcomeKind {
        /// The work is done.
        Completed = "completed",
        /// The attempt failed.
        Failed = "failed",
        /// The agent did not work on the task.
        Released = "released",
    }
}

words! {
    /// What an approver decides, in one of several decisions.
    pub enum Choice {
        /// The content may run.
        Approve = "approve",
        /// The content must not run.
        Reject = "reject",
    }
}

/// A [`NewStatus`] in the query, as it was sent: what stands there is refused as a field of the
/// body, whose place it takes.
#[derive(Debug)]
pub struct GivenStatus(pub String);

described!([] GivenStatus as NewStatus);

impl GivenStatus {
    /// The same as a field of the body.
    pub fn into_field(self) -> Field<Option<NewStatus>> {
        let word = self.0.parse().map(Some);
        word.map_or_else(|unknown: UnknownWord| Field::Wrong(unknown.to_string()), Field::Given)
    }
}

impl ParseFromParameter for GivenStatus {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(Self(value.to_owned()))
    }
}
