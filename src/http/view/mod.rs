//! What clients see. A view is made from a domain value by `From`, and nowhere else.
//!
//! A view always has every field; one without a value is `null`.

mod agent;
mod approval;
mod audit;
mod event;
mod outcome;
mod report;
mod rules;
mod stats;
mod task;
mod waiting;

pub use agent::{AgentPage, AgentView};
pub use approval::{ApprovalDetail, ApprovalPage, ApprovalView, DecisionResult, DecisionsResult};
pub use audit::AuditPage;
pub use event::{CloudEventPage, EventPageView};
pub use outcome::{
    BatchItemResult, BatchResult, LeaseView, OutcomeResult, OutcomesResult, Reported,
};
pub use report::SlaReportView;
pub use rules::{ExplanationView, RulesView};
pub use stats::StatsView;
pub use task::{StatusChanged, TaskPage, TaskView, TasksClaimed, TimelinePage};
pub use waiting::WaitingView;

use crate::domain::task::Millis;

use super::text::{Text, Time};

/// A point in time in an answer.
pub type At = Text<Time>;

/// Converts a time of the domain to its form in an answer.
pub fn at(millis: Millis) -> At {
    Text(Time(millis))
}
