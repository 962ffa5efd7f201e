//! `orchestrator agents`: how they stand, and whether they may claim.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::json::Members;
use super::{Error, Service};
use crate::domain::name::Name;

/// What can be done about agents.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show how each agent's subject stands.
    List {
        #[command(flatten)]
        service: Service,
    },
    /// Give some nothing until they are resumed; what they hold goes on.
    Pause {
        /// The agents.
        #[arg(required = true)]
        agents: Vec<Name>,
        #[command(flatten)]
        service: Service,
    },
    /// Let some claim again.
    Resume {
        /// The agents.
        #[arg(required = true)]
        agents: Vec<Name>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list, and the fields below them.
const COLUMNS: &[(&str, &str)] = &[
    ("AGENT", "agent"),
    ("WAITING", "depth"),
    ("IN PROGRESS", "in_progress"),
    ("PAUSED", "paused"),
    ("LAST SEEN", "last_seen"),
];

impl Command {
    /// Does it.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let (verb, agents, service) = match self {
            Self::List { service } => return service.list("/agents", COLUMNS).await,
            Self::Pause { agents, service } => ("pause", agents, service),
            Self::Resume { agents, service } => ("resume", agents, service),
        };
        let state = |agent: &Members| format!("paused is {}", agent.word("paused"));
        service.each(&agents, |agent| format!("/agents/{agent}/{verb}"), &json!({}), state).await
    }
}
