//! What clients see. A view is made from a domain value by `From`, and nowhere else.
//!
//! A view always has every field; one without a value is `null`.

mod agent;
mod approval;
mod audit;
mod bulk;
mod detail;
mod event;
mod key;
mod outcome;
mod report;
mod rules;
mod stats;
mod task;
mod waiting;

pub use agent::{AgentPage, AgentView};
pub use approval::{ApprovalPage, ApprovalView, DecisionResult, DecisionsResult};
pub use audit::AuditPage;
pub use bulk::BulkView;
pub use detail::ApprovalDetail;
pub use event::EventPageView;
pub use key::{KeyPage, KeySecretView, KeyView};
pub use outcome::{
    BatchItemResult, BatchResult, LeaseView, OutcomeResult, OutcomesResult, Reported,
};
pub use report::SlaReportView;
pub use rules::{ExplanationView, RulesView};
pub use stats::{QueueView, StatsView, TaskCount};
pub use task::{StatusChanged, TaskPage, TaskView, TasksClaimed, TimelinePage};
pub use waiting::WaitingView;

use crate::domain::event::KNOWN_TYPES;
use crate::domain::time::Millis;

use super::text::Time;

/// A point in time in an answer.
pub type At = Time;

/// The known words of texts in answers, for the API document: schema, member, words.
pub const WORDS: [(&str, &str, &[&str]); 6] = [
    ("Approval", "kind", &["gate", "ask"]),
    ("AuditEntry", "action", &audit::ACTIONS),
    ("Event", "event_type", KNOWN_TYPES),
    ("Health", "redis", &["connected", "disconnected"]),
    ("Health", "status", &["healthy", "unhealthy"]),
    ("WhyWaiting", "reason", &waiting::REASONS),
];

/// Converts a time of the domain to its form in an answer.
pub fn at(millis: Millis) -> At {
    Time(millis)
}
