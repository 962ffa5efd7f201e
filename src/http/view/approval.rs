//! Approvals.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::approval::{Approval, ApprovalStatus};
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::task::Task;
use crate::engine::Page;

use super::super::text::Text;
use super::{At, TaskView, at};

/// A request for a human's decision.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Approval")]
pub struct ApprovalView {
    /// Its name for ever.
    pub approval_id: Text<ApprovalId>,
    /// The task that waits for it.
    pub task_id: Text<TaskId>,
    /// Where it stands.
    pub status: Text<ApprovalStatus>,
    /// The policy rule that asked for it.
    pub rule: String,
    /// Who submitted the task, and so may not decide.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: At,
    /// When silence becomes a no; null: never.
    pub expires_at: Option<At>,
    /// Who decided; `orchestrator` for an expiry.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<At>,
    /// What the decider said.
    pub comment: Option<String>,
}

/// A request for a decision, with the task that waits for it.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalDetail {
    /// The request.
    #[serde(flatten)]
    #[oai(flatten)]
    pub approval: ApprovalView,
    /// The task.
    pub task: TaskView,
}

/// A page of approvals, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalPage {
    /// The approvals.
    pub items: Vec<ApprovalView>,
    /// What to send as `cursor` for the next page; null: this was the last.
    pub next_cursor: Option<String>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            approval_id: Text(approval.id),
            task_id: Text(approval.task),
            status: Text(approval.status),
            rule: approval.rule,
            requested_by: approval.requested_by,
            requested_at: at(approval.requested_at),
            expires_at: approval.expires_at.map(at),
            decided_by: approval.decided_by,
            decided_at: approval.decided_at.map(at),
            comment: approval.comment,
        }
    }
}

impl From<(Approval, Task)> for ApprovalDetail {
    fn from((approval, task): (Approval, Task)) -> Self {
        Self { approval: approval.into(), task: task.into() }
    }
}

impl From<Page<Approval>> for ApprovalPage {
    fn from(page: Page<Approval>) -> Self {
        Self { items: page.items.into_iter().map(ApprovalView::from).collect(), next_cursor: page.next_cursor }
    }
}
