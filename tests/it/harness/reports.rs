//! What agents send about the tasks that they hold.

use orchestrator::domain::report::{Outcome, Report};
use orchestrator::domain::task::Claimed;
use serde_json::{Value, json};

/// The report that an attempt ended so.
pub fn report_of(held: &Claimed, outcome: Outcome) -> Report {
    let (id, attempt, lease) = (held.task.id, held.task.attempt, held.lease.clone());
    Report { id, attempt, lease, outcome }
}

/// The body of a report on what a claim was answered with: its attempt and lease, and the members of `more`.
pub fn report_on(held: &Value, more: Value) -> Value {
    let mut body = json!({"attempt": held["attempt"], "lease": held["lease"]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
