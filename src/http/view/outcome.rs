//! The results of single items of a request that has many.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::ids::TaskId;
use crate::domain::lease::Attempt;
use crate::domain::lifecycle::State;
use crate::engine::{Error, Parts, Submitted};

use super::super::error::{Problem, Refusal};
use super::super::field::MAX_FAULTS;
use super::{At, TaskView, TasksClaimed};

/// The results of a batch.
#[derive(Clone, Debug, Serialize, Object)]
pub struct BatchResult {
    /// One result for each task, in their order.
    pub results: Vec<BatchItemResult>,
}

/// The result of one task of a batch.
#[derive(Clone, Debug, Serialize, Object)]
pub struct BatchItemResult {
    /// The status that the task would have had alone: 201, 200 for a replay, or that of the
    /// problem.
    pub status: u16,
    /// The task, if it was accepted; without its payload and metadata, which the client has.
    pub task: Option<TaskView>,
    /// Why the task was refused; null if it was accepted. Faults beyond the 100th of all items are
    /// left out.
    pub problem: Option<Problem>,
}

/// The results of several outcomes, and the tasks that were claimed.
#[derive(Clone, Debug, Serialize, Object)]
pub struct OutcomesResult {
    /// One result for each outcome, in their order.
    pub results: Vec<OutcomeResult>,
    /// The tasks of `claim`; null without one, or if it was refused.
    pub claimed: Option<TasksClaimed>,
    /// Why `claim` was refused; null if it was not. The outcomes count all the same.
    pub claim_problem: Option<Problem>,
}

/// The result of reporting one outcome.
#[derive(Clone, Debug, Serialize, Object)]
pub struct OutcomeResult {
    /// The task of the attempt.
    pub task_id: TaskId,
    /// The attempt of the outcome.
    pub attempt: u32,
    /// The status of the task after the outcome; null if it was refused.
    pub status: Option<State>,
    /// Why the outcome was refused; null if it was accepted.
    pub problem: Option<Problem>,
}

/// The result of a report on one attempt.
#[derive(Clone, Debug, Serialize, Object)]
pub struct Reported {
    /// The task of the attempt.
    pub task_id: TaskId,
    /// The attempt of the report.
    pub attempt: u32,
    /// The status of the task after the report.
    pub status: State,
}

/// The lease after a heartbeat.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ExtendedLease")]
pub struct LeaseView {
    /// When the lease ends, unless the agent sends another heartbeat before.
    pub lease_expires_at: At,
}

impl BatchResult {
    /// Builds the answer. All items together report no more faults than one body may have, so that
    /// a list of empty items does not cause a large answer.
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
    /// The entry of a refused task; `base` is its place in the body.
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
            Ok(state) => (Some(state), None),
            Err(error) => (None, Some(Refusal::from(error).into_problem(""))),
        };
        Self { task_id: id, attempt, status, problem }
    }
}
