//! Figures of the whole fleet.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::lifecycle::State;
use crate::engine::{Count, Stats};

use super::{AgentView, At, at};

/// How many tasks there are, by status, priority and agent.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Stats")]
pub struct StatsView {
    /// The three figures that matter most.
    pub queue: QueueView,
    /// How many tasks are in each status.
    pub by_status: BTreeMap<String, u64>,
    /// How many open tasks have each priority.
    pub by_priority: BTreeMap<String, u64>,
    /// The state of each agent and its subject, by the agent's name; for a tenant's,
    /// `<agent>@<tenant>`.
    pub by_agent: BTreeMap<String, AgentView>,
    /// How long the head of the priority queue has waited, in milliseconds; null if the queue is
    /// empty.
    pub oldest_pending_ms: Option<u64>,
    /// When the figures were counted.
    pub timestamp: At,
}

/// The queue in three figures.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Queue")]
pub struct QueueView {
    /// How many tasks could start now: pending or assigned.
    pub pending_tasks: u64,
    /// How many tasks are in progress.
    pub processing_tasks: u64,
    /// How many tasks there are in any status, including final ones that are still kept.
    pub total_tasks: u64,
}

/// How many tasks match the filters.
#[derive(Clone, Debug, Serialize, Object)]
pub struct TaskCount {
    /// How many tasks match among those that this call looked at.
    pub count: u64,
    /// The `cursor` of the next call, whose count is to be added; null if all tasks were looked at.
    pub next_cursor: Option<String>,
}

impl From<Count> for TaskCount {
    fn from(count: Count) -> Self {
        Self { count: count.tasks, next_cursor: count.next_cursor }
    }
}

/// How many tasks are in the states for which `is_counted` holds.
fn tasks_in(stats: &Stats, is_counted: fn(State) -> bool) -> u64 {
    let counted = stats.by_status.iter().filter(|(state, _)| is_counted(*state));
    counted.map(|(_, count)| count).sum()
}

impl From<&Stats> for QueueView {
    fn from(stats: &Stats) -> Self {
        Self {
            pending_tasks: tasks_in(stats, |state| {
                matches!(state, State::Pending | State::Assigned)
            }),
            processing_tasks: tasks_in(stats, |state| state == State::InProgress),
            total_tasks: tasks_in(stats, |_| true),
        }
    }
}

impl From<Stats> for StatsView {
    fn from(stats: Stats) -> Self {
        let queue = QueueView::from(&stats);
        let by_status = stats.by_status.into_iter();
        let by_priority = stats.by_priority.into_iter();
        let by_agent = stats.by_agent.into_iter();
        Self {
            queue,
            by_status: by_status.map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
            by_priority: by_priority
                .map(|(level, count)| (level.as_str().to_owned(), count))
                .collect(),
            by_agent: by_agent.map(|one| (one.agent.as_str().to_owned(), one.into())).collect(),
            oldest_pending_ms: stats.oldest_pending_ms,
            timestamp: at(stats.at),
        }
    }
}
