//! `orchestrator agents`: lists, pauses and resumes agents.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::json::Members;
use super::{Error, Service};
use crate::domain::name::Name;

/// The commands for agents.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List agents, with their waiting and current tasks.
    List {
        #[command(flatten)]
        service: Service,
    },
    /// Pause agents: claims return nothing; tasks in progress continue.
    Pause {
        /// The agents to pause.
        #[arg(required = true)]
        agents: Vec<Name>,
        #[command(flatten)]
        service: Service,
    },
    /// Resume paused agents, so that they can claim again.
    Resume {
        /// The agents to resume.
        #[arg(required = true)]
        agents: Vec<Name>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list: each heading and the member below it.
const COLUMNS: &[(&str, &str)] = &[
    ("AGENT", "agent"),
    ("WAITING", "depth"),
    ("IN PROGRESS", "in_progress"),
    ("PAUSED", "paused"),
    ("LAST SEEN", "last_seen"),
];

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let (verb, agents, service) = match self {
            Self::List { service } => return service.list("/agents", COLUMNS).await,
            Self::Pause { agents, service } => ("pause", agents, service),
            Self::Resume { agents, service } => ("resume", agents, service),
        };
        service.each("/agents", &agents, verb, &json!({}), state).await
    }
}

fn state(agent: &Members) -> String {
    format!("paused is {}", agent.word("paused"))
}
