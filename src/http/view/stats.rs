//! How the whole fleet stands.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::lifecycle::State;
use crate::engine::Stats;

use super::{AgentView, At, at};

/// How the whole fleet stands.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Stats")]
pub struct StatsView {
    /// The three figures that matter most.
    pub queue: QueueView,
    /// Tasks in each status.
    pub by_status: BTreeMap<String, u64>,
    /// Open tasks of each priority.
    pub by_priority: BTreeMap<String, u64>,
    /// How each agent's subject stands.
    pub by_agent: BTreeMap<String, AgentView>,
    /// How long the head of the priority queue has waited, in milliseconds; null: the queue is empty.
    pub oldest_pending_ms: Option<u64>,
    /// When this was counted.
    pub timestamp: At,
}

/// The queue in three figures.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Queue")]
pub struct QueueView {
    /// Tasks that could start now: pending or assigned.
    pub pending_tasks: u64,
    /// Tasks in progress.
    pub processing_tasks: u64,
    /// Tasks in any status, the finished ones that are still kept included.
    pub total_tasks: u64,
}

impl From<Stats> for StatsView {
    fn from(stats: Stats) -> Self {
        let sum = |is_counted: fn(State) -> bool| {
            stats
                .by_status
                .iter()
                .filter(|(state, _)| is_counted(*state))
                .map(|(_, count)| count)
                .sum()
        };
        let queue = QueueView {
            pending_tasks: sum(|state| matches!(state, State::Pending | State::Assigned)),
            processing_tasks: sum(|state| state == State::InProgress),
            total_tasks: sum(|_| true),
        };
        let word = |state: &str| state.to_owned();
        Self {
            queue,
            by_status: stats
                .by_status
                .into_iter()
                .map(|(state, count)| (word(state.as_str()), count))
                .collect(),
            by_priority: stats
                .by_priority
                .into_iter()
                .map(|(level, count)| (word(level.as_str()), count))
                .collect(),
            by_agent: stats
                .by_agent
                .into_iter()
                .map(|one| (word(one.agent.as_str()), one.into()))
                .collect(),
            oldest_pending_ms: stats.oldest_pending_ms,
            timestamp: at(stats.at),
        }
    }
}
