//! What operators look at: figures and rules.

use poem_openapi::OpenApi;
use poem_openapi::param::Header;

use crate::engine::Engine;

use super::auth::{Admin, Caller, TasksRead};
use super::error::Refusal;
use super::json::{Body, Json};
use super::openapi::Tag;
use super::request::{Limits, Submission, Trace};
use super::view::{ExplanationView, RulesView, StatsView};

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
