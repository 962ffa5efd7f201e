//! The calls on approvals: list them, read one, decide, and move one to other approvers.

use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::ApprovalId;
use crate::domain::principal::Principal;

use super::Shared;
use super::answer::Json;
use super::auth::{ApprovalsDecide, ApprovalsRead, Caller, TenantAdmin};
use super::error::Refusal;
use super::json_body::{Body, OptionalBody};
use super::openapi::Tag;
use super::request::{Approve, Decisions, Reject, Retarget};
use super::tasks::DEFAULT_PAGE;
use super::text::{ApprovalParts, ForMe, PageLimit};
use super::view::{ApprovalDetail, ApprovalPage, DecisionResult, DecisionsResult};

/// The calls on approvals.
pub struct Approvals(pub(super) Shared);

type Limit = Query<Option<PageLimit>>;

type Include = Query<Option<ApprovalParts>>;

#[OpenApi(tag = "Tag::Approvals")]
impl Approvals {
    /// List approvals
    ///
    /// Newest first. With `for=me`, the pending approvals that the caller may approve now, the first
    /// to expire first: those that ask the caller, except of the person's own tasks, requests and
    /// content, and those that the person has approved. A page may be short and still have a next
    /// one: follow `next_cursor`.
    #[oai(path = "/approvals", method = "get", operation_id = "list_approvals")]
    async fn list(
        &self,
        caller: Caller<ApprovalsRead>,
        /// Only approvals of this status; together with `for`, only `pending`.
        status: Query<Option<ApprovalStatus>>,
        /// Send `me` to get what waits for the caller.
        #[oai(name = "for")]
        whose: Query<Option<ForMe>>,
        /// Send `payload` to get `action`, `original_payload` and `changes` of each approval; left
        /// out, they are absent.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        match whose.0 {
            None => self.page(&caller, status.0.as_slice(), include, limit, cursor).await,
            Some(ForMe) => self.inbox(&caller, status.0, include, limit, cursor).await,
        }
    }

    /// List approvals that wait for a decision
    ///
    /// Newest first; the same as `GET /approvals?status=pending`.
    #[oai(path = "/approvals/pending", method = "get", operation_id = "list_pending_approvals")]
    async fn pending(
        &self,
        caller: Caller<ApprovalsRead>,
        /// Send `payload` to get `action`, `original_payload` and `changes` of each approval; left
        /// out, they are absent.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        self.page(&caller, &[ApprovalStatus::Pending], include, limit, cursor).await
    }

    /// List approvals that no longer wait for a decision
    ///
    /// Approved, rejected, expired and cancelled ones, newest first.
    #[oai(path = "/approvals/history", method = "get", operation_id = "list_decided_approvals")]
    async fn history(
        &self,
        caller: Caller<ApprovalsRead>,
        /// Send `payload` to get `action`, `original_payload` and `changes` of each approval; left
        /// out, they are absent.
        include: Include,
        /// The most items of the page; 50 if left out.
        limit: Limit,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        let mut decided = ApprovalStatus::ALL.to_vec();
        decided.retain(|status| *status != ApprovalStatus::Pending);
        self.page(&caller, &decided, include, limit, cursor).await
    }

    /// Get an approval and its task
    ///
    /// Everything that an approver needs for the decision; `digest` names exactly this content.
    #[oai(path = "/approvals/:id", method = "get", operation_id = "get_approval")]
    async fn get(
        &self,
        caller: Caller<ApprovalsRead>,
        /// The approval.
        id: Path<ApprovalId>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        Ok(Json(self.0.engine.approval_for(&caller, id.0).await?.into()))
    }

    /// Approve
    ///
    /// The task continues, unless the quorum needs more approvals. Only the approvers of the
    /// current level may approve, and no person may approve their own task or request, with any
    /// credential. With a `payload`, that payload will run; the task and the approval show the
    /// difference; with `four_eyes`, the approver who wrote it cannot approve it. A second decision
    /// is refused with `already-decided`, which names who decided and when.
    #[oai(path = "/approvals/:id/approve", method = "post", operation_id = "approve")]
    async fn approve(
        &self,
        caller: Caller<ApprovalsDecide>,
        /// The approval.
        id: Path<ApprovalId>,
        body: OptionalBody<Approve>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let decision =
            body.read(|approve, faults| Some(approve.into_decision(faults, &self.0.limits)))?;
        Ok(Json(self.0.engine.decide(&caller, id.0, decision).await?.into()))
    }

    /// Reject
    ///
    /// The task is cancelled with the reason as its error. If its agent chose `return`, the agent
    /// gets the task back instead.
    #[oai(path = "/approvals/:id/reject", method = "post", operation_id = "reject")]
    async fn reject(
        &self,
        caller: Caller<ApprovalsDecide>,
        /// The approval.
        id: Path<ApprovalId>,
        /// Why, if the body has no reason.
        reason: Query<Option<String>>,
        body: OptionalBody<Reject>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let decision = body.read(|reject, faults| Some(reject.into_decision(faults, reason.0)))?;
        Ok(Json(self.0.engine.decide(&caller, id.0, decision).await?.into()))
    }

    /// Move an approval to other approvers
    ///
    /// For an approval whose approvers are gone: a group that is no longer configured, or has fewer
    /// members than the quorum needs. From then on the approvers of the rule, roles or groups
    /// decide; earlier votes no longer count. A caller cannot move the approval of its own task or
    /// request.
    #[oai(path = "/approvals/:id/retarget", method = "post", operation_id = "retarget_approval")]
    async fn retarget(
        &self,
        caller: Caller<TenantAdmin>,
        /// The approval.
        id: Path<ApprovalId>,
        body: Body<Retarget>,
    ) -> Result<Json<ApprovalDetail>, Refusal> {
        let (target, reason) = body.read(Retarget::into_target)?;
        Ok(Json(self.0.engine.retarget(&caller, id.0, target, reason).await?.into()))
    }

    /// Decide on up to 100 approvals
    ///
    /// Each decision is accepted or refused on its own; the results are in the order of the
    /// decisions.
    #[oai(path = "/approvals/decide", method = "post", operation_id = "decide_approvals")]
    async fn decide(
        &self,
        caller: Caller<ApprovalsDecide>,
        body: Body<Decisions>,
    ) -> Result<Json<DecisionsResult>, Refusal> {
        let mut results = Vec::new();
        let decisions = body.value.into_decisions(body.unknown, &self.0.limits)?;
        caller.count_items(decisions.len()).await?;
        for (nth, item) in decisions.into_iter().enumerate() {
            results.push(match item {
                Ok((id, decision)) => self.0.engine.decide(&caller, id, decision).await.into(),
                Err(refusal) => DecisionResult::refused(refusal, &format!("/decisions/{nth}")),
            });
        }
        Ok(Json(DecisionsResult { results }))
    }
}

impl Approvals {
    async fn inbox(
        &self,
        caller: &Principal,
        status: Option<ApprovalStatus>,
        include: Include,
        limit: Limit,
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        if status.is_some_and(|status| status != ApprovalStatus::Pending) {
            return Err(Refusal::parameter("status", "must be pending together with `for`"));
        }
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let has_all = include.0.is_some();
        let page = self
            .0
            .engine
            .approvals_for(caller, limit, cursor.0.as_deref(), has_all)
            .await
            .map_err(|error| Refusal::of_parameter("cursor", error))?;
        Ok(Json(ApprovalPage::new(page, has_all)))
    }

    async fn page(
        &self,
        caller: &Principal,
        statuses: &[ApprovalStatus],
        include: Include,
        limit: Limit,
        cursor: Query<Option<String>>,
    ) -> Result<Json<ApprovalPage>, Refusal> {
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let has_all = include.0.is_some();
        let page = self
            .0
            .engine
            .approvals_of(caller.tenant(), statuses, limit, cursor.0.as_deref(), has_all)
            .await
            .map_err(|error| Refusal::of_parameter("cursor", error))?;
        Ok(Json(ApprovalPage::new(page, has_all)))
    }
}
