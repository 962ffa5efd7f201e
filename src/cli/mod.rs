//! The command line: what may be asked for. What is done about it is `app`'s business; the commands that
//! speak HTTP do it themselves, like any client.

pub mod banner;
pub mod bench;
pub mod client;
pub mod demo;
pub mod doctor;
pub mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A self-hosted task orchestrator and event bus for fleets of AI agents.
#[derive(Clone, Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Read settings from this file instead of config/<ORCHESTRATOR_ENV>.toml.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Asked,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, refused or something was found, 2 wrong usage or settings, 3 the \
    service is unreachable.";

/// Who asks for something.
#[derive(Clone, Debug, Subcommand)]
pub enum Asked {
    /// An operator: what this process is to do with the fleet's settings.
    #[command(flatten)]
    Operator(Command),
    /// A user of a service that runs elsewhere.
    #[command(flatten)]
    User(user::Command),
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run gateway and worker in one process on this machine, with a Redis of its own if none is named.
    ///
    /// Listens on 127.0.0.1 only, and prints its address and a fresh admin key. The Redis keeps its data from one
    /// run to the next; set REDIS_URL to use another one.
    Dev(Dev),
    /// Tell a story: an alert, an approved bugfix, an approved deployment, and what was learnt from it.
    ///
    /// Three small agents and a human use the API like anybody, over a private Redis in memory or over an empty one
    /// that REDIS_URL names. Exits 0 when every task was completed.
    Demo,
    /// Run the HTTP gateway; any number of them over one Redis.
    Gateway,
    /// Run the background duties; any number of them over one Redis.
    Worker,
    /// Carry events to NATS and answer requests from there; any number of them over one Redis.
    Bridge,
    /// Show the settings in force and where each comes from, with secrets as ***.
    Settings,
    /// Print the OpenAPI document.
    Openapi {
        /// As YAML instead of JSON.
        #[arg(long)]
        yaml: bool,
    },
    /// Measure: figures to stdout, one JSON object a line; progress to stderr.
    ///
    /// Starts a private Redis in memory, a gateway and a worker for each figure.
    Bench(bench::Options),
    /// Check that everything in the store fits together; exits 1 if something does not.
    ///
    /// The fleet may go on working. With --repair it exits 0 if all that was found is mended.
    Doctor {
        /// Mend what can be mended, and say what was done.
        #[arg(long)]
        repair: bool,
    },
}

/// What `dev` can be told.
#[derive(Clone, Debug, clap::Args)]
pub struct Dev {
    /// Listen on this port; 0 lets the system choose. Default: http.port, 8000.
    #[arg(long)]
    pub port: Option<u16>,
    /// Where the private Redis keeps its data.
    #[arg(long, value_name = "DIR", default_value = ".orchestrator")]
    pub data: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;

        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_command_is_wrong_usage() {
        let refused = Arguments::try_parse_from(["orchestrator", "gatway"]).unwrap_err();

        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("gateway"));
    }
}
