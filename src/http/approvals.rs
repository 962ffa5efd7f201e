//! Approvals: what waits for a human, and what humans decided.

use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::ApprovalId;
use crate::engine::Engine;

use super::auth::{Admin, ApprovalsDecide, ApprovalsRead, Caller};
use super::error::Refusal;
use super::json::{Body, Json, OptionalBody};
use super::openapi::Tag;
use super::request::{Approve, Decisions, Limits, Reject, Retarget};
use super::tasks::DEFAULT_PAGE;
use super::text::{ApprovalParts, PageLimit, Text};
use super::view::{ApprovalDetail, ApprovalPage, DecisionResult, DecisionsResult};

/// The calls on approvals.
pub struct Approvals {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
}

type Limit = Query<Option<Text<PageLimit>>>;

type Include = Query<Option<Text<ApprovalParts>>>;

#[OpenApi(tag = "Tag::Approvals")]
impl Approvals {
    /// List approvals
    ///
    /// Newest first. A page may be short though more follow: go by `next_cursor`.
    #[oai(path = "/approvals", method = "get", operation_id = "list_approvals")]
    async fn list(
        &self,
        _caller: Caller<ApprovalsRead>,
        /// Only approvals of this status.
        status: Query<Option<Text<ApprovalStatus>>>,
        /// Send `payload` for approvals that carry `action`, `original_payload` and `changes`, which are absent without.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        self.page(status.0.map(|word| word.0).as_slice(), include, limit, cursor).await
    }

    /// List approvals that wait for a decision
    #[oai(path = "/approvals/pending", method = "get", operation_id = "list_pending_approvals")]
    async fn pending(
        &self,
        _caller: Caller<ApprovalsRead>,
        /// Send `payload` for approvals that carry `action`, `original_payload` and `changes`, which are absent without.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        self.page(&[ApprovalStatus::Pending], include, limit, cursor).await
    }

    /// List approvals that no longer wait for a decision
    #[oai(path = "/approvals/history", method = "get", operation_id = "list_decided_approvals")]
    async fn history(
        &self,
        _caller: Caller<ApprovalsRead>,
        /// Send `payload` for approvals that carry `action`, `original_payload` and `changes`, which are absent without.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        let is_decided = |status: &ApprovalStatus| *status != ApprovalStatus::Pending;
        let decided: Vec<_> = ApprovalStatus::ALL.into_iter().filter(is_decided).collect();
        self.page(&decided, include, limit, cursor).await
    }

    /// Get an approval and its task
    #[oai(path = "/approvals/:id", method = "get", operation_id = "get_approval")]
    async fn get(
        &self,
        _caller: Caller<ApprovalsRead>,
        /// The approval.
        id: Path<Text<ApprovalId>>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        Ok(Json(self.engine.approval(id.0.0).await?.into()))
    }

    /// Approve
    ///
    /// The task goes on, unless the quorum needs more who say yes. Only those who are asked may, and no person approves
    /// an own task or question, whichever credential submits, asks or approves. With a `payload`, that one will run; the
    /// task and the approval show what differs; with `four_eyes`, the person who wrote it cannot approve it.
    /// A second decision is refused with `already-decided`, which says by whom and when.
    #[oai(path = "/approvals/:id/approve", method = "post", operation_id = "approve")]
    async fn approve(
        &self,
        caller: Caller<ApprovalsDecide>,
        /// The approval.
        id: Path<Text<ApprovalId>>,
        body: OptionalBody<Approve>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let decision = body.0.into_decision(&self.limits)?;
        Ok(Json(self.engine.decide(&caller, id.0.0, decision).await?.into()))
    }

    /// Reject
    ///
    /// The task is cancelled, and the reason stands on it as its error; an agent that asked to hear a no gets its task
    /// back instead.
    #[oai(path = "/approvals/:id/reject", method = "post", operation_id = "reject")]
    async fn reject(
        &self,
        caller: Caller<ApprovalsDecide>,
        /// The approval.
        id: Path<Text<ApprovalId>>,
        /// Why, if the body does not say.
        reason: Query<Option<String>>,
        body: OptionalBody<Reject>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let decision = body.0.into_decision(reason.0)?;
        Ok(Json(self.engine.decide(&caller, id.0.0, decision).await?.into()))
    }

    /// Have others decide
    ///
    /// For an approval whose deciders are gone: a group that is no longer configured, or has fewer people than must say
    /// yes. From then on those decide whom the rule, roles or groups name; earlier approvals no longer count. A caller
    /// cannot do this for its own task or question.
    #[oai(path = "/approvals/:id/retarget", method = "post", operation_id = "retarget_approval")]
    async fn retarget(
        &self,
        caller: Caller<Admin>,
        /// The approval.
        id: Path<Text<ApprovalId>>,
        body: Body<Retarget>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let (target, reason) = body.value.into_target()?;
        Ok(Json(self.engine.retarget(&caller, id.0.0, target, reason).await?.into()))
    }

    /// Decide on up to 100 approvals
    ///
    /// Each decision is taken or refused for itself; the results are in their order.
    #[oai(path = "/approvals/decide", method = "post", operation_id = "decide_approvals")]
    async fn decide(
        &self,
        caller: Caller<ApprovalsDecide>,
        body: Body<Decisions>,
    ) -> Result<Json<DecisionsResult>, Refusal> {
        let mut results = Vec::new();
        for (nth, item) in body.value.into_decisions(&self.limits)?.into_iter().enumerate() {
            results.push(match item {
                Ok((id, decision)) => self.engine.decide(&caller, id, decision).await.into(),
                Err(refusal) => DecisionResult::refused(refusal, &format!("/decisions/{nth}")),
            });
        }
        Ok(Json(DecisionsResult { results }))
    }
}

impl Approvals {
    async fn page(
        &self,
        statuses: &[ApprovalStatus],
        include: Include,
        limit: Limit,
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0.0);
        let has_all = include.0.is_some();
        let refused = |error| Refusal::of_parameter("cursor", error);
        let page = self.engine.approvals(statuses, limit, cursor.0.as_deref(), has_all).await;
        Ok(Json(ApprovalPage::new(page.map_err(refused)?, has_all)))
    }
}
