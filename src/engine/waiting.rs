//! What an open task waits for, shown with the task.

use crate::domain::approval::{ApprovalStatus, Asked};
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::task::Task;
use crate::domain::time::Millis;

use super::{Engine, Error};

/// The reason why a task does not run at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The task waits for the decision of an approver.
    Approval {
        /// The approval that is pending.
        id: ApprovalId,
        /// A text that says which approvers are asked.
        asked: String,
        /// Whether the agent requested the approval; otherwise the policy requires it.
        is_ask: bool,
        /// When it escalates or expires, in milliseconds since 1970. `None` if it never does.
        until: Option<Millis>,
    },
    /// The task waits for its start time or for the end of a back-off.
    Time {
        /// When the task may start, in milliseconds since 1970.
        until: Millis,
        /// Whether an attempt failed before, so that the wait is its back-off.
        is_retry: bool,
    },
    /// The task cannot run: its content differs from what was approved, so no agent gets it.
    Content {
        /// The approval, which is for other content. `None` if there is none.
        approval: Option<ApprovalId>,
    },
    /// The task waits in the priority queue for a router.
    Router {
        /// How many tasks are before it in the priority queue.
        ahead: u64,
    },
    /// The task waits in the subject for a claim of its agent.
    Agent {
        /// The name of the agent.
        agent: Name,
        /// How many tasks are before it in the subject.
        ahead: u64,
        /// Whether the agent is paused, so that its claims return nothing.
        is_paused: bool,
        /// How many processes of the agent have a live session.
        sessions: u64,
    },
}

impl Engine {
    /// Returns the task as it is now, and what it waits for; see [`Engine::waiting`].
    pub async fn task_explained(&self, id: TaskId) -> Result<(Task, Option<Waiting>), Error> {
        let task = self.task(id).await?;
        let waiting = self.waiting(&task).await?;
        Ok((task, waiting))
    }

    /// Returns what `task` waits for. `None` if it is in progress or has ended.
    pub async fn waiting(&self, task: &Task) -> Result<Option<Waiting>, Error> {
        let session_ms = self.settings.agents.session_ms;
        let is_parked = task.timeline.last().is_some_and(|last| last.verb == Verb::Park);
        Ok(match task.state {
            State::Pending | State::Assigned if is_parked => {
                Some(Waiting::Content { approval: task.approval })
            }
            State::Blocked => self.pending_approval(task),
            State::Scheduled => {
                let is_retry = task.retry_count > 0;
                task.scheduled_for.map(|until| Waiting::Time { until, is_retry })
            }
            State::Pending => {
                let place = self.store.place(task, session_ms).await?;
                Some(Waiting::Router { ahead: place.ahead })
            }
            State::Assigned => {
                let place = self.store.place(task, session_ms).await?;
                Some(Waiting::Agent {
                    agent: task.agent.clone(),
                    ahead: place.ahead,
                    is_paused: place.is_paused,
                    sessions: place.sessions,
                })
            }
            State::InProgress | State::Completed | State::Failed | State::Cancelled => None,
        })
    }

    /// Returns the pending approval of `task`, if it was read together with the task.
    fn pending_approval(&self, task: &Task) -> Option<Waiting> {
        let approval = task.asked.as_ref()?;
        if approval.status != ApprovalStatus::Pending {
            return None;
        }
        let directory = self.settings.directory();
        let level = approval.terms.level(approval.level);
        Some(Waiting::Approval {
            id: approval.id,
            asked: level.map(|level| directory.describe(level)).unwrap_or_default(),
            is_ask: matches!(approval.asked, Asked::Step { .. }),
            until: approval.expires_at,
        })
    }
}
