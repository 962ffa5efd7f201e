//! Agents and their subjects.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::name::{Name, Worker};
use crate::engine::{AgentStatus, Session};

use super::super::text::Text;
use super::{At, at};

/// How an agent's subject stands.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Agent")]
pub struct AgentView {
    /// Its name, which routing rules use.
    pub agent: Text<Name>,
    /// Tasks that wait in its subject.
    pub depth: u64,
    /// Tasks under a lease.
    pub in_progress: u64,
    /// How many of its processes called lately, up to `agents.max_sessions`.
    pub session_count: u64,
    /// Those that called last, newest first, at most 100; only where one agent is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SessionView>>,
    /// When any of them called last; null: never, or long ago.
    pub last_seen: Option<At>,
    /// Whether claims are answered with nothing.
    pub paused: bool,
}

/// One process of an agent.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Session")]
pub struct SessionView {
    /// What it calls itself.
    pub worker: Text<Worker>,
    /// When it called last.
    pub last_seen: At,
}

/// All agents, on one page.
#[derive(Clone, Debug, Serialize, Object)]
pub struct AgentPage {
    /// The agents.
    pub items: Vec<AgentView>,
    /// Always null: there is one page.
    pub next_cursor: Option<String>,
}

impl From<AgentStatus> for AgentView {
    fn from(status: AgentStatus) -> Self {
        Self {
            agent: Text(status.agent),
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
        Self { worker: Text(session.worker), last_seen: at(session.last_seen) }
    }
}

impl From<Vec<AgentStatus>> for AgentPage {
    fn from(agents: Vec<AgentStatus>) -> Self {
        Self { items: agents.into_iter().map(AgentView::from).collect(), next_cursor: None }
    }
}
