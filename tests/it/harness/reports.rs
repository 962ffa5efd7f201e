//! What agents send about the tasks that they hold.

use orchestrator::domain::report::{Outcome, Report};
use orchestrator::domain::task::Claimed;
use serde_json::{Value, json};

/// The report that an attempt ended so.
pub fn report_of(held: &Claimed, outcome: Outcome) -> Report {
    let (id, attempt, lease) = (held.task.id, held.task.attempt, held.lease.clone());
    Report { id, attempt, lease, outcome }
}

/// The id of a task in an answer.
pub fn id_of(task: &Value) -> String {
    task["task_id"].as_str().unwrap_or_else(|| panic!("no id in {task}")).to_owned()
}

/// The id of the approval in an answer that is one, or of the one that a task waits for.
pub fn approval_of(answer: &Value) -> String {
    answer["approval_id"].as_str().unwrap_or_else(|| panic!("no approval in {answer}")).to_owned()
}

/// The body of a report on what a claim was answered with: its attempt and lease, and the members of `more`.
pub fn report_on(held: &Value, more: Value) -> Value {
    let mut body = json!({"attempt": held["attempt"], "lease": held["lease"]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
