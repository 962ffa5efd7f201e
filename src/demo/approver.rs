//! The approver: lists pending approvals, reads each, and approves it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::print::{Line, Mood};
use super::teller::{Notice, millis};
use super::{Caller, Error, Page, Task};

/// The interval at which the approver lists pending approvals.
const POLL: Duration = Duration::from_millis(100);

/// How long the approver reads before the decision.
const READING: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize)]
struct Approval {
    approval_id: String,
    rule: String,
    requested_at: String,
}

#[derive(Debug, Deserialize)]
struct Detail {
    task: Task,
}

/// Approves pending approvals until it is dropped or a call fails.
pub(super) async fn serve(caller: Caller) -> Result<(), Error> {
    loop {
        let pending: Page<Approval> = caller.get("/approvals/pending").await?;
        for approval in pending.items {
            decide(&caller, &approval).await?;
        }
        sleep(POLL).await;
    }
}

async fn decide(caller: &Caller, approval: &Approval) -> Result<(), Error> {
    let path = format!("/approvals/{}", approval.approval_id);
    let Detail { task } = caller.get(&path).await?;
    let comment = match task.kind.as_str() {
        "bugfix" => "go ahead, checkout comes first",
        _ => "it ran on staging for a while, ship it",
    };
    caller.tell(Notice::Happened(Line {
        at: millis(&approval.requested_at),
        kind: task.kind,
        id: task.task_id,
        what: "approval asked for".to_owned(),
        who: "orchestrator".to_owned(),
        why: format!("rule: {}", approval.rule),
        mood: Mood::Waiting,
    }));
    sleep(READING).await;
    let body = json!({ "comment": comment });
    caller.post::<Value>(&format!("{path}/approve"), &body).await?;
    Ok(())
}
