//! A decision on an approval, as commands send it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::json::Members;

/// The body of a decision; the payload is sent byte for byte.
#[derive(Clone, Serialize)]
pub struct Decision {
    /// The comment, or the reason of a rejection.
    pub comment: Option<String>,
    /// The digest of the content that is decided on.
    pub digest: Option<String>,
    /// The payload that is to run instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
}

/// Returns one line about an approval after a decision.
pub fn result(approval: &Members) -> String {
    let status = approval.word("status");
    let task = approval.object("task");
    format!("{status}; task {} is {}", task.word("task_id"), task.word("status"))
}
