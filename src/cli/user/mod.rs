//! The commands of users. Each calls a gateway over HTTP like any client and needs no settings of
//! the fleet.
//!
//! Exit codes: 0 success, 1 refusal or findings, 2 invalid usage, 3 service unreachable.

mod agent;
mod agents;
mod approvals;
mod audit;
mod chain;
mod describe;
mod events;
mod json;
mod sla;
mod table;
mod tasks;
mod text;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::client::{self, Client};
use crate::runtime::chain::Chain;
use json::Members;
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
    Stats(Service),
}

/// The gateway that a command calls.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The URL of the gateway. The API key comes from ORCHESTRATOR_API_KEY, never from the command
    /// line, which others can see.
    #[arg(long, env = URL, value_parser = url, default_value = "http://127.0.0.1:8000")]
    url: String,
}

/// The options of most user commands: the gateway, and the form of the output.
#[derive(Clone, Debug, clap::Args)]
pub struct Service {
    #[command(flatten)]
    connection: Connection,
    /// Print the answer as JSON, exactly as the API returns it.
    #[arg(long)]
    json: bool,
}

/// The environment variable that holds the URL of the gateway.
const URL: &str = "ORCHESTRATOR_URL";

/// The environment variable that holds the caller's API key.
const KEY: &str = "ORCHESTRATOR_API_KEY";

fn url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err("expected http://<host>[:<port>]".to_owned()),
    }
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refused the call, did not answer, or gave an unexpected answer.
    #[error(transparent)]
    Call(#[from] client::Error),
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
            Self::Usage(_) => ExitCode::from(2),
            Self::Call(client::Error::Refused { .. } | client::Error::Unreadable { .. })
            | Self::Answer(_)
            | Self::Output(_)
            | Self::Programs(_) => ExitCode::FAILURE,
        }
    }
}

impl Command {
    /// Runs the command. Prints an error to stderr and returns its exit code.
    pub async fn run(self) -> ExitCode {
        let done = match self {
            Self::Approvals(command) => command.run().await,
            Self::Audit(command) => command.run().await,
            Self::Tasks(command) => command.run().await,
            Self::Agent(command) => command.run().await,
            Self::Agents(command) => command.run().await,
            Self::Events(command) => command.run().await,
            Self::Sla(command) => command.run().await,
            Self::Stats(service) => service.show("/stats").await,
        };
        done.unwrap_or_else(|error| report(&error))
    }
}

/// Prints an error to stderr and returns its exit code.
fn report(error: &Error) -> ExitCode {
    // The detail of a refusal can quote any client.
    eprintln!("orchestrator: {}", text::visible(&Chain(error).to_string()));
    error.exit_code()
}

impl Connection {
    fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(&self.url, std::env::var(KEY).ok().as_deref())?)
    }

    /// Returns the variables by which a program that this one starts calls the same gateway as the
    /// same caller, where the environment does not have them already.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(URL, self.url.clone())]
    }
}

impl Service {
    fn client(&self) -> Result<Client, Error> {
        self.connection.client()
    }

    /// Prints an answer: as JSON with `--json`, otherwise as `show` formats it.
    fn print<T: DeserializeOwned>(
        &self,
        answer: &RawValue,
        show: impl FnOnce(T) -> String,
    ) -> Result<ExitCode, Error> {
        let text = if self.json {
            format!("{}\n", answer.get())
        } else {
            show(serde_json::from_str(answer.get())?)
        };
        say(&text).map(|()| ExitCode::SUCCESS)
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
                    eprint!("{subject}: ");
                    code = code.or(Some(report(&error.into())));
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

    #[test]
    fn a_gateway_is_named_by_a_url() {
        assert!(url("http://127.0.0.1:8000").is_ok());
        for bad in ["localhost:8000", "ftp://x", "http://", ""] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
