//! The state of the fleet: numbers of tasks, agents, health, and pausing agents.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Worker};
use crate::domain::principal::Principal;
use crate::domain::priority::Priority;
use crate::domain::time::Millis;
use crate::store::AgentRow;

use super::restrictions::check_agent;
use super::{Engine, Error};

/// How long the last answer of the store counts as proof of a connection.
const LATELY: Duration = Duration::from_secs(2);

const SHOWN_SESSIONS: usize = 100;

/// The state of an agent and its subject.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// The name of its subject: that of the agent, for a tenant or for none.
    pub agent: Name,
    /// How many tasks wait in the subject for a claim.
    pub depth: u64,
    /// How many tasks the agent holds under a lease.
    pub in_progress: u64,
    /// How many processes of the agent have a live session.
    pub session_count: u64,
    /// The sessions with the newest calls, newest first, at most 100. `None` if not requested.
    pub sessions: Option<Vec<Session>>,
    /// When a process of the agent last called. `None` if none did, or if that was long ago.
    pub last_seen: Option<Millis>,
    /// Whether the agent is paused, so that its claims return nothing.
    pub is_paused: bool,
}

/// The live session of one process of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    /// The name that the process gave itself in its claims.
    pub worker: Worker,
    /// When the process last called, in milliseconds since 1970.
    pub last_seen: Millis,
}

/// The numbers of tasks and agents of the whole fleet.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The number of tasks in each state, in the order of a task's life.
    pub by_status: Vec<(State, u64)>,
    /// The number of open tasks of each priority, the most urgent first.
    pub by_priority: Vec<(Priority, u64)>,
    /// Every agent that a routing rule names or that has tasks or sessions, by name.
    pub by_agent: Vec<AgentStatus>,
    /// How many milliseconds the head of the priority queue has waited. `None` if it is empty.
    pub oldest_pending_ms: Option<Millis>,
    /// The store's time at which this was read, in milliseconds since 1970.
    pub at: Millis,
}

impl Engine {
    /// Returns the numbers of tasks and agents, at a cost that the number of tasks does not change.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let mut rows = Vec::new();
        let mut agents = Vec::new();
        for partition in self.store.partitions() {
            let session_ms = self.settings.agents.session_ms;
            let mut row = self.store.stats(partition, session_ms, 0).await?;
            while row.cursor != 0 {
                let next = self.store.stats(partition, session_ms, row.cursor).await?;
                row.agents.extend(next.agents);
                row.cursor = next.cursor;
            }
            // A scan can return the same agent twice.
            let found = row.agents.drain(..).map(|agent| (agent.agent.clone(), agent));
            agents.extend(found.collect::<BTreeMap<_, _>>().into_values());
            rows.push(row);
        }
        let by_agent = self.by_agent(&agents);
        let by_status = State::ALL.map(|state| {
            let count = match state {
                State::Assigned => by_agent.iter().map(|agent| agent.depth).sum(),
                State::InProgress => by_agent.iter().map(|agent| agent.in_progress).sum(),
                State::Blocked
                | State::Scheduled
                | State::Pending
                | State::Completed
                | State::Failed
                | State::Cancelled => sum(rows.iter().flat_map(|row| &row.states), state.as_str()),
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

    /// Returns every agent that a routing rule names or that has tasks or sessions, by name.
    pub async fn agents(&self) -> Result<Vec<AgentStatus>, Error> {
        Ok(self.stats().await?.by_agent)
    }

    /// Returns one agent with its newest sessions.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAgent`] if no routing rule names the agent and it has no tasks or sessions.
    pub async fn agent(&self, agent: &Name) -> Result<AgentStatus, Error> {
        if !self.is_routed(&agent.agent()) && !self.store.standing(agent).await?.is_known {
            return Err(self.unknown_agent(agent));
        }
        let now = self.store.now().await?;
        let mut status = AgentStatus::idle(agent.clone());
        let mut sessions: BTreeMap<Worker, Millis> = BTreeMap::new();
        for partition in self.store.partitions() {
            let session_ms = self.settings.agents.session_ms;
            let (row, newest) = self.store.agent(partition, agent, now, session_ms).await?;
            status.add(&row);
            for (worker, at) in newest {
                let Ok(worker) = Worker::from_str(&worker) else { continue };
                let last_seen = sessions.entry(worker).or_default();
                *last_seen = at.max(*last_seen);
            }
        }
        let mut sessions: Vec<_> =
            sessions.into_iter().map(|(worker, last_seen)| Session { worker, last_seen }).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_seen));
        sessions.truncate(SHOWN_SESSIONS);
        status.sessions = Some(sessions);
        Ok(status)
    }

    /// Checks that the caller may call for the agent of its tenant. Returns the limit of agents that
    /// a new agent must keep to, or `None` if the agent is admitted already.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignAgent`] if the caller's key does not allow the agent,
    /// [`Error::UnknownAgent`] if no rule names the agent and it has no tasks or sessions, or
    /// [`Error::TooManyAgents`] if only the limit of agents keeps it out.
    pub async fn admit(&self, caller: &Principal, agent: &Name) -> Result<Option<u32>, Error> {
        let subject = &agent.for_tenant(caller.tenant());
        check_agent(caller, subject)?;
        if self.is_routed(agent) {
            return Ok(None);
        }
        let standing = self.store.standing(subject).await?;
        let agents = &self.settings.agents;
        match agents.max_agents {
            _ if standing.owns => Ok(None),
            _ if !agents.allow_unrouted => Err(self.unknown_agent(agent)),
            most if standing.is_known || standing.agents < u64::from(most) => Ok(Some(most)),
            most => Err(Error::TooManyAgents { agent: agent.clone(), most }),
        }
    }

    fn is_routed(&self, agent: &Name) -> bool {
        self.settings.routing.rules.iter().any(|rule| rule.agent == *agent)
    }

    /// The agents that routing rules name; one can come several times.
    pub(super) fn routed(&self) -> impl Iterator<Item = Name> {
        self.settings.routing.rules.iter().map(|rule| rule.agent.clone())
    }

    fn unknown_agent(&self, agent: &Name) -> Error {
        let known: BTreeSet<Name> = self.routed().collect();
        Error::UnknownAgent { agent: agent.agent(), known: known.into_iter().collect() }
    }

    /// Pauses an agent: claims return nothing until it is resumed; tasks in progress continue.
    pub async fn pause(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        let agent = &agent.for_tenant(caller.tenant());
        check_agent(caller, agent)?;
        self.agent(agent).await?;
        self.store.pause(agent, caller).await?;
        tracing::info!(agent.id = %agent, %caller, "agent paused");
        self.agent(agent).await
    }

    /// Resumes an agent, so that it can claim again.
    pub async fn resume(&self, caller: &Principal, agent: &Name) -> Result<AgentStatus, Error> {
        let agent = &agent.for_tenant(caller.tenant());
        check_agent(caller, agent)?;
        let before = self.agent(agent).await?;
        self.store.resume(agent, caller).await?;
        tracing::info!(agent.id = %agent, %caller, "agent resumed");
        // An agent that had nothing but the pause may be gone now.
        match self.agent(agent).await {
            Err(Error::UnknownAgent { .. }) => Ok(AgentStatus { is_paused: false, ..before }),
            status => status,
        }
    }

    /// Makes one round trip to the store without a write. Returns the store's time.
    pub async fn check(&self) -> Result<Millis, Error> {
        Ok(self.store.now().await?)
    }

    /// Returns whether the store answered within the last seconds, without calling it.
    pub fn has_answered_lately(&self) -> bool {
        self.store.last_answer() < LATELY
    }

    /// Returns, within 2 s, whether the store accepted a write in the last second or does now.
    pub async fn is_ready(&self) -> bool {
        self.store.is_ready().await
    }

    /// Adds up the agents of all partitions, including those that only a routing rule names.
    fn by_agent(&self, rows: &[AgentRow]) -> Vec<AgentStatus> {
        let routed = self.routed().map(|agent| (agent.clone(), AgentStatus::idle(agent)));
        let mut agents: BTreeMap<Name, AgentStatus> = routed.collect();
        for row in rows {
            let Ok(name) = Name::of_subject(&row.agent) else { continue };
            agents.entry(name.clone()).or_insert_with(|| AgentStatus::idle(name)).add(row);
        }
        agents.into_values().collect()
    }
}

/// The sum of what the partitions count under `word`. A count under correction is never shown below
/// zero.
fn sum<'r>(counts: impl Iterator<Item = &'r (String, u64)>, word: &str) -> u64 {
    counts.filter(|(name, _)| name == word).map(|(_, count)| count).sum()
}

impl AgentStatus {
    pub(super) fn idle(agent: Name) -> Self {
        Self {
            agent,
            depth: 0,
            in_progress: 0,
            session_count: 0,
            sessions: None,
            last_seen: None,
            is_paused: false,
        }
    }

    fn add(&mut self, row: &AgentRow) {
        self.depth += row.depth;
        self.in_progress += row.in_progress;
        self.is_paused |= row.is_paused;
        // A process calls every partition, one after the other.
        self.session_count = self.session_count.max(row.sessions);
        self.last_seen = self.last_seen.max(row.last_seen);
    }
}
