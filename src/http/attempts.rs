//! The calls on one attempt: heartbeat, outcome, approval request.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::TaskId;
use crate::domain::principal::Principal;
use crate::domain::report::Report;
use crate::engine::Engine;

use super::answer::Json;
use super::auth::{self, Caller};
use super::error::Refusal;
use super::json::Body;
use super::openapi::Tag;
use super::request::{Ask, Completion, Failure, Heartbeat, Limits, Release};
use super::view::{ApprovalDetail, LeaseView, Reported, at};

/// The calls on one attempt of a task.
pub struct Attempts {
    /// The engine, which does the work.
    pub engine: Engine,
    /// The limits that request bodies are checked against.
    pub limits: Limits,
}

#[OpenApi(tag = "Tag::Agents")]
impl Attempts {
    /// Send a heartbeat
    ///
    /// Extends the lease. A refusal with `lease-lost` or `task-cancelled` means that the agent must
    /// stop.
    #[oai(path = "/tasks/:id/heartbeat", method = "post", operation_id = "extend_lease")]
    async fn heartbeat(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Heartbeat>,
    ) -> Result<Json<LeaseView>, Refusal> {
        let ((attempt, lease), progress, extend_ms) = body.value.into_parts()?;
        let held = (attempt, &lease);
        let until = self.engine.extend(&caller, id.0, held, progress, extend_ms).await?;
        Ok(Json(LeaseView { lease_expires_at: at(until) }))
    }

    /// Report an attempt as completed
    #[oai(path = "/tasks/:id/complete", method = "post", operation_id = "complete_task")]
    async fn complete(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Completion>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0, &self.limits)?).await
    }

    /// Report an attempt as failed
    ///
    /// Another attempt follows after a back-off, unless this was the last one or `retryable` is
    /// false.
    #[oai(path = "/tasks/:id/fail", method = "post", operation_id = "fail_task")]
    async fn fail(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Failure>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0, &self.limits)?).await
    }

    /// Release an attempt
    ///
    /// The task loses nothing: its retries stay, and an agent may claim it at once.
    #[oai(path = "/tasks/:id/release", method = "post", operation_id = "release_task")]
    async fn release(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Release>,
    ) -> Result<Json<Reported>, Refusal> {
        self.report(&caller, body.value.into_report(id.0)?).await
    }

    /// Request an approval before a risky step
    ///
    /// The task is blocked and the lease ends. When the task is claimed again, its `approval` shows
    /// the decision: always an approval; a rejection only with `on_rejection` as `return`,
    /// otherwise it cancels the task. An agent may request several approvals, one after another.
    #[oai(path = "/tasks/:id/approval", method = "post", operation_id = "ask_approval")]
    async fn ask(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Ask>,
    ) -> Result<AskResponse, Refusal> {
        let ((attempt, lease), question) = body.value.into_question(&self.limits)?;
        let held = (attempt, &lease);
        let (approval, task) = self.engine.ask(&caller, id.0, held, question).await?;
        let location = format!("/approvals/{}", approval.id);
        Ok(AskResponse::Asked(Json((approval, task).into()), location))
    }
}

/// The answer to an approval request of an agent.
#[derive(ApiResponse)]
pub enum AskResponse {
    /// The approval is requested, and the task waits for the decision.
    #[oai(status = 201)]
    Asked(
        Json<ApprovalDetail>,
        /// The path of the approval.
        #[oai(header = "Location")]
        String,
    ),
}

impl Attempts {
    async fn report(&self, caller: &Principal, report: Report) -> Result<Json<Reported>, Refusal> {
        let id = report.id;
        let attempt = report.attempt;
        let results = self.engine.report(caller, vec![report]).await?;
        let state = results.into_iter().next().ok_or_else(Refusal::internal)??;
        Ok(Json(Reported { task_id: id, attempt, status: state }))
    }
}
