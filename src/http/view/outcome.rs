//! What became of single items of a request that has many.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::ids::TaskId;
use crate::domain::lifecycle::State;
use crate::domain::task::Attempt;
use crate::engine::{Error, Parts, Submitted};

use super::super::error::{Problem, Refusal};
use super::super::field::MAX_FAULTS;
use super::super::text::Text;
use super::{At, TaskView, TasksClaimed};

/// What became of each task of a batch, in order.
#[derive(Clone, Debug, Serialize, Object)]
pub struct BatchResult {
    /// One entry a task.
    pub results: Vec<BatchItemResult>,
}

/// What became of one task of a batch.
#[derive(Clone, Debug, Serialize, Object)]
pub struct BatchItemResult {
    /// The status that the task would have had alone: 201, 200 for a replay, or that of the problem.
    pub status: u16,
    /// The task, if it was accepted; without its payload and metadata, which the client has.
    pub task: Option<TaskView>,
    /// Why not, if it was refused. Faults beyond the 100th of all items are left out.
    pub problem: Option<Problem>,
}

/// What became of each outcome, in order, and the tasks that were claimed.
#[derive(Clone, Debug, Serialize, Object)]
pub struct OutcomesResult {
    /// One entry an outcome.
    pub results: Vec<OutcomeResult>,
    /// The tasks of `claim`; null without one, or if it was refused.
    pub claimed: Option<TasksClaimed>,
    /// Why `claim` was refused. The outcomes were taken all the same.
    pub claim_problem: Option<Problem>,
}

/// What became of one outcome.
#[derive(Clone, Debug, Serialize, Object)]
pub struct OutcomeResult {
    /// The task.
    pub task_id: Text<TaskId>,
    /// The attempt that was reported on.
    pub attempt: u32,
    /// Where the task is now, if the outcome was taken.
    pub status: Option<Text<State>>,
    /// Why not, if it was refused.
    pub problem: Option<Problem>,
}

/// What a report on one attempt led to.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Reported {
    /// The task.
    pub task_id: Text<TaskId>,
    /// The attempt that was reported on.
    pub attempt: u32,
    /// Where the task is now.
    pub status: Text<State>,
}

/// Until when a lease is.
#[derive(Clone, Debug, Serialize, Object)]
pub struct LeaseView {
    /// Until when the agent may stay silent.
    pub lease_expires_at: At,
}

impl BatchResult {
    /// The results; the faults of all items together are no more than those of one body, so that a list of empty items
    /// is not answered at length.
    pub fn new(mut results: Vec<BatchItemResult>) -> Self {
        let mut left = MAX_FAULTS;
        for problem in results.iter_mut().filter_map(|result| result.problem.as_mut()) {
            problem.errors.truncate(left);
            left -= problem.errors.len();
        }
        Self { results }
    }
}

impl BatchItemResult {
    /// The entry of a task that was refused; `base` is where it stands in the body.
    pub fn refused(refusal: Refusal, base: &str) -> Self {
        let problem = refusal.into_problem(base);
        Self { status: problem.status, task: None, problem: Some(problem) }
    }
}

impl From<Submitted> for BatchItemResult {
    fn from(submitted: Submitted) -> Self {
        let status = if submitted.is_replay { 200 } else { 201 };
        let task = TaskView::from(submitted.task).with(Parts::default());
        Self { status, task: Some(task), problem: None }
    }
}

impl From<(TaskId, Attempt, Result<State, Error>)> for OutcomeResult {
    fn from((id, attempt, result): (TaskId, Attempt, Result<State, Error>)) -> Self {
        let (status, problem) = match result {
            Ok(state) => (Some(Text(state)), None),
            Err(error) => (None, Some(Refusal::from(error).into_problem(""))),
        };
        Self { task_id: Text(id), attempt, status, problem }
    }
}
