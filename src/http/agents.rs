//! The calls of agents and on them: their subjects, claims, attempts, outcomes, pauses.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::report::Report;
use crate::engine::{Claim, Fault};
use crate::runtime::receipt::Receipt;

use super::Shared;
use super::answer::{Handover, Json};
use super::auth::{self, Caller, TasksRead, TenantAdmin};
use super::error::Refusal;
use super::json_body::{Body, OptionalBody};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{Ask, ClaimRequest, Completion, Empty, Failure, Heartbeat, Outcomes, Release};
use super::view::{
    AgentPage, AgentView, ApprovalDetail, LeaseView, OutcomeResult, OutcomesResult, Reported,
    TasksClaimed, at,
};

/// About the most bytes that the result of one outcome has in an answer.
const RESULT_BYTES: usize = 1_024;

/// The calls of agents and on them.
pub struct Agents(pub(super) Shared);

#[OpenApi(tag = "Tag::Agents")]
impl Agents {
    /// List agents
    ///
    /// Every known agent with the state of its subject, without its sessions.
    #[oai(path = "/agents", method = "get", operation_id = "list_agents")]
    async fn list(&self, caller: Caller<TasksRead>) -> Result<Json<AgentPage>, Refusal> {
        Ok(Json(self.0.engine.agents_for(&caller).await?.into()))
    }

    /// Get an agent
    ///
    /// Its subject, and the processes that called last.
    #[oai(path = "/agents/:agent", method = "get", operation_id = "get_agent")]
    async fn get(
        &self,
        caller: Caller<TasksRead>,
        /// The agent.
        agent: Path<Name>,
    ) -> Result<Json<AgentView>, Refusal> {
        Ok(Json(self.0.engine.agent_for(&caller, &agent.0).await?.into()))
    }

    /// Claim tasks
    ///
    /// Returns the first tasks of the agent's subject, highest priority first, each under a lease.
    /// Waits up to `wait_ms` for the first task; an empty list means that none came.
    #[oai(path = "/agents/:agent/claim", method = "post", operation_id = "claim_tasks")]
    async fn claim(
        &self,
        caller: Caller<auth::Agent>,
        peer: Peer,
        /// The agent.
        agent: Path<Name>,
        body: Body<ClaimRequest>,
    ) -> Result<Handover<TasksClaimed>, Refusal> {
        let claim = body.read(|claim, faults| claim.into_claim(faults, agent.0))?;
        let (claimed, receipt) = self.claim_for(&caller, &peer, claim, 0).await?;
        Ok(Handover { answer: Json(claimed), receipt })
    }

    /// Report many outcomes, and claim the next tasks
    ///
    /// Each outcome is accepted or refused on its own; the results are in the order of the
    /// outcomes.
    #[oai(path = "/agents/:agent/results", method = "post", operation_id = "report_outcomes")]
    async fn results(
        &self,
        caller: Caller<auth::Agent>,
        peer: Peer,
        /// The agent.
        agent: Path<Name>,
        body: Body<Outcomes>,
    ) -> Result<Handover<OutcomesResult>, Refusal> {
        let (reports, claim) = body.read(|outcomes, faults| {
            Some(outcomes.into_parts(faults, agent.0.clone(), &self.0.limits))
        })?;
        let most = peer.room().map_or(usize::MAX, |room| room / RESULT_BYTES);
        if reports.len() > most {
            let detail = format!("must have at most {most} items over NATS");
            return Err(Refusal::invalid(vec![Fault::new("/outcomes", detail)]));
        }
        caller.count_items(reports.len()).await?;
        self.0.engine.admit(&caller, &agent.0).await?;
        let attempts: Vec<_> = reports.iter().map(|report| (report.id, report.attempt)).collect();
        let outcomes = self.0.engine.report(&caller, reports).await?;
        let results: Vec<OutcomeResult> = attempts
            .into_iter()
            .zip(outcomes)
            .map(|((id, attempt), result)| (id, attempt, result).into())
            .collect();
        let next = match claim {
            Some(claim) => {
                let used = peer.room().and_then(|_| serde_json::to_vec(&results).ok());
                let used = used.map_or(0, |json| json.len());
                Some(self.claim_for(&caller, &peer, claim, used).await)
            }
            None => None,
        };
        // A failed claim must not hide the results: the agent would report its outcomes again and
        // get `lease-lost`.
        let (claimed, receipt, claim_problem) = match next {
            Some(Ok((claimed, receipt))) => (Some(claimed), receipt, None),
            Some(Err(refusal)) => (None, None, Some(refusal.into_problem("/claim"))),
            None => (None, None, None),
        };
        Ok(Handover { answer: Json(OutcomesResult { results, claimed, claim_problem }), receipt })
    }

    /// Pause an agent
    ///
    /// Its claims return nothing until it is resumed; tasks in progress continue. The pause
    /// survives restarts.
    #[oai(path = "/agents/:agent/pause", method = "post", operation_id = "pause_agent")]
    async fn pause(
        &self,
        caller: Caller<TenantAdmin>,
        /// The agent.
        agent: Path<Name>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(Json(self.0.engine.pause(&caller, &agent.0).await?.into()))
    }

    /// Resume an agent
    ///
    /// Its claims return tasks again. Resuming an agent that is not paused changes nothing.
    #[oai(path = "/agents/:agent/resume", method = "post", operation_id = "resume_agent")]
    async fn resume(
        &self,
        caller: Caller<TenantAdmin>,
        /// The agent.
        agent: Path<Name>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(Json(self.0.engine.resume(&caller, &agent.0).await?.into()))
    }

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
        let ((attempt, lease), progress, extend_ms) = body.read(Heartbeat::into_parts)?;
        let held = (attempt, &lease);
        let until = self.0.engine.extend(&caller, id.0, held, progress, extend_ms).await?;
        Ok(Json(LeaseView { lease_expires_at: at(until) }))
    }

    /// Report an attempt as completed
    ///
    /// The task is final. The same report again is accepted; another one is refused with
    /// `result-mismatch`.
    #[oai(path = "/tasks/:id/complete", method = "post", operation_id = "complete_task")]
    async fn complete(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        body: Body<Completion>,
    ) -> Result<Json<Reported>, Refusal> {
        let report = body.read(|end, faults| end.into_report(faults, id.0, &self.0.limits))?;
        self.report(&caller, report).await
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
        let report = body.read(|end, faults| end.into_report(faults, id.0, &self.0.limits))?;
        self.report(&caller, report).await
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
        let report = body.read(|release, faults| release.into_report(faults, id.0))?;
        self.report(&caller, report).await
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
        let ((attempt, lease), question) =
            body.read(|ask, faults| ask.into_question(faults, &self.0.limits))?;
        let held = (attempt, &lease);
        let (approval, task) = self.0.engine.ask(&caller, id.0, held, question).await?;
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

impl Agents {
    async fn report(&self, caller: &Principal, report: Report) -> Result<Json<Reported>, Refusal> {
        let id = report.id;
        let attempt = report.attempt;
        let results = self.0.engine.report(caller, vec![report]).await?;
        let state = results.into_iter().next().ok_or_else(Refusal::internal)??;
        Ok(Json(Reported { task_id: id, attempt, status: state }))
    }

    /// Claims tasks; a claim that waits counts against the caller's waits. If the answer does not
    /// arrive, the claimed tasks go back.
    ///
    /// * `used`: how many bytes of the answer are already used.
    async fn claim_for(
        &self,
        caller: &Principal,
        peer: &Peer,
        claim: Claim,
        used: usize,
    ) -> Result<(TasksClaimed, Option<Receipt>), Refusal> {
        let _place = if claim.wait.is_zero() { None } else { peer.wait().map(Some)? };
        let room = peer.room().map(|room| room.saturating_sub(used));
        let claimed = self.0.engine.claim(caller, Claim { room, ..claim }).await?;
        let undo = self.0.engine.undo_claim(caller, &claimed);
        let receipt = (!claimed.is_empty()).then(|| Receipt::new(undo));
        Ok((claimed.into(), receipt))
    }
}
