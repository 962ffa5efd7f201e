//! The command line: its commands and options. `app` runs the commands of operators; those of users
//! call the HTTP API themselves.

pub mod banner;
pub mod bench;
pub mod client;
pub mod contexts;
pub mod doctor;
mod examples;
pub mod upgrade;
pub mod user;

use std::path::PathBuf;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::domain::name::Name;
use user::output::Form;

/// A self-hosted task orchestrator and event bus for fleets of AI agents.
#[derive(Clone, Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Read settings from this file instead of config/<ORCHESTRATOR_ENV>.toml.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The command to run.
    #[command(subcommand)]
    pub command: Invocation,
}

impl Arguments {
    /// Reads the command line, and the form of the output if the command has one. Invalid usage, and
    /// a request for help, end the process.
    pub fn read() -> (Self, Form) {
        let matches = examples::command().get_matches();
        let arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let mut command = &matches;
        while let Some((_, inner)) = command.subcommand() {
            command = inner;
        }
        let is_json = command.try_get_one("json").is_ok_and(|json| json == Some(&true));
        let form = command.try_get_one("output").ok().flatten().copied().unwrap_or_default();
        (arguments, if is_json { Form::Json } else { form })
    }
}

/// The default directory of `orchestrator dev`.
const DATA: &str = ".orchestrator";

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure, refusal or findings, \
    2 invalid usage or settings, 3 service unreachable, \
    141 nothing reads the output.";

/// A command, by who runs it.
#[derive(Clone, Debug, Subcommand)]
pub enum Invocation {
    /// A command of an operator: what this process does with the settings of the fleet.
    #[command(flatten)]
    Operator(Command),
    /// A command of a user of a service that runs elsewhere.
    #[command(flatten)]
    User(user::Command),
}

/// The commands of operators.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run gateway and worker in one process on this machine, with a private Redis unless one is
    /// configured.
    ///
    /// Listens on 127.0.0.1 only, and prints its address, a key of each role, and commands to try.
    /// The keys and the data of the private Redis are kept between runs; set REDIS_URL to use
    /// another Redis. Adds the contexts dev (admin), dev-approver, dev-agent and dev-user, so that
    /// other commands find it.
    Dev(Dev),
    /// Run a demo: an alert, an approved bugfix, an approved deployment, and an article about it.
    ///
    /// Three small agents and an approver use the API like any client, over a private Redis in
    /// memory or over an empty one that REDIS_URL names. Exits 0 if every task was completed.
    Demo,
    /// Run the HTTP gateway; any number of gateways can share one Redis.
    Gateway,
    /// Run the background duties; any number of workers can share one Redis.
    Worker,
    /// Publish events to NATS and answer requests from there; any number of bridges can share one
    /// Redis.
    Bridge,
    /// Show the effective settings and the source of each, with secrets as ***.
    Settings {
        /// The form of the output: table (TOML), json, jsonl (a line for each setting), id (the
        /// keys).
        #[arg(short, long, value_name = "FORM", value_enum, default_value_t)]
        #[arg(hide_possible_values = true)]
        output: Form,
    },
    /// Print the OpenAPI document of the HTTP API.
    Openapi {
        /// Print YAML instead of JSON.
        #[arg(long)]
        yaml: bool,
    },
    /// Run benchmarks: figures go to stdout, one JSON object per line, progress to stderr.
    ///
    /// Starts a private Redis in memory, a gateway and a worker for each figure.
    Bench(bench::Options),
    /// Check the integrity of the store; exits 1 if there are findings.
    ///
    /// The fleet can keep working. With --repair, exits 0 if everything found was repaired.
    Doctor {
        /// Repair what can be repaired, and say what was done.
        #[arg(long)]
        repair: bool,
        /// If no store is configured, check that of the `orchestrator dev` with its data in this
        /// directory, if it runs.
        #[arg(long, value_name = "DIR", default_value = DATA)]
        data: PathBuf,
        /// The form of the output: table (text), json, jsonl (a line for each finding), id (what
        /// each is about).
        #[arg(short, long, value_name = "FORM", value_enum, default_value_t)]
        #[arg(hide_possible_values = true)]
        output: Form,
    },
    /// Convert the store of an older version to the key layout of this one.
    ///
    /// Before it, stop all gateways, workers and bridges, and make a copy of the data of Redis: an
    /// older version cannot read the store any more. If it is interrupted, run it again. Exits 1 if
    /// there are tasks that cannot be read; they are left as they are.
    Upgrade,
    /// Create the first admin key of the store and print its secret, which is stored nowhere.
    ///
    /// Needs Redis and no gateway. Refused if the store has an admin key that is valid: create
    /// others with `orchestrator keys create`.
    FirstKey {
        /// The name of the caller that the key proves, `key:<name>` in timelines.
        name: Name,
        /// The person or service that the key belongs to; that of the name by default.
        #[arg(long)]
        identity: Option<String>,
    },
}

/// The options of `orchestrator dev`.
#[derive(Clone, Debug, clap::Args)]
pub struct Dev {
    /// Listen on this port; 0 lets the system choose. Default: http.port, 8000.
    #[arg(long)]
    pub port: Option<u16>,
    /// The directory of the keys, and of the data of the private Redis.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Leave the contexts of the user as they are.
    #[arg(long)]
    pub no_contexts: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_command_is_wrong_usage() {
        let refused = Arguments::try_parse_from(["orchestrator", "gatway"]).unwrap_err();

        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("gateway"));
    }
}
