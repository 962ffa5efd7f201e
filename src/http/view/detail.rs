//! An approval together with its task.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::approval::Approval;
use crate::domain::name::Name;
use crate::domain::task::Task;

use super::{ApprovalView, TaskView};

/// An approval, with the task that waits for it.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalDetail {
    /// The approval itself.
    #[serde(flatten)]
    #[oai(flatten)]
    pub approval: ApprovalView,
    /// The agent that will get the task.
    pub agent: Name,
    /// The task that waits for the decision.
    pub task: TaskView,
}

impl From<(Approval, Task)> for ApprovalDetail {
    fn from((approval, task): (Approval, Task)) -> Self {
        let agent = task.agent.clone();
        // The task stands beside its approval here, so it does not repeat it.
        Self { approval: approval.into(), agent, task: Task { asked: None, ..task }.into() }
    }
}
