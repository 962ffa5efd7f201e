//! Agents: their subjects and sessions as clients see them.

use poem_openapi::Object;
use serde::Serialize;

use super::{At, at};
use crate::domain::name::{Name, Worker};
use crate::engine::{AgentStatus, Session};

/// The state of an agent and its subject.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "AgentState")]
pub struct AgentView {
    /// The name of the agent, which routing rules use.
    pub agent: Name,
    /// The tenant of the subject; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// How many tasks wait in the agent's subject.
    pub depth: u64,
    /// How many tasks the agent holds under a lease.
    pub in_progress: u64,
    /// How many processes of the agent called recently, up to `agents.max_sessions`.
    pub session_count: u64,
    /// The processes that called last, newest first, at most 100; present only if one agent is
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SessionView>>,
    /// When a process of the agent last called; null if none did for a long time.
    pub last_seen: Option<At>,
    /// Whether the agent is paused, so that its claims return nothing.
    pub paused: bool,
}

/// One process of an agent.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Session")]
pub struct SessionView {
    /// The name that the process gives itself.
    pub worker: Worker,
    /// When the process last called.
    pub last_seen: At,
}

/// All agents, on one page.
#[derive(Clone, Debug, Serialize, Object)]
pub struct AgentPage {
    /// The agents, each with the state of its subject.
    pub items: Vec<AgentView>,
    /// Always null: there is only one page.
    pub next_cursor: Option<String>,
}

impl From<AgentStatus> for AgentView {
    fn from(status: AgentStatus) -> Self {
        Self {
            agent: status.agent.agent(),
            tenant: status.agent.tenant(),
            depth: status.depth,
            in_progress: status.in_progress,
            session_count: status.session_count,
            sessions: status
                .sessions
                .map(|sessions| sessions.into_iter().map(SessionView::from).collect()),
            last_seen: status.last_seen.map(at),
            paused: status.is_paused,
        }
    }
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self { worker: session.worker, last_seen: at(session.last_seen) }
    }
}

impl From<Vec<AgentStatus>> for AgentPage {
    fn from(agents: Vec<AgentStatus>) -> Self {
        Self { items: agents.into_iter().map(AgentView::from).collect(), next_cursor: None }
    }
}
