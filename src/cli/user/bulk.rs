//! `orchestrator tasks retry`, `cancel` and `raise` for all tasks that match, and
//! `orchestrator bulk`: shows and aborts what runs.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::super::client::Client;
use super::filter::Filter;
use super::table::table;
use super::text::visible;
use super::{Error, Service, terminal};
use crate::runtime::backoff::Backoff;

/// The commands for bulks.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show how far a bulk is.
    Show {
        /// The id of the bulk.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Abort a bulk: it ends before its next task; what it has done stays.
    Abort {
        /// The id of the bulk.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
}

/// The options of a command that takes ids or a filter.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    filter: Filter,
    /// Every task to which the command applies.
    #[arg(long, help_heading = HEADING)]
    all: bool,
    /// Only count the tasks that match, and show the first ten.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    yes: bool,
}

const HEADING: &str = "Which tasks";

/// A bulk as the API returns it.
#[derive(Debug, Deserialize)]
struct Bulk {
    bulk_id: String,
    action: String,
    dry_run: bool,
    status: String,
    matched: u64,
    done: u64,
    refused: Vec<Refused>,
    first: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    reason: String,
    count: u64,
    first: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Found {
    task_id: String,
    #[serde(rename = "type")]
    kind: String,
    title: Option<String>,
}

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let (path, body, service) = match self {
            Self::Show { id, service } => (format!("/bulk/{id}"), None, service),
            Self::Abort { id, service } => (format!("/bulk/{id}/abort"), Some(json!({})), service),
        };
        let client = service.client()?;
        let answer: Box<RawValue> = match body {
            Some(body) => client.post(&path, &body).await?,
            None => client.get(&path).await?,
        };
        service.print(&answer, |bulk: Bulk| show(&bulk))
    }
}

impl Options {
    /// Returns whether a bulk is meant, and not single tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if both are given, or neither.
    pub fn is_meant_beside(&self, ids: &[Uuid]) -> Result<bool, Error> {
        let has_filter = self.all || !self.filter.members().is_empty();
        match (ids.is_empty(), has_filter) {
            (true, true) => Ok(true),
            (false, false) if !self.dry_run => Ok(false),
            (false, false) => Err(Error::Usage("--dry-run requires a filter or --all".to_owned())),
            (false, true) => Err(Error::Usage("give ids, or a filter, not both".to_owned())),
            (true, false) => {
                Err(Error::Usage("give ids, a filter such as --status, or --all".to_owned()))
            }
        }
    }

    /// Counts the tasks, asks for confirmation, starts the bulk and follows it to its end.
    ///
    /// * `more`: the members of the order beside the action and the filter.
    pub async fn run(
        &self,
        service: &Service,
        action: &str,
        more: Value,
    ) -> Result<ExitCode, Error> {
        let client = service.client()?;
        let mut order = json!({ "action": action, "filter": self.filter.members() });
        for (name, value) in more.as_object().into_iter().flatten() {
            order[name] = value.clone();
        }
        if self.dry_run || !self.yes {
            let mut trial = order.clone();
            trial["dry_run"] = true.into();
            if !self.dry_run && !terminal::is_there() {
                let why = "there is no terminal to confirm on; use --yes, or --dry-run";
                return Err(Error::Usage(why.to_owned()));
            }
            let counted = run(&client, &trial).await?;
            if self.dry_run {
                return service.print(&counted, |bulk: Bulk| show(&bulk));
            }
            let bulk: Bulk = serde_json::from_str(counted.get())?;
            eprint!("{}", show(&bulk));
            let question = format!("{action} {}?", tasks(bulk.matched));
            if bulk.matched == 0 || !terminal::confirm(&question, "--yes")? {
                return Ok(ExitCode::FAILURE);
            }
        }
        let ended = run(&client, &order).await?;
        let bulk: Bulk = serde_json::from_str(ended.get())?;
        let is_whole = bulk.refused.is_empty() && bulk.status == "completed";
        service.print(&ended, |bulk: Bulk| show(&bulk))?;
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Starts a bulk and follows it to its end. On a terminal it shows how far the bulk is.
async fn run(client: &Client, order: &Value) -> Result<Box<RawValue>, Error> {
    let mut answer: Box<RawValue> = client.post("/tasks/bulk", order).await?;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let started: Bulk = serde_json::from_str(answer.get())?;
    let id = visible(&started.bulk_id);
    if io::stderr().is_terminal() && !started.dry_run {
        eprintln!("bulk {id} runs; `orchestrator bulk abort {id}` ends it");
    }
    loop {
        let bulk: Bulk = serde_json::from_str(answer.get())?;
        let handled = bulk.done + bulk.refused.iter().map(|one| one.count).sum::<u64>();
        let found = match bulk.dry_run {
            true => format!("{} found", bulk.matched),
            false => format!("{handled} of {} found", bulk.matched),
        };
        // More tasks may be found yet, so there is no bar.
        terminal::show_progress(handled, 0, &found);
        if !["running", "aborting"].contains(&bulk.status.as_str()) {
            break;
        }
        sleep(backoff.next_wait()).await;
        answer = client.get(&format!("/bulk/{id}")).await?;
    }
    terminal::end_progress();
    Ok(answer)
}

fn tasks(count: u64) -> String {
    format!("{count} {}", if count == 1 { "task" } else { "tasks" })
}

fn show(bulk: &Bulk) -> String {
    let Bulk { bulk_id, action, status, done, .. } = bulk;
    let trial = if bulk.dry_run { ", dry run" } else { "" };
    let [bulk_id, action, status] = [bulk_id, action, status].map(|text| visible(text));
    let found = tasks(bulk.matched);
    let mut text = format!("bulk {bulk_id}: {action}, {status}{trial}\n{found} found");
    if bulk.dry_run {
        let rows = bulk.first.iter().map(|task| {
            let title = task.title.as_deref().unwrap_or("-");
            [&task.task_id, &task.kind, title].map(visible).to_vec()
        });
        let first = if bulk.first.is_empty() {
            String::new()
        } else {
            table(["TASK", "TYPE", "TITLE"], rows)
        };
        return format!("{text}\n{first}");
    }
    text.push_str(&format!(", {done} changed\n"));
    for Refused { reason, count, first } in &bulk.refused {
        let first: Vec<_> = first.iter().map(|id| visible(id)).collect();
        text.push_str(&format!("{}: {count}, first {}\n", visible(reason), first.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_shows_its_counts_and_why_tasks_were_refused() {
        let json = json!({
            "bulk_id": "1", "action": "retry", "dry_run": false, "status": "completed",
            "matched": 3, "done": 1, "first": [],
            "refused": [{"reason": "ended-by-human", "count": 2, "first": ["a", "b"]}],
        });
        let bulk: Bulk = serde_json::from_value(json).unwrap();

        let expected =
            "bulk 1: retry, completed\n3 tasks found, 1 changed\nended-by-human: 2, first a b\n";
        assert_eq!(show(&bulk), expected);
    }

    #[test]
    fn a_dry_run_shows_the_first_tasks() {
        let json = json!({
            "bulk_id": "1", "action": "cancel", "dry_run": true, "status": "completed",
            "matched": 1, "done": 0, "refused": [],
            "first": [{"task_id": "a", "type": "faq", "title": null}],
        });
        let bulk: Bulk = serde_json::from_value(json).unwrap();

        let expected = "bulk 1: cancel, completed, dry run\n1 task found\n\
                        TASK  TYPE  TITLE\na     faq   -\n";
        assert_eq!(show(&bulk), expected);
    }
}
