//! The change of a status as the predecessor's clients ask for it.

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::task::Outcome;
use crate::engine::StatusChange;

use super::super::error::Refusal;
use super::super::field::Field;
use super::super::json::Raw;
use super::super::unknown::{Unknown, requests};
use super::dispatch::read_error;
use super::{Limits, REASON};

/// What is to become of a task.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct StatusRequest {
    /// The status: in_progress, completed, failed, cancelled. Required here or as a query parameter.
    status: Field<Option<String>>,
    /// Why it failed or was cancelled. Of a failure, what is more than 8,192 bytes as it is kept is cut off; of a cancel,
    /// at most 1,000 characters are accepted.
    error: Field<Option<String>>,
    /// What was found or made: any JSON, nested at most 64 deep.
    result: Field<Option<Raw>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(StatusRequest);

impl StatusRequest {
    /// The change, where the query parameters `status` and `error` stand in for what the body leaves out.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_change(
        self,
        status: Option<String>,
        error: Option<String>,
        limits: &Limits,
    ) -> Result<StatusChange, Refusal> {
        let mut faults = self.unknown.into_faults();
        let is_unreadable = matches!(self.status, Field::Wrong(_));
        let status = faults.optional("status", self.status).or(status);
        let error = match self.error {
            Field::Missing | Field::Given(None) => Field::Given(error),
            given => given,
        };
        let result = faults.optional("result", self.result).map(|raw| raw.0);
        let result = faults.sized("result", result, limits.max_json_bytes);
        let change = match status.as_deref() {
            Some("in_progress") => Some(StatusChange::InProgress),
            Some("completed") => Some(StatusChange::Ended(Outcome::Completed { result })),
            Some("failed") => Some(StatusChange::Ended(Outcome::Failed {
                error: read_error(&mut faults, error),
                is_retryable: false,
                retry_after_ms: None,
                result,
            })),
            Some("cancelled") => {
                let reason = faults.optional("error", error).filter(|reason| !reason.is_empty());
                Some(StatusChange::Cancelled { reason: faults.short("error", reason, REASON) })
            }
            Some(_) => {
                faults.add("status", "must be one of in_progress, completed, failed, cancelled");
                None
            }
            // Said already.
            None if is_unreadable => None,
            None => {
                faults.add("status", "is required, here or as a query parameter");
                None
            }
        };
        faults.finish(change)
    }
}

/// A task is not to be done after all.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Cancellation {
    /// Why, 1 to 1,000 characters; stands on the task as its error.
    reason: Field<Option<String>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Cancellation);

impl Cancellation {
    /// Why, if somebody said so.
    ///
    /// # Errors
    ///
    /// The reason is no text or too long.
    pub fn into_reason(self) -> Result<Option<String>, Refusal> {
        let mut faults = self.unknown.into_faults();
        let reason = faults.optional("reason", self.reason).filter(|reason| !reason.is_empty());
        let reason = faults.short("reason", reason, REASON);
        faults.finish(Some(reason))
    }
}
