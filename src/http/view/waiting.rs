//! What a task waits for.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::ids::ApprovalId;
use crate::domain::name::Name;
use crate::domain::task::Task;
use crate::engine::Waiting;

use super::super::text::Text;
use super::{At, TaskView, at};

/// What an open task waits for.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "WhyWaiting")]
pub struct WaitingView {
    /// In one word. Known: approval, answer, start, retry, content, router, agent_paused, agent_absent, agent_busy.
    pub reason: String,
    /// The same in a sentence.
    pub detail: String,
    /// The approval that it waits for, or that is for something else.
    pub approval_id: Option<Text<ApprovalId>>,
    /// The agent that it waits for.
    pub agent: Option<Text<Name>>,
    /// How many tasks are before it.
    pub ahead: Option<u64>,
    /// When the wait is over, if that is known.
    pub until: Option<At>,
}

impl From<Waiting> for WaitingView {
    fn from(waiting: Waiting) -> Self {
        let said = |reason: &str, detail: String| Self {
            reason: reason.to_owned(),
            detail,
            approval_id: None,
            agent: None,
            ahead: None,
            until: None,
        };
        match waiting {
            Waiting::Approval { id, asked, is_ask, until } => {
                let (reason, who) = if is_ask {
                    ("answer", "Its agent asked")
                } else {
                    ("approval", "The policy asks")
                };
                let detail = format!("{who}: {asked} must decide on approval {id}.");
                Self { approval_id: Some(Text(id)), until: until.map(at), ..said(reason, detail) }
            }
            Waiting::Time { until, is_retry } => {
                let (reason, detail) = if is_retry {
                    ("retry", "An attempt failed; the next one follows after a back-off.")
                } else {
                    ("start", "It was submitted with a start that is still ahead.")
                };
                Self { until: Some(at(until)), ..said(reason, detail.to_owned()) }
            }
            Waiting::Content { approval } => {
                let detail = "Its content is not what was approved, so no agent gets it: cancel it and submit it again.";
                Self { approval_id: approval.map(Text), ..said("content", detail.to_owned()) }
            }
            Waiting::Router { ahead } => {
                let detail = format!(
                    "It is in the priority queue behind {ahead} tasks; a worker takes them on."
                );
                Self { ahead: Some(ahead), ..said("router", detail) }
            }
            Waiting::Agent { agent, ahead, is_paused, sessions } => {
                let (reason, detail) = match (is_paused, sessions) {
                    (true, _) => {
                        ("agent_paused", format!("{agent} is paused; {ahead} tasks are before it."))
                    }
                    (false, 0) => (
                        "agent_absent",
                        format!(
                            "No process of {agent} called lately; {ahead} tasks are before it."
                        ),
                    ),
                    (false, _) => (
                        "agent_busy",
                        format!("{agent} has {sessions} processes; {ahead} tasks are before it."),
                    ),
                };
                Self { agent: Some(Text(agent)), ahead: Some(ahead), ..said(reason, detail) }
            }
        }
    }
}

impl From<(Task, Option<Waiting>)> for TaskView {
    fn from((task, waiting): (Task, Option<Waiting>)) -> Self {
        Self { why_waiting: waiting.map(WaitingView::from), ..task.into() }
    }
}
