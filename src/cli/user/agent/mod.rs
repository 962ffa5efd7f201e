//! `orchestrator agent`: makes any program an agent.
//!
//! The program gets a task on stdin, prints its result on stdout, its log and progress on stderr,
//! and says by its exit code how the attempt ended. It needs no network: `run` claims, sends
//! heartbeats and reports for it, over HTTP like any agent.

mod ask;
mod attempt;
mod group;
mod guard;
mod outcome;
mod output;
mod run;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::Error;

/// The environment variable of a program that holds the id of its task.
const TASK_ID: &str = "ORCHESTRATOR_TASK_ID";

/// The environment variable of a program that holds the number of its attempt.
const ATTEMPT: &str = "ORCHESTRATOR_ATTEMPT";

/// The environment variable of a program that holds the lease of its attempt.
const LEASE: &str = "ORCHESTRATOR_LEASE";

/// The commands for agents that are programs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a program for every task of an agent.
    ///
    /// CMD gets the task as JSON on stdin and prints its result as JSON, or nothing, on stdout.
    /// What it writes to stderr is logged; a line `::progress 40 message` there reports progress. Exit
    /// code 0 completes the task, 75 has it tried again later, any other fails it with the last
    /// lines of stderr. If the task is cancelled or its lease lost, CMD and the processes that it
    /// started get SIGTERM, then SIGKILL.
    Run(Box<run::Options>),
    /// Ask for an approval, from inside of a program that `agent run` started.
    ///
    /// The first call requests the approval, which ends the attempt, and exits 75: the program
    /// should exit. When the task comes back, the same call finds the decision: it exits 0 if the step was
    /// approved, 1 if not.
    Ask(Box<ask::Options>),
    /// Kill the programs of `agent run` when that dies; started by it.
    #[command(hide = true)]
    Guard,
}

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::Run(options) => options.run().await,
            Self::Ask(options) => options.run().await,
            Self::Guard => {
                guard::stand(io::stdin().lock());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
