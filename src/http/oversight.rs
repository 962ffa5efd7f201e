//! What operators look at: figures and rules.

use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Query};

use crate::engine::{Engine, GroupBy};

use super::auth::{Admin, Caller, TasksRead};
use super::error::Refusal;
use super::json::{Body, Json};
use super::openapi::Tag;
use super::request::{Limits, Submission, Trace};
use super::text::{Text, Time};
use super::view::{ExplanationView, RulesView, SlaReportView, StatsView};

/// The calls of operators.
pub struct Oversight {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
}

#[OpenApi(tag = "Tag::Operation")]
impl Oversight {
    /// See how the fleet stands
    #[oai(path = "/stats", method = "get", operation_id = "get_stats")]
    async fn stats(&self, _caller: Caller<TasksRead>) -> Result<Json<StatsView>, Refusal> {
        Ok(Json(self.engine.stats().await?.into()))
    }

    /// See how the promises in time were kept
    ///
    /// Counted by whole hours, for 32 days, at a cost that does not depend on the number of tasks. `from` and `to` are
    /// widened to whole hours; a report covers at most 31 days.
    #[oai(path = "/sla/report", method = "get", operation_id = "get_sla_report")]
    async fn sla_report(
        &self,
        _caller: Caller<TasksRead>,
        /// From when on; a day before `to` if left out.
        from: Query<Option<Text<Time>>>,
        /// Until when; the end of this hour if left out.
        to: Query<Option<Text<Time>>>,
        /// What to tell apart: one or several of `type`, `priority`, `agent`, joined by commas; nothing if left out.
        group_by: Query<Option<Text<GroupBy>>>,
    ) -> Result<Json<SlaReportView>, Refusal> {
        let [from, to] = [from.0, to.0].map(|time| time.map(|time| time.0.0));
        let group_by = group_by.0.map(|words| words.0).unwrap_or_default();
        let report = self.engine.sla_report(from, to, group_by).await;
        Ok(Json(report.map_err(|error| Refusal::of_parameter("from", error))?.into()))
    }

    /// See the rules in force
    #[oai(path = "/admin/routing", method = "get", operation_id = "get_rules")]
    async fn rules(&self, _caller: Caller<Admin>) -> Result<Json<RulesView>, Refusal> {
        Ok(Json(self.engine.settings().into()))
    }

    /// See where a submission would go, and why
    ///
    /// Nothing is stored.
    #[oai(path = "/admin/routing/explain", method = "post", operation_id = "explain_routing")]
    async fn explain(
        &self,
        _caller: Caller<Admin>,
        /// The W3C trace context; one that is not valid is ignored.
        traceparent: Header<Option<String>>,
        body: Body<Submission>,
    ) -> Result<Json<ExplanationView>, Refusal> {
        let task = body.value.into_task(&self.limits, Trace::of(traceparent.0), |_| None)?;
        Ok(Json(self.engine.explain(&task).into()))
    }
}
