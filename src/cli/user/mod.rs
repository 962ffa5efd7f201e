//! The commands of users. Each calls a gateway over HTTP like any client and needs no settings of
//! the fleet.
//!
//! Exit codes: 0 success, 1 refusal or findings, 2 invalid usage, 3 service unreachable.

mod agent;
mod agents;
mod api;
mod approvals;
mod audit;
mod bulk;
mod chain;
mod connection;
mod context;
mod decision;
mod describe;
mod events;
mod file;
mod filter;
mod json;
mod keys;
pub mod output;
mod redraw;
mod review;
mod sla;
mod stats;
mod submit;
mod table;
mod tasks;
mod terminal;
mod text;
mod top;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use clap_complete::Shell;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::client::{self, Client};
use super::{contexts, examples};
use crate::runtime::chain::Chain;
use connection::Connection;
use json::Members;
use output::Form;
use table::table;

/// The commands of users.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Submit, inspect, follow and cancel tasks.
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// List approvals, show exactly what would run, and decide.
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Show who did what, and verify that the record is unchanged.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Make any program an agent.
    #[command(subcommand)]
    Agent(agent::Command),
    /// List, pause and resume agents.
    #[command(subcommand)]
    Agents(agents::Command),
    /// Follow and publish events.
    #[command(subcommand)]
    Events(events::Command),
    /// Show SLA attainment.
    #[command(subcommand)]
    Sla(sla::Command),
    /// Show the numbers of tasks and agents.
    Stats(stats::Options),
    /// Show what the fleet does, drawn again and again: depths, rates, approvals and SLA.
    Top(top::Options),
    /// Show and abort what retries, cancels or raises many tasks.
    #[command(subcommand)]
    Bulk(bulk::Command),
    /// Show who calls: the name, the role and what it allows.
    Whoami(Service),
    /// Create, list, rotate and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Remember gateways by name, each with a key.
    #[command(subcommand)]
    Context(context::Command),
    /// Make any call of the API, and print the answer as it comes.
    Api(api::Options),
    /// Print the completions of the command line for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the page docs/cli.md.
    #[command(hide = true)]
    Reference,
}

/// The options of most user commands: the gateway, and the form of the output.
#[derive(Clone, Debug, clap::Args)]
pub struct Service {
    #[command(flatten)]
    connection: Connection,
    /// The form of the output.
    #[arg(
        short,
        long,
        value_name = "FORM",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(help = FORMS)]
    output: Form,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// What `-o` takes, on one line of help.
const FORMS: &str = "The form of the output: table, json (as the API returns it), jsonl (a line for \
    each item), id";

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refused the call, did not answer, or gave an unexpected answer.
    #[error(transparent)]
    Call(#[from] client::Error),
    /// The contexts of the user cannot be used.
    #[error(transparent)]
    Contexts(#[from] contexts::Error),
    /// An argument or a file has an invalid value.
    #[error("{0}")]
    Usage(String),
    /// The answer is not the JSON that the command expects.
    #[error("the answer cannot be read")]
    Answer(#[from] serde_json::Error),
    /// The terminal, pipe or file does not accept the output.
    #[error("cannot write to the standard output")]
    Output(#[from] io::Error),
    /// The system refused what an agent needs: a process or a signal handler.
    #[error("cannot run programs")]
    Programs(#[source] io::Error),
}

impl Error {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Call(client::Error::Unreachable { .. }) => ExitCode::from(3),
            Self::Usage(_) | Self::Contexts(_) => ExitCode::from(2),
            Self::Call(client::Error::Refused { .. } | client::Error::Unreadable { .. })
            | Self::Answer(_)
            | Self::Output(_)
            | Self::Programs(_) => ExitCode::FAILURE,
        }
    }
}

impl Command {
    /// Runs the command. Prints an error to stderr, in the form of the output, and returns its exit
    /// code.
    pub async fn run(self, form: Form) -> ExitCode {
        let done = match self {
            Self::Approvals(command) => command.run().await,
            Self::Audit(command) => command.run().await,
            Self::Tasks(command) => command.run().await,
            Self::Agent(command) => command.run().await,
            Self::Agents(command) => command.run().await,
            Self::Events(command) => command.run().await,
            Self::Sla(command) => command.run().await,
            Self::Stats(options) => options.run().await,
            Self::Top(options) => options.run().await,
            Self::Bulk(command) => command.run().await,
            Self::Whoami(service) => service.show("/session").await,
            Self::Keys(command) => command.run().await,
            Self::Context(command) => command.run(),
            Self::Api(options) => options.run().await,
            Self::Completions { shell } => completions(shell),
            Self::Reference => say(&examples::reference()).map(|()| ExitCode::SUCCESS),
        };
        done.unwrap_or_else(|error| report(&error, form, ""))
    }
}

fn completions(shell: Shell) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut examples::command(), "orchestrator", &mut text);
    say(&String::from_utf8_lossy(&text)).map(|()| ExitCode::SUCCESS)
}

/// Prints an error to stderr and returns its exit code. That the reader of the output has gone is
/// no error.
///
/// * `subject`: what the error is about, if the command is about several.
fn report(error: &Error, form: Form, subject: &str) -> ExitCode {
    if matches!(error, Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::from(BROKEN_PIPE);
    }
    if form.is_for_programs() {
        eprint!("{}", output::error(error));
    } else {
        // The detail of a refusal can quote any client.
        let text = text::visible(&Chain(error).to_string());
        eprintln!("{subject}orchestrator: {text}");
    }
    error.exit_code()
}

/// The exit code when the reader of the output has gone, as shells count the signal SIGPIPE.
pub const BROKEN_PIPE: u8 = 141;

impl Service {
    fn client(&self) -> Result<Client, Error> {
        self.connection.client()
    }

    /// The form of the output.
    fn form(&self) -> Form {
        if self.json { Form::Json } else { self.output }
    }

    /// Prints an answer in the form of the output; as a table, it is as `show` formats it.
    fn print<T: DeserializeOwned>(
        &self,
        answer: &RawValue,
        show: impl FnOnce(T) -> String,
    ) -> Result<ExitCode, Error> {
        let shown = || Ok(show(serde_json::from_str(answer.get())?));
        say(&self.form().of(answer, shown)?).map(|()| ExitCode::SUCCESS)
    }

    /// Prints one item of a stream on one line; as a table, it is as `show` formats it.
    fn print_item(
        &self,
        item: &RawValue,
        show: impl FnOnce() -> Result<String, Error>,
    ) -> Result<(), Error> {
        say(&self.form().of_item(item, show)?)
    }

    /// Prints one object with all its members.
    fn describe(&self, answer: &RawValue) -> Result<ExitCode, Error> {
        let width = text::terminal_width();
        self.print(answer, |members: Members| describe::describe(&members, width))
    }

    /// Reads one object from `path` and prints it with all its members.
    async fn show(&self, path: &str) -> Result<ExitCode, Error> {
        let answer: Box<RawValue> = self.client()?.get(path).await?;
        self.describe(&answer)
    }

    /// Posts `body` to `path` and prints the object in the answer with all its members.
    async fn post(&self, path: &str, body: &impl Serialize) -> Result<ExitCode, Error> {
        let answer: Box<RawValue> = self.client()?.post(path, body).await?;
        self.describe(&answer)
    }

    /// Reads a page of a list from `path` and prints it as a table with these headings and members.
    async fn list(&self, path: &str, columns: &[(&str, &str)]) -> Result<ExitCode, Error> {
        let page: Box<RawValue> = self.client()?.get(path).await?;
        self.print(&page, |page: Page<Members>| {
            let headings = columns.iter().map(|(heading, _)| *heading);
            let rows = page.items.iter();
            let rows = rows.map(|item| columns.iter().map(|(_, field)| item.word(field)).collect());
            table(headings, rows) + &more(page.next_cursor.as_deref())
        })
    }

    /// Posts `body` to `<list>/<subject>/<verb>` for each subject and prints the result. A refusal
    /// does not stop the others; the exit code is that of the first refusal.
    async fn each(
        &self,
        list: &str,
        subjects: &[impl fmt::Display],
        verb: &str,
        body: &impl Serialize,
        done: impl Fn(&Members) -> String,
    ) -> Result<ExitCode, Error> {
        let client = self.client()?;
        let mut code = None;
        for subject in subjects {
            let path = format!("{list}/{subject}/{verb}");
            match client.post::<Box<RawValue>>(&path, body).await {
                Ok(answer) => {
                    self.print(&answer, |value: Members| format!("{subject}: {}\n", done(&value)))?;
                }
                Err(error) => {
                    let refused = report(&error.into(), self.form(), &format!("{subject}: "));
                    code = code.or(Some(refused));
                }
            }
        }
        Ok(code.unwrap_or(ExitCode::SUCCESS))
    }
}

/// Reads the JSON that was given, or returns the default.
fn given_json(given: Option<String>, default: &impl Serialize) -> Result<Box<RawValue>, Error> {
    match given {
        Some(given) => read_json(&given),
        None => Ok(to_raw_value(default)?),
    }
}

/// Reads JSON without a change: given as it is, if it begins like an object, a list or a text, or
/// in a file; `-` is the standard input.
fn read_json(given: &str) -> Result<Box<RawValue>, Error> {
    if given.trim_start().starts_with(['{', '[', '"']) {
        let json = serde_json::from_str(given);
        return json.map_err(|error| Error::Usage(format!("`{given}` is not JSON: {error}")));
    }
    let text =
        if given == "-" { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(given) };
    let text = text.map_err(|error| Error::Usage(format!("cannot read {given}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Usage(format!("{given} is not JSON: {error}")))
}

/// A page of any list. Its items are never parsed as numbers, because a payload can hold numbers of
/// any size.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// The options of every list: which page to show.
#[derive(Clone, Debug, clap::Args)]
pub struct Part {
    /// Show at most this many, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: u8,
    /// Continue after the page that printed this cursor.
    #[arg(long)]
    cursor: Option<String>,
}

impl Part {
    /// Returns the path of this page, of the list that the pairs with a value select.
    fn path(&self, path: &str, pairs: &[(&str, Option<String>)]) -> String {
        let own = [("limit", Some(self.limit.to_string())), ("cursor", self.cursor.clone())];
        query(path, &[pairs, &own].concat())
    }
}

/// Returns the path with a query of those pairs that have a value.
fn query(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    // The host is not used. It can always be parsed, as the tests show.
    let url = reqwest::Url::parse_with_params("http://x", given).ok();
    format!("{path}?{}", url.as_ref().and_then(reqwest::Url::query).unwrap_or_default())
}

/// Returns how to show the next page. Empty if this is the last.
fn more(next_cursor: Option<&str>) -> String {
    match next_cursor {
        Some(cursor) => format!("More follow: --cursor {}\n", text::visible(cursor)),
        None => String::new(),
    }
}

fn say(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_is_given_and_is_encoded() {
        let pairs = [("actor", Some("user:a&b=ü".to_owned())), ("action", None)];
        let part = Part { limit: 7, cursor: None };

        assert_eq!(
            part.path("/admin/audit", &pairs),
            "/admin/audit?actor=user%3Aa%26b%3D%C3%BC&limit=7"
        );
    }
}
