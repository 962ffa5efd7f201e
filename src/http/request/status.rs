//! The change of a task's status, in the form that the predecessor's clients use.

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::report::Outcome;
use crate::engine::StatusChange;

use super::super::bounds::{ERROR, REASON, Text};
use super::super::field::{Faults, Field};
use super::super::json::Raw;
use super::super::text::{GivenStatus, NewStatus};
use super::Limits;
use super::approval::read_comment;
use super::dispatch::read_error;

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[("StatusRequest", "error", ERROR), ("Cancellation", "reason", REASON)];

/// A new status of a task.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct StatusRequest {
    /// The new status. Required here or as a query parameter.
    status: Field<Option<NewStatus>>,
    /// Why the task failed or was cancelled. Of a failure, text beyond 8,192 bytes in stored form
    /// is cut off; of a cancellation, at most 1,000 characters are accepted.
    error: Field<Option<String>>,
    /// The result of the task: any JSON, nested at most 64 deep.
    result: Field<Option<Raw>>,
}

impl StatusRequest {
    /// Returns the change. The query parameters `status` and `error` are used if the body leaves
    /// these out.
    pub fn into_change(
        self,
        faults: &mut Faults,
        status: Option<GivenStatus>,
        error: Option<String>,
        limits: &Limits,
    ) -> Option<StatusChange> {
        let status = match (self.status, status) {
            (Field::Missing | Field::Given(None), Some(given)) => given.into_field(),
            (status, _) => status,
        };
        let is_unreadable = matches!(status, Field::Wrong(_));
        let status = faults.optional("status", status);
        let error = match self.error {
            Field::Missing | Field::Given(None) => Field::Given(error),
            given @ (Field::Given(Some(_)) | Field::Wrong(_)) => given,
        };
        let result = faults.optional("result", self.result).map(|raw| raw.0);
        let result = faults.sized("result", result, limits.max_json_bytes);
        match status {
            Some(NewStatus::InProgress) => Some(StatusChange::InProgress),
            Some(NewStatus::Completed) => Some(StatusChange::Ended(Outcome::Completed { result })),
            Some(NewStatus::Failed) => Some(StatusChange::Ended(Outcome::Failed {
                error: read_error(faults, error),
                is_retryable: false,
                retry_after_ms: None,
                result,
            })),
            Some(NewStatus::Cancelled) => {
                let reason = faults.optional("error", error);
                Some(StatusChange::Cancelled { reason: read_comment(faults, "error", reason) })
            }
            // The fault is already noted.
            None if is_unreadable => None,
            None => {
                faults.add("status", "is required, here or as a query parameter");
                None
            }
        }
    }
}

/// Ends a task that no longer needs to be done.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Cancellation {
    /// Why, 1 to 1,000 characters; becomes the error of the task.
    reason: Field<Option<String>>,
}

impl Cancellation {
    /// Returns the reason, if the caller gave one.
    pub fn into_reason(self, faults: &mut Faults) -> Option<String> {
        let reason = faults.optional("reason", self.reason);
        read_comment(faults, "reason", reason)
    }
}
