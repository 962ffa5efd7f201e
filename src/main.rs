//! `orchestrator`: arguments → settings → app, and the exit code.

use std::process::ExitCode;

use orchestrator::app;
use orchestrator::cli::user::BROKEN_PIPE;
use orchestrator::cli::{Arguments, Invocation};
use orchestrator::runtime::chain::Chain;
use orchestrator::settings::{self, Settings, Variables};

/// The exit code for invalid settings, the same as for an invalid command line.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let (arguments, form) = Arguments::read();
    // TLS connections panic without a provider. An error means that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let command = match arguments.command {
        Invocation::Operator(command) => command,
        Invocation::User(command) => return command.run(form).await,
    };
    // Variables that are not UTF-8 are ignored.
    let variables: Variables = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect();
    let settings = match Settings::read(arguments.config.as_deref(), &variables) {
        Ok(settings) => settings,
        Err(error) => {
            // A list of faults has one line for each. Any other error is one line with its causes.
            match &error {
                settings::Error::Invalid(_) => eprintln!("orchestrator: {error}"),
                other => eprintln!("orchestrator: {}", Chain(other)),
            }
            return ExitCode::from(USAGE);
        }
    };
    app::run(command, settings).await.unwrap_or_else(|error| {
        if error.is_broken_pipe() {
            return ExitCode::from(BROKEN_PIPE);
        }
        eprintln!("orchestrator: {}", Chain(&error));
        ExitCode::FAILURE
    })
}
