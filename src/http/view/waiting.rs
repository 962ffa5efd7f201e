//! Why an open task does not run yet.

use poem_openapi::Object;
use serde::Serialize;

use super::{At, at};
use crate::domain::ids::ApprovalId;
use crate::domain::name::Name;
use crate::engine::Waiting;

/// The reasons that are known, for the API document.
pub const REASONS: [&str; 9] = [
    "approval",
    "answer",
    "start",
    "retry",
    "content",
    "router",
    "agent_paused",
    "agent_absent",
    "agent_busy",
];

/// What an open task waits for.
#[derive(Clone, Debug, Default, Serialize, Object)]
#[oai(rename = "WhyWaiting")]
pub struct WaitingView {
    /// The reason as a word.
    pub reason: String,
    /// The same reason as a sentence.
    pub detail: String,
    /// The approval that the task waits for, or that is for other content.
    pub approval_id: Option<ApprovalId>,
    /// The agent that the task waits for.
    pub agent: Option<Name>,
    /// How many tasks come before this one.
    pub ahead: Option<u64>,
    /// When the wait ends; null if that is unknown.
    pub until: Option<At>,
}

impl WaitingView {
    fn new(reason: &str, detail: String) -> Self {
        Self { reason: reason.to_owned(), detail, ..Self::default() }
    }
}

impl From<Waiting> for WaitingView {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Approval { id, asked, is_ask, until } => {
                let (reason, who) = if is_ask {
                    ("answer", "Its agent requests an approval")
                } else {
                    ("approval", "An approval rule applies")
                };
                let detail = format!("{who}: {asked} must decide on approval {id}.");
                Self { approval_id: Some(id), until: until.map(at), ..Self::new(reason, detail) }
            }
            Waiting::Time { until, is_retry } => {
                let (reason, detail) = if is_retry {
                    ("retry", "An attempt failed; the next one follows after a back-off.")
                } else {
                    ("start", "It was submitted with a start that is still ahead.")
                };
                Self { until: Some(at(until)), ..Self::new(reason, detail.to_owned()) }
            }
            Waiting::Content { approval } => {
                let detail = "The content is not the approved content, so no agent gets the \
                              task: cancel it and submit it again.";
                Self { approval_id: approval, ..Self::new("content", detail.to_owned()) }
            }
            Waiting::Router { ahead } => {
                let detail = format!(
                    "It is in the priority queue behind {ahead} tasks; a worker routes them."
                );
                Self { ahead: Some(ahead), ..Self::new("router", detail) }
            }
            Waiting::Agent { agent, ahead, is_paused, sessions } => {
                let agent = agent.agent();
                let behind = format!("{ahead} tasks are before it.");
                let (reason, detail) = match (is_paused, sessions) {
                    (true, _) => ("agent_paused", format!("{agent} is paused; {behind}")),
                    (false, 0) => {
                        let detail = format!("No process of {agent} called recently; {behind}");
                        ("agent_absent", detail)
                    }
                    (false, _) => {
                        ("agent_busy", format!("{agent} has {sessions} processes; {behind}"))
                    }
                };
                Self { agent: Some(agent), ahead: Some(ahead), ..Self::new(reason, detail) }
            }
        }
    }
}
