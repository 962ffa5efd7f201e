//! An approval together with its task.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::approval::Approval;
use crate::domain::task::Task;

use super::{ApprovalView, TaskView};

/// An approval, with the task that waits for it.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalDetail {
    /// The approval itself.
    #[serde(flatten)]
    #[oai(flatten)]
    pub approval: ApprovalView,
    /// The task that waits for the decision.
    pub task: TaskView,
}

impl From<(Approval, Task)> for ApprovalDetail {
    fn from((approval, task): (Approval, Task)) -> Self {
        let (agent, tenant) = (Some(task.agent.agent()), task.tenant());
        let approval = ApprovalView { agent, tenant, ..approval.into() };
        // The task stands beside its approval here, so it does not repeat it.
        Self { approval, task: Task { asked: None, ..task }.into() }
    }
}
