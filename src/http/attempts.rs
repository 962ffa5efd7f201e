//! Single attempts as agents report on them: a sign of life, an outcome.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::TaskId;
use crate::domain::principal::Principal;
use crate::domain::task::Report;
use crate::engine::Engine;

use super::auth::{self, Caller};
use super::error::Refusal;
use super::json::{Body, Json};
use super::openapi::Tag;
use super::request::{Ask, Completion, Failure, Heartbeat, Limits, Release};
use super::text::Text;
use super::view::{ApprovalDetail, LeaseView, Reported, at};

/// The calls on an attempt.
pub struct Attempts {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
}

#[OpenApi(tag = "Tag::Agents")]
impl Attempts {
    /// Say that the agent is still at it
    ///
    /// Extends the lease. Refused with `lease-lost` or `task-cancelled` when the agent should stop.
    #[oai(path = "/tasks/:id/heartbeat", method = "post", operation_id = "extend_lease")]
    async fn heartbeat(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: Body<Heartbeat>,
    ) -> Result<Json<LeaseView>, Refusal> {
        let ((attempt, lease), progress, extend_ms) = body.value.into_parts()?;
        let held = (attempt, &lease);
        let until = self.engine.extend(&caller, id.0.0, held, progress, extend_ms).await?;
        Ok(Json(LeaseView { lease_expires_at: at(until) }))
    }

    /// Report an attempt as completed
    #[oai(path = "/tasks/:id/complete", method = "post", operation_id = "complete_task")]
    async fn complete(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: Body<Completion>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0.0, &self.limits)?).await
    }

    /// Report an attempt as failed
    ///
    /// Another attempt follows after a back-off, unless it was the last or `retryable` is false.
    #[oai(path = "/tasks/:id/fail", method = "post", operation_id = "fail_task")]
    async fn fail(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: Body<Failure>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0.0, &self.limits)?).await
    }

    /// Give an attempt back untouched
    ///
    /// It costs the task nothing: another agent may claim it at once.
    #[oai(path = "/tasks/:id/release", method = "post", operation_id = "release_task")]
    async fn release(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: Body<Release>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0.0)?).await
    }

    /// Ask a human before a risky step
    ///
    /// The task is blocked and the lease ends. The answer is on the task, as its `approval`, when it is claimed again:
    /// a yes always; a no only with `on_rejection` as `return`, else it cancels the task. An agent may ask again and
    /// again.
    #[oai(path = "/tasks/:id/approval", method = "post", operation_id = "ask_approval")]
    async fn ask(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: Body<Ask>,
    ) -> Result<AskResponse, Refusal> {
        let ((attempt, lease), question) = body.value.into_question(&self.limits)?;
        let held = (attempt, &lease);
        let (approval, task) = self.engine.ask(&caller, id.0.0, held, question).await?;
        let location = format!("/approvals/{}", approval.id);
        Ok(AskResponse::Asked(Json((approval, task).into()), location))
    }
}

/// The answer to an agent that asks.
#[derive(ApiResponse)]
pub enum AskResponse {
    /// Humans are asked.
    #[oai(status = 201)]
    Asked(
        Json<ApprovalDetail>,
        /// Where the approval is.
        #[oai(header = "Location")]
        String,
    ),
}

impl Attempts {
    async fn report(&self, caller: &Principal, report: Report) -> Result<Json<Reported>, Refusal> {
        let (id, attempt) = (report.id, report.attempt);
        let results = self.engine.report(caller, vec![report]).await?;
        let state = results.into_iter().next().ok_or_else(Refusal::internal)??;
        Ok(Json(Reported { task_id: Text(id), attempt, status: Text(state) }))
    }
}
