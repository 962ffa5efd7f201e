//! The commands of users: each speaks HTTP to a gateway, like any client, and needs none of the fleet's settings.
//!
//! Exit codes: 0 done, 1 refused or something was found, 2 wrong usage, 3 nobody answers.

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
use serde_json::value::RawValue;

use super::client::{self, Client};
use crate::runtime::chain::Chain;
use json::Members;
use table::Table;

/// What users can ask for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Hand in tasks, look at them, follow them, call them off.
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// See what waits for a human, exactly what would run, and decide.
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// See who did what, and check that nobody changed the record of it.
    #[command(subcommand)]
    Audit(audit::Command),
    /// See how agents stand, pause and resume them.
    #[command(subcommand)]
    Agents(agents::Command),
    /// Follow what happens, and publish events.
    #[command(subcommand)]
    Events(events::Command),
    /// See how the promises in time were kept.
    #[command(subcommand)]
    Sla(sla::Command),
    /// See how the whole fleet stands.
    Stats(Service),
}

/// Where the service is, and how its answers are shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Service {
    /// The gateway. The API key comes from ORCHESTRATOR_API_KEY, never from the command line, which others can see.
    #[arg(long, env = "ORCHESTRATOR_URL", default_value = "http://127.0.0.1:8000", value_parser = url)]
    url: String,
    /// Print the answer as JSON, as the API gives it.
    #[arg(long)]
    json: bool,
}

/// The environment variable that holds the caller's API key.
const KEY: &str = "ORCHESTRATOR_API_KEY";

fn url(text: &str) -> Result<String, String> {
    let is_one =
        reqwest::Url::parse(text).is_ok_and(|url| url.scheme() == "http" && url.has_host());
    is_one.then(|| text.to_owned()).ok_or_else(|| "expected http://<host>[:<port>]".to_owned())
}

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call has no answer to give.
    #[error(transparent)]
    Call(#[from] client::Error),
    /// What was given is not what it must be.
    #[error("{0}")]
    Usage(String),
    /// What was answered cannot be shown.
    #[error("the answer cannot be read")]
    Answer(#[from] serde_json::Error),
    /// The terminal, pipe or file does not take it.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl Error {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Call(client::Error::Unreachable { .. }) => ExitCode::from(3),
            Self::Usage(_) => ExitCode::from(2),
            Self::Call(client::Error::Refused { .. } | client::Error::Unreadable { .. })
            | Self::Answer(_)
            | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

impl Command {
    /// Does it, and says what went wrong if something did.
    pub async fn run(self) -> ExitCode {
        let done = match self {
            Self::Approvals(command) => command.run().await,
            Self::Audit(command) => command.run().await,
            Self::Tasks(command) => command.run().await,
            Self::Agents(command) => command.run().await,
            Self::Events(command) => command.run().await,
            Self::Sla(command) => command.run().await,
            Self::Stats(service) => service.show("/stats").await,
        };
        done.unwrap_or_else(|error| complain(&error))
    }
}

/// Says why it was not done; returns the exit code for that.
fn complain(error: &Error) -> ExitCode {
    // What a service says of a refusal may quote anybody.
    eprintln!("orchestrator: {}", text::visible(&Chain(error).to_string()));
    error.exit_code()
}

impl Service {
    fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(&self.url, std::env::var(KEY).ok().as_deref())?)
    }

    /// Shows an answer: as it came, or as `show` puts it.
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

    /// Shows one thing with all its fields.
    fn describe(&self, answer: &RawValue) -> Result<ExitCode, Error> {
        let width = text::terminal_width();
        self.print(answer, |members: Members| describe::describe(&members, width))
    }

    /// Reads one thing and shows it with all its fields.
    async fn show(&self, path: &str) -> Result<ExitCode, Error> {
        let answer: Box<RawValue> = self.client()?.get(path).await?;
        self.describe(&answer)
    }

    /// Reads a page of a list and shows it as a table: headings, and the fields below them.
    async fn list(&self, path: &str, columns: &[(&str, &str)]) -> Result<ExitCode, Error> {
        let page: Box<RawValue> = self.client()?.get(path).await?;
        self.print(&page, |page: Page| {
            let mut table = Table::new(columns.iter().map(|(heading, _)| *heading));
            for item in &page.items {
                table.row(columns.iter().map(|(_, field)| item.word(field)));
            }
            table.text() + &more(page.next_cursor.as_deref())
        })
    }

    /// Posts `body` for each subject and says what came of it; one that is refused does not stop the others. The exit
    /// code is that of the first that was refused.
    async fn each<T: fmt::Display>(
        &self,
        subjects: &[T],
        path: impl Fn(&T) -> String,
        body: &impl Serialize,
        done: impl Fn(&Members) -> String,
    ) -> Result<ExitCode, Error> {
        let client = self.client()?;
        let mut code = None;
        for subject in subjects {
            match client.post::<Box<RawValue>>(&path(subject), body).await {
                Ok(answer) => {
                    self.print(&answer, |value: Members| format!("{subject}: {}\n", done(&value)))?;
                }
                Err(error) => {
                    eprint!("{subject}: ");
                    code = code.or(Some(complain(&error.into())));
                }
            }
        }
        Ok(code.unwrap_or(ExitCode::SUCCESS))
    }
}

/// The JSON of a file, as it stands there; `-` is the standard input.
fn read_json(file: &str) -> Result<Box<RawValue>, Error> {
    let text =
        if file == "-" { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| Error::Usage(format!("cannot read {file}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Usage(format!("{file} is not JSON: {error}")))
}

/// A page of any list. Its items are never read as numbers: what a stranger's payload holds may be out of our range.
#[derive(Deserialize)]
struct Page {
    items: Vec<Members>,
    next_cursor: Option<String>,
}

/// Which part of a list is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Part {
    /// At most so many, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: u8,
    /// Go on from here: the cursor that the part before gave.
    #[arg(long)]
    cursor: Option<String>,
}

impl Part {
    /// The path of this part, of what the pairs that have a value leave of the list.
    fn path(&self, path: &str, pairs: &[(&str, Option<String>)]) -> String {
        let own = [("limit", Some(self.limit.to_string())), ("cursor", self.cursor.clone())];
        query(path, &[pairs, &own].concat())
    }
}

/// The path with a query of those pairs that have a value.
fn query(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    // The host is not used; that it could not be read would be a bug that the tests show.
    let url = reqwest::Url::parse_with_params("http://x", given).ok();
    format!("{path}?{}", url.as_ref().and_then(reqwest::Url::query).unwrap_or_default())
}

/// How to see what follows, if anything does.
fn more(next_cursor: Option<&str>) -> String {
    next_cursor
        .map(|cursor| format!("More follow: --cursor {}\n", text::visible(cursor)))
        .unwrap_or_default()
}

/// Writes to stdout.
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
