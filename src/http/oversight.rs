//! The calls of operators: figures, SLA reports, rules and the audit log.

use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Query};

use crate::domain::audit::AuditFilter;
use crate::engine::GroupBy;

use super::Shared;
use super::answer::Json;
use super::auth::{Admin, Caller, FiguresRead, TasksRead};
use super::error::Refusal;
use super::json_body::Body;
use super::openapi::Tag;
use super::request::{Submission, Trace, TraceState};
use super::tasks::DEFAULT_PAGE;
use super::text::{PageLimit, Time};
use super::view::{AuditPage, ExplanationView, RulesView, SlaReportView, StatsView};

/// The calls of operators.
pub struct Oversight(pub(super) Shared);

#[OpenApi(tag = "Tag::Operation")]
impl Oversight {
    /// Get figures of the fleet
    ///
    /// How many tasks there are by status, priority and agent, and how old the oldest one is. The
    /// figures are those of all tenants, so a caller that is bound to one is refused.
    #[oai(path = "/stats", method = "get", operation_id = "get_stats")]
    async fn stats(&self, _caller: Caller<FiguresRead>) -> Result<Json<StatsView>, Refusal> {
        Ok(Json(self.0.engine.stats().await?.into()))
    }

    /// Get the SLA report
    ///
    /// How many tasks met their deadlines, counted by whole hours for 32 days. The cost does not
    /// depend on the number of tasks. `from` and `to` are widened to whole hours; a report covers
    /// at most 31 days.
    #[oai(path = "/sla/report", method = "get", operation_id = "get_sla_report")]
    async fn sla_report(
        &self,
        caller: Caller<TasksRead>,
        /// The start of the report; a day before `to` if left out.
        from: Query<Option<Time>>,
        /// The end of the report; the end of this hour if left out.
        to: Query<Option<Time>>,
        /// The properties to group by: one or more of `type`, `priority`, `agent`, joined by
        /// commas; no groups if left out.
        group_by: Query<Option<GroupBy>>,
    ) -> Result<Json<SlaReportView>, Refusal> {
        let [from, to] = [from.0, to.0].map(|time| time.map(|time| time.0));
        let group_by = group_by.0.unwrap_or_default();
        let report = self.0.engine.sla_report(caller.tenant(), from, to, group_by).await;
        Ok(Json(report.map_err(|error| Refusal::of_parameter("from", error))?.into()))
    }

    /// Get the rules in force
    ///
    /// The routing rules and the approval rules of the configuration, in their order.
    #[oai(path = "/admin/routing", method = "get", operation_id = "get_rules")]
    async fn rules(&self, _caller: Caller<Admin>) -> Result<Json<RulesView>, Refusal> {
        Ok(Json(self.0.engine.settings().into()))
    }

    /// Explain where a submission would go
    ///
    /// Returns the agent and the rules that decide. Stores nothing.
    #[oai(path = "/admin/routing/explain", method = "post", operation_id = "explain_routing")]
    async fn explain(
        &self,
        _caller: Caller<Admin>,
        /// The W3C trace context; an invalid one is ignored.
        traceparent: Header<Option<String>>,
        /// More of the trace context; an invalid one is ignored.
        tracestate: TraceState,
        body: Body<Submission>,
    ) -> Result<Json<ExplanationView>, Refusal> {
        let task = body.read(|submission, faults| {
            submission.into_task(
                faults,
                &self.0.limits,
                Trace::of(traceparent.0, tracestate),
                |_| None,
            )
        })?;
        Ok(Json(self.0.engine.explain(&task).into()))
    }

    /// Read the audit log
    ///
    /// Every decision on an approval, cancel, retry, pause, resume and change of credentials,
    /// newest first. The hash of each entry covers the previous entry's hash, so no entry can be
    /// changed, removed or inserted without changing every hash after it. Only `retention.audit_ms`
    /// removes entries. A page may be short and still have a next one: follow `next_cursor`.
    #[oai(path = "/admin/audit", method = "get", operation_id = "read_audit_log")]
    async fn audit(
        &self,
        _caller: Caller<Admin>,
        /// Only actions of this actor, such as `user:alice` or `key:ops`.
        actor: Query<Option<String>>,
        /// Only actions of this kind, such as `approve`.
        action: Query<Option<String>>,
        /// Only actions on this subject, such as `task:019ab3c4-7d2e-7000-8000-0000000000a0`.
        subject: Query<Option<String>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<PageLimit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<AuditPage>, Refusal> {
        let filter = AuditFilter { actor: actor.0, action: action.0, subject: subject.0 };
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let page = self
            .0
            .engine
            .audit(&filter, limit, cursor.0.as_deref())
            .await
            .map_err(|error| Refusal::of_parameter("cursor", error))?;
        Ok(Json(page.into()))
    }
}
