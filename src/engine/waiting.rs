//! What an open task waits for, so that nobody has to guess.

use crate::domain::approval::{ApprovalStatus, Asked};
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::task::{Millis, Task};

use super::{Engine, Error};

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A human.
    Approval {
        /// The approval.
        id: ApprovalId,
        /// Who is asked, in words.
        asked: String,
        /// Whether its agent asked, or the policy.
        is_ask: bool,
        /// When silence is no longer waited for; none: never.
        until: Option<Millis>,
    },
    /// Its time.
    Time {
        /// When that is.
        until: Millis,
        /// Whether an attempt failed before, so that this is its back-off.
        is_retry: bool,
    },
    /// Nothing: its content is not what was approved, so no agent gets it.
    Content {
        /// The approval that is for something else.
        approval: Option<ApprovalId>,
    },
    /// A router.
    Router {
        /// Tasks before it in the priority queue.
        ahead: u64,
    },
    /// Its agent.
    Agent {
        /// Which.
        agent: Name,
        /// Tasks before it in the agent's subject.
        ahead: u64,
        /// Whether the agent is paused.
        is_paused: bool,
        /// Processes of the agent that called lately.
        sessions: u64,
    },
}

impl Engine {
    /// The task as it is now, and what it waits for; none: it is at work, or over.
    pub async fn task_explained(&self, id: TaskId) -> Result<(Task, Option<Waiting>), Error> {
        let task = self.task(id).await?;
        let waiting = self.waiting(&task).await?;
        Ok((task, waiting))
    }

    /// What `task` waits for.
    pub async fn waiting(&self, task: &Task) -> Result<Option<Waiting>, Error> {
        let directory = self.settings.directory();
        let is_parked = task.timeline.last().is_some_and(|last| last.verb == Verb::Park);
        Ok(match task.state {
            State::Pending | State::Assigned if is_parked => {
                Some(Waiting::Content { approval: task.approval })
            }
            State::Blocked => {
                task.asked.as_ref().filter(|asked| asked.status == ApprovalStatus::Pending).map(
                    |asked| {
                        let level = asked.terms.level(asked.level);
                        Waiting::Approval {
                            id: asked.id,
                            asked: level.map(|level| directory.describe(level)).unwrap_or_default(),
                            is_ask: matches!(asked.asked, Asked::Step { .. }),
                            until: asked.expires_at,
                        }
                    },
                )
            }
            State::Scheduled => {
                let is_retry = task.retry_count > 0;
                task.scheduled_for.map(|until| Waiting::Time { until, is_retry })
            }
            State::Pending | State::Assigned => {
                let place = self.store.place(task, self.settings.agents.session_ms).await?;
                Some(match task.state {
                    State::Pending => Waiting::Router { ahead: place.ahead },
                    _ => Waiting::Agent {
                        agent: task.agent.clone(),
                        ahead: place.ahead,
                        is_paused: place.is_paused,
                        sessions: place.sessions,
                    },
                })
            }
            State::InProgress | State::Completed | State::Failed | State::Cancelled => None,
        })
    }
}
