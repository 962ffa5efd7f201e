//! Agents: their subjects, claims, batches of outcomes, pauses.

use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::engine::{Claim, Engine, Fault};
use crate::runtime::receipt::Receipt;

use super::auth::{self, Admin, Caller, TasksRead};
use super::error::{Problem, Refusal};
use super::json::{Body, HandedOver, Json, OptionalBody};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{ClaimRequest, Empty, Limits, Outcomes};
use super::text::Text;
use super::view::{AgentPage, AgentView, OutcomeResult, OutcomesResult, TasksClaimed};

/// About how many bytes the entry of one outcome has in an answer at the most.
const RESULT_BYTES: usize = 1_024;

/// The calls on agents.
pub struct Agents {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
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
        agent: Path<Text<Name>>,
    ) -> Result<Json<AgentView>, Refusal> {
        Ok(Json(self.engine.agent(&agent.0.0).await?.into()))
    }

    /// Claim tasks
    ///
    /// Hands out the best tasks of the agent's subject, the highest priority first, each under a lease.
    /// Waits for the first of them up to `wait_ms`; an empty list means that none came.
    #[oai(path = "/agents/:agent/claim", method = "post", operation_id = "claim_tasks")]
    async fn claim(
        &self,
        caller: Caller<auth::Agent>,
        peer: Peer,
        /// The agent.
        agent: Path<Text<Name>>,
        body: Body<ClaimRequest>,
    ) -> Result<HandedOver<TasksClaimed>, Refusal> {
        let claim = body.value.into_claim(agent.0.0)?;
        let (claimed, receipt) = self.claim_for(&caller, &peer, claim, 0).await?;
        Ok(HandedOver { answer: Json(claimed), receipt })
    }

    /// Report many outcomes, and claim the next tasks
    ///
    /// Each outcome is taken or refused for itself; the results are in the order of the outcomes.
    #[oai(path = "/agents/:agent/results", method = "post", operation_id = "report_outcomes")]
    async fn results(
        &self,
        caller: Caller<auth::Agent>,
        peer: Peer,
        /// The agent.
        agent: Path<Text<Name>>,
        body: Body<Outcomes>,
    ) -> Result<HandedOver<OutcomesResult>, Refusal> {
        let (reports, claim) = body.value.into_parts(agent.0.0.clone(), &self.limits)?;
        let most = peer.room().map_or(usize::MAX, |room| room / RESULT_BYTES);
        if reports.len() > most {
            let detail = format!("must have at most {most} items over NATS");
            return Err(Refusal::invalid(vec![Fault::new("/outcomes", detail)]));
        }
        self.engine.admit(&agent.0.0).await?;
        let attempts: Vec<_> = reports.iter().map(|report| (report.id, report.attempt)).collect();
        let outcomes = self.engine.report(&caller, reports).await?;
        let results = attempts
            .into_iter()
            .zip(outcomes)
            .map(|((id, attempt), result)| (id, attempt, result).into());
        let results: Vec<OutcomeResult> = results.collect();
        let taken = serialized_bytes(&results, &peer);
        let claim = claim.map(|claim| (claim, taken));
        let (claimed, receipt, claim_problem) = self.claim_next(&caller, &peer, claim).await;
        Ok(HandedOver { answer: Json(OutcomesResult { results, claimed, claim_problem }), receipt })
    }

    /// Pause an agent
    ///
    /// Its claims are answered with nothing until it is resumed; what it holds goes on. Durable.
    #[oai(path = "/agents/:agent/pause", method = "post", operation_id = "pause_agent")]
    async fn pause(
        &self,
        caller: Caller<Admin>,
        /// The agent.
        agent: Path<Text<Name>>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.0.check()?;
        Ok(Json(self.engine.pause(&caller, &agent.0.0).await?.into()))
    }

    /// Resume an agent
    #[oai(path = "/agents/:agent/resume", method = "post", operation_id = "resume_agent")]
    async fn resume(
        &self,
        caller: Caller<Admin>,
        /// The agent.
        agent: Path<Text<Name>>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<AgentView>, Refusal> {
        body.0.check()?;
        Ok(Json(self.engine.resume(&caller, &agent.0.0).await?.into()))
    }
}

impl Agents {
    /// Claims after outcomes were taken. A claim that fails must not hide that they were: the agent would
    /// report them again and be told that its leases are lost.
    async fn claim_next(
        &self,
        caller: &Principal,
        peer: &Peer,
        claim: Option<(Claim, usize)>,
    ) -> (Option<TasksClaimed>, Option<Receipt>, Option<Problem>) {
        let Some((claim, taken)) = claim else { return (None, None, None) };
        match self.claim_for(caller, peer, claim, taken).await {
            Ok((claimed, receipt)) => (Some(claimed), receipt, None),
            Err(refusal) => (None, None, Some(refusal.into_problem("/claim"))),
        }
    }

    /// Claims; a claim that waits takes a place among the caller's waits. What was claimed goes back
    /// if the answer does not arrive.
    ///
    /// * `taken`: how many bytes of the answer are taken already.
    async fn claim_for(
        &self,
        caller: &Principal,
        peer: &Peer,
        claim: Claim,
        taken: usize,
    ) -> Result<(TasksClaimed, Option<Receipt>), Refusal> {
        let _place = if claim.wait.is_zero() { None } else { peer.wait().map(Some)? };
        let room = peer.room().map(|room| room.saturating_sub(taken));
        let claimed = self.engine.claim(caller, Claim { room, ..claim }).await?;
        let undo = self.engine.undo_claim(caller, &claimed);
        let receipt = (!claimed.is_empty()).then(|| Receipt::new(undo));
        Ok((claimed.into(), receipt))
    }
}

/// How many bytes these results have in the answer; 0 where what carries it has no bound.
fn serialized_bytes(results: &[OutcomeResult], peer: &Peer) -> usize {
    if peer.room().is_none() {
        return 0;
    }
    serde_json::to_vec(results).map_or(0, |json| json.len())
}
