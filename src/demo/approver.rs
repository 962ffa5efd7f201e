//! The approver: lists pending approvals, reads each, and approves it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::teller::Notice;
use super::{Caller, Error, Task};

/// The interval at which the approver lists pending approvals.
const POLL: Duration = Duration::from_millis(100);

/// How long the approver reads before the decision.
const READING: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize)]
struct Pending {
    items: Vec<Approval>,
}

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
        let pending: Pending =
            caller.client.get("/approvals/pending").await.map_err(caller.failed())?;
        for approval in pending.items {
            decide(&caller, &approval).await?;
        }
        sleep(POLL).await;
    }
}

async fn decide(caller: &Caller, approval: &Approval) -> Result<(), Error> {
    let path = format!("/approvals/{}", approval.approval_id);
    let Detail { task } = caller.client.get(&path).await.map_err(caller.failed())?;
    caller.tell(Notice::Asked {
        task: task.task_id,
        at: approval.requested_at.clone(),
        rule: approval.rule.clone(),
    });
    sleep(READING).await;
    let comment = match task.kind.as_str() {
        "bugfix" => "go ahead, checkout comes first",
        _ => "it ran on staging for a while, ship it",
    };
    let body = json!({ "comment": comment });
    caller
        .client
        .post::<Value>(&format!("{path}/approve"), &body)
        .await
        .map_err(caller.failed())?;
    Ok(())
}
