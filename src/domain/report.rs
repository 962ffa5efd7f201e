//! The report of an agent on an attempt, and the comparison of two reports.

use serde_json::value::RawValue;

use super::ids::TaskId;
use super::lease::{Attempt, Lease, digest};
use super::lifecycle::Verb;
use super::time::Millis;

/// The outcome of an attempt, as its agent reports it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The work is done, with any JSON as the result.
    Completed {
        /// What the agent found or made. `None` if there is nothing to keep.
        result: Option<Box<RawValue>>,
    },
    /// The attempt failed; the task is tried again if that makes sense and a retry is left.
    Failed {
        /// The reason of the failure in 1 to 8,192 bytes, which the task shows as its error.
        error: String,
        /// Whether another attempt makes sense.
        is_retryable: bool,
        /// How many milliseconds to wait before the next attempt. `None` means the usual back-off.
        retry_after_ms: Option<Millis>,
        /// What the agent found before it failed. `None` if there is nothing to keep.
        result: Option<Box<RawValue>>,
    },
    /// The agent returns the task without having worked on it. It costs no retry.
    Released,
}

impl Outcome {
    /// Returns the verb by which an agent reports this outcome.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Completed { .. } => Verb::Complete,
            Self::Failed { .. } => Verb::Fail,
            Self::Released => Verb::Release,
        }
    }

    /// Returns 12 characters that identify the report. Two outcomes differ in them, and two results
    /// that differ in any byte.
    pub fn digest(&self) -> String {
        match self {
            Self::Completed { .. } => digest(&["completed", self.result()]),
            Self::Failed { error, is_retryable, retry_after_ms, .. } => {
                let next = format!("{is_retryable} {retry_after_ms:?}");
                digest(&["failed", &next, error, self.result()])
            }
            Self::Released => digest(&["released"]),
        }
    }

    /// Returns the result as JSON. Empty if there is none.
    pub fn result(&self) -> &str {
        match self {
            Self::Completed { result } | Self::Failed { result, .. } => {
                result.as_deref().map_or("", RawValue::get)
            }
            Self::Released => "",
        }
    }
}

/// An agent's report on one attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// The task that the agent reports on.
    pub id: TaskId,
    /// The number of the attempt. A report with an earlier number is refused.
    pub attempt: Attempt,
    /// The token from the claim. A wrong one is refused like an earlier attempt.
    pub lease: Lease,
    /// The outcome of the attempt: completed, failed or released.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(result: &str) -> Outcome {
        let result = RawValue::from_string(result.to_owned()).unwrap();
        Outcome::Completed { result: Some(result) }
    }

    fn failed(error: &str, is_retryable: bool, retry_after_ms: Option<u64>) -> Outcome {
        Outcome::Failed { error: error.to_owned(), is_retryable, retry_after_ms, result: None }
    }

    #[test]
    fn different_reports_have_different_digests() {
        let outcomes = [
            Outcome::Completed { result: None },
            completed("null"),
            completed(r#"{"a":1}"#),
            completed(r#"{"a": 1}"#),
            failed("x", true, None),
            failed("x", false, None),
            failed("x", true, Some(0)),
            failed("y", true, None),
            Outcome::Released,
        ];
        let digests: std::collections::BTreeSet<_> = outcomes.iter().map(Outcome::digest).collect();

        assert_eq!(digests.len(), outcomes.len());
        assert_eq!(completed("[1]").digest(), completed("[1]").digest());
    }
}
