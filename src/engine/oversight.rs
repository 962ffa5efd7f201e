//! How the fleet stands.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Worker};
use crate::domain::principal::Principal;
use crate::domain::task::{Millis, Priority};
use crate::store::{AgentRow, StatsRow};

use super::{AgentStatus, Engine, Error, Session, Stats};

/// How long ago the store may have answered for the process to count as ready without asking again.
const LATELY: Duration = Duration::from_secs(2);

impl Engine {
    /// How the whole fleet stands, at a cost that does not depend on the number of tasks.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let mut rows = Vec::new();
        for partition in self.store.partitions() {
            rows.push(self.store.stats(partition, self.settings.agents.session_ms).await?);
        }
        let by_agent = self.by_agent(&rows);
        let by_status = State::ALL.map(|state| {
            let count = match state {
                State::Assigned => by_agent.iter().map(|agent| agent.depth).sum(),
                State::InProgress => by_agent.iter().map(|agent| agent.in_progress).sum(),
                _ => sum(rows.iter().flat_map(|row| &row.states), state.as_str()),
            };
            (state, count)
        });
        let by_priority = Priority::ALL.map(|priority| {
            (priority, sum(rows.iter().flat_map(|row| &row.open), priority.as_str()))
        });
        let waits = rows.iter().filter_map(|row| Some(row.now.saturating_sub(row.head_since?)));
        Ok(Stats {
            by_status: by_status.to_vec(),
            by_priority: by_priority.to_vec(),
            oldest_pending_ms: waits.max(),
            at: rows.iter().map(|row| row.now).max().unwrap_or_default(),
            by_agent,
        })
    }

    /// Every agent that a routing rule names or that ever had a task, by name.
    pub async fn agents(&self) -> Result<Vec<AgentStatus>, Error> {
        Ok(self.stats().await?.by_agent)
    }

    /// One agent.
    pub async fn agent(&self, agent: &Name) -> Result<AgentStatus, Error> {
        let agents = self.agents().await?;
        let known = || agents.iter().map(|status| status.agent.clone()).collect();
        let found = agents.iter().find(|status| status.agent == *agent).cloned();
        found.ok_or_else(|| Error::UnknownAgent { agent: agent.clone(), known: known() })
    }

    /// Answers the agent's claims with nothing until it is resumed; what it holds goes on.
    pub async fn pause(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        self.agent(agent).await?;
        self.store.pause(agent, caller).await?;
        tracing::info!(agent.id = %agent, %caller, "agent paused");
        self.agent(agent).await
    }

    /// Lets the agent claim again.
    pub async fn resume(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        self.agent(agent).await?;
        self.store.resume(agent, caller).await?;
        tracing::info!(agent.id = %agent, %caller, "agent resumed");
        self.agent(agent).await
    }

    /// One round trip to the store that writes nothing; returns the store's time.
    pub async fn check(&self) -> Result<Millis, Error> {
        Ok(self.store.now().await?)
    }

    /// Whether a store round trip succeeded lately; asks nobody.
    pub fn has_answered_lately(&self) -> bool {
        self.store.last_answer() < LATELY
    }

    /// Whether a store round trip succeeded lately, or does now.
    pub async fn is_ready(&self) -> bool {
        if self.store.is_foreign() {
            return false;
        }
        self.has_answered_lately()
            || matches!(tokio::time::timeout(LATELY, self.check()).await, Ok(Ok(_)))
    }

    /// The agents of all partitions together.
    fn by_agent(&self, rows: &[StatsRow]) -> Vec<AgentStatus> {
        let mut agents: BTreeMap<Name, AgentStatus> = BTreeMap::new();
        for rule in &self.settings.routing.rules {
            agents
                .entry(rule.agent.clone())
                .or_insert_with(|| AgentStatus::idle(rule.agent.clone()));
        }
        for row in rows.iter().flat_map(|row| &row.agents) {
            let Ok(name) = Name::from_str(&row.agent) else { continue };
            agents.entry(name.clone()).or_insert_with(|| AgentStatus::idle(name)).add(row);
        }
        agents.into_values().collect()
    }
}

/// The sum of what the partitions count under `word`; a count that is being corrected is never shown below zero.
fn sum<'r>(counts: impl Iterator<Item = &'r (String, u64)>, word: &str) -> u64 {
    counts.filter(|(name, _)| name == word).map(|(_, count)| count).sum()
}

impl AgentStatus {
    fn idle(agent: Name) -> Self {
        Self {
            agent,
            depth: 0,
            in_progress: 0,
            sessions: Vec::new(),
            last_seen: None,
            is_paused: false,
        }
    }

    fn add(&mut self, row: &AgentRow) {
        self.depth += row.depth;
        self.in_progress += row.in_progress;
        self.is_paused |= row.is_paused;
        for (worker, last_seen) in &row.sessions {
            let Ok(worker) = Worker::from_str(worker) else { continue };
            let last_seen = *last_seen as Millis;
            self.last_seen = self.last_seen.max(Some(last_seen));
            match self.sessions.iter_mut().find(|session| session.worker == worker) {
                Some(session) => session.last_seen = session.last_seen.max(last_seen),
                None => self.sessions.push(Session { worker, last_seen }),
            }
        }
    }
}
