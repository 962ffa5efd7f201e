//! The calls on agents: their subjects, claims, batches of outcomes, pauses.

use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::engine::{Claim, Engine, Fault};
use crate::runtime::receipt::Receipt;

use super::answer::{Handover, Json};
use super::auth::{self, Admin, Caller, TasksRead};
use super::error::{Problem, Refusal};
use super::json::{Body, OptionalBody};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{ClaimRequest, Empty, Limits, Outcomes};
use super::view::{AgentPage, AgentView, OutcomeResult, OutcomesResult, TasksClaimed};

/// About the most bytes that the result of one outcome has in an answer.
const RESULT_BYTES: usize = 1_024;

/// The calls on agents.
pub struct Agents {
    /// The engine, which does the work.
    pub engine: Engine,
    /// The limits that request bodies are checked against.
    pub limits: Limits,
}

#[OpenApi(tag = "Tag::Agents")]
impl Agents {
    /// List agents
    #[oai(path = "/agents", method = "get", operation_id = "list_agents")]
    async fn list(&self, _caller: Caller<TasksRead>) -> Result<Json<AgentPage>, Refusal> {
        Ok(Json(self.engine.agents().await?.into()))
    }

    /// Get an agent
    #[oai(path = "/agents/:agent", method = "get", operation_id = "get_agent")]
    async fn get(
        &self,
        _caller: Caller<TasksRead>,
        /// The agent.
        agent: Path<Name>,
    ) -> Result<Json<AgentView>, Refusal> {
        Ok(Json(self.engine.agent(&agent.0).await?.into()))
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
        let claim = body.value.into_claim(agent.0)?;
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
        let (reports, claim) = body.value.into_parts(agent.0.clone(), &self.limits)?;
        let most = peer.room().map_or(usize::MAX, |room| room / RESULT_BYTES);
        if reports.len() > most {
            let detail = format!("must have at most {most} items over NATS");
            return Err(Refusal::invalid(vec![Fault::new("/outcomes", detail)]));
        }
        self.engine.admit(&agent.0).await?;
        let attempts: Vec<_> = reports.iter().map(|report| (report.id, report.attempt)).collect();
        let outcomes = self.engine.report(&caller, reports).await?;
        let results: Vec<OutcomeResult> = attempts
            .into_iter()
            .zip(outcomes)
            .map(|((id, attempt), result)| (id, attempt, result).into())
            .collect();
        let used = serialized_bytes(&results, &peer);
        let claim = claim.map(|claim| (claim, used));
        let (claimed, receipt, claim_problem) = self.claim_next(&caller, &peer, claim).await;
        Ok(Handover { answer: Json(OutcomesResult { results, claimed, claim_problem }), receipt })
    }

    /// Pause an agent
    ///
    /// Its claims return nothing until it is resumed; tasks in progress continue. The pause
    /// survives restarts.
    #[oai(path = "/agents/:agent/pause", method = "post", operation_id = "pause_agent")]
    async fn pause(
        &self,
        caller: Caller<Admin>,
        /// The agent.
        agent: Path<Name>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.0.check()?;
        Ok(Json(self.engine.pause(&caller, &agent.0).await?.into()))
    }

    /// Resume an agent
    #[oai(path = "/agents/:agent/resume", method = "post", operation_id = "resume_agent")]
    async fn resume(
        &self,
        caller: Caller<Admin>,
        /// The agent.
        agent: Path<Name>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.0.check()?;
        Ok(Json(self.engine.resume(&caller, &agent.0).await?.into()))
    }
}

impl Agents {
    /// Claims after outcomes were recorded. A failed claim must not hide the results: the agent
    /// would report its outcomes again and get `lease-lost`.
    async fn claim_next(
        &self,
        caller: &Principal,
        peer: &Peer,
        claim: Option<(Claim, usize)>,
    ) -> (Option<TasksClaimed>, Option<Receipt>, Option<Problem>) {
        let Some((claim, used)) = claim else { return (None, None, None) };
        match self.claim_for(caller, peer, claim, used).await {
            Ok((claimed, receipt)) => (Some(claimed), receipt, None),
            Err(refusal) => (None, None, Some(refusal.into_problem("/claim"))),
        }
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
        let claimed = self.engine.claim(caller, Claim { room, ..claim }).await?;
        let undo = self.engine.undo_claim(caller, &claimed);
        let receipt = (!claimed.is_empty()).then(|| Receipt::new(undo));
        Ok((claimed.into(), receipt))
    }
}

/// How many bytes these results have in the answer; 0 if the transport has no bound.
fn serialized_bytes(results: &[OutcomeResult], peer: &Peer) -> usize {
    if peer.room().is_none() {
        return 0;
    }
    serde_json::to_vec(results).map_or(0, |json| json.len())
}
