//! The calls of operators: figures, SLA reports and rules.

use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Query};

use crate::engine::{Engine, GroupBy};

use super::answer::Json;
use super::auth::{Admin, Caller, TasksRead};
use super::error::Refusal;
use super::json::Body;
use super::openapi::Tag;
use super::request::{Limits, Submission, Trace};
use super::text::Time;
use super::view::{ExplanationView, RulesView, SlaReportView, StatsView};

/// The calls of operators.
pub struct Oversight {
    /// The engine, which does the work.
    pub engine: Engine,
    /// The limits that request bodies are checked against.
    pub limits: Limits,
}

#[OpenApi(tag = "Tag::Operation")]
impl Oversight {
    /// Get figures of the fleet
    #[oai(path = "/stats", method = "get", operation_id = "get_stats")]
    async fn stats(&self, _caller: Caller<TasksRead>) -> Result<Json<StatsView>, Refusal> {
        Ok(Json(self.engine.stats().await?.into()))
    }

    /// Get the SLA report
    ///
    /// How many tasks met their deadlines, counted by whole hours for 32 days. The cost does not
    /// depend on the number of tasks. `from` and `to` are widened to whole hours; a report covers
    /// at most 31 days.
    #[oai(path = "/sla/report", method = "get", operation_id = "get_sla_report")]
    async fn sla_report(
        &self,
        _caller: Caller<TasksRead>,
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
        let report = self.engine.sla_report(from, to, group_by).await;
        Ok(Json(report.map_err(|error| Refusal::of_parameter("from", error))?.into()))
    }

    /// Get the rules in force
    #[oai(path = "/admin/routing", method = "get", operation_id = "get_rules")]
    async fn rules(&self, _caller: Caller<Admin>) -> Result<Json<RulesView>, Refusal> {
        Ok(Json(self.engine.settings().into()))
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
        body: Body<Submission>,
    ) -> Result<Json<ExplanationView>, Refusal> {
        let task = body.value.into_task(&self.limits, Trace::of(traceparent.0), |_| None)?;
        Ok(Json(self.engine.explain(&task).into()))
    }
}
