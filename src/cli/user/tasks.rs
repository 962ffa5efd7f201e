//! `orchestrator tasks`: submits, shows, follows, cancels and retries tasks.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::filter::Filter;
use super::json::Members;
use super::{Error, Page, Part, Service, bulk, submit};

/// How long one call waits for the end of a followed task, in milliseconds: transitions are shown
/// at most this late.
const LOOK_MS: u32 = 1_000;

/// The commands for tasks.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Submit a task, or many from a file.
    Submit(Box<submit::Options>),
    /// Show a task with all its fields.
    Get {
        /// The id of the task.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// List tasks, the newest first.
    List {
        #[command(flatten)]
        filter: Box<Filter>,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Follow a task until it ends; exits 0 if it was completed, else 1.
    Watch {
        /// The id of the task.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Cancel tasks, by their ids or all that match; this is final at once.
    Cancel {
        /// The ids of the tasks.
        ids: Vec<Uuid>,
        #[command(flatten)]
        bulk: Box<bulk::Options>,
        /// The reason, at most 1,000 characters.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Retry failed or cancelled tasks, by their ids or all that match.
    Retry {
        /// The ids of the tasks.
        ids: Vec<Uuid>,
        #[command(flatten)]
        bulk: Box<bulk::Options>,
        #[command(flatten)]
        service: Service,
    },
    /// Raise the priority of all waiting tasks that match.
    Raise {
        /// The new priority, P0 to P2.
        #[arg(long, value_name = "PRIORITY")]
        to: String,
        #[command(flatten)]
        bulk: Box<bulk::Options>,
        /// The reason, at most 1,000 characters.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list: each heading and the member below it.
const COLUMNS: &[(&str, &str)] = &[
    ("TASK", "task_id"),
    ("TYPE", "type"),
    ("TITLE", "title"),
    ("STATUS", "status"),
    ("PRIORITY", "priority"),
    ("AGENT", "assigned_to"),
    ("BY", "submitted_by"),
    ("CREATED AT", "created_at"),
];

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::Submit(options) => options.run().await,
            Self::Get { id, service } => service.show(&format!("/tasks/{id}")).await,
            Self::List { filter, part, service } => {
                service.list(&part.path("/tasks", &filter.pairs()), COLUMNS).await
            }
            Self::Watch { id, service } => watch(&service, id).await,
            Self::Cancel { ids, bulk, reason, service } => {
                let body = json!({ "reason": reason });
                if bulk.is_meant_beside(&ids)? {
                    return bulk.run(&service, "cancel", body).await;
                }
                service.each("/tasks", &ids, "cancel", &body, status_of).await
            }
            Self::Retry { ids, bulk, service } => {
                if bulk.is_meant_beside(&ids)? {
                    return bulk.run(&service, "retry", json!({})).await;
                }
                service.each("/tasks", &ids, "retry", &json!({}), status_of).await
            }
            Self::Raise { to, bulk, reason, service } => {
                bulk.is_meant_beside(&[])?;
                bulk.run(&service, "raise", json!({ "priority": to, "reason": reason })).await
            }
        }
    }
}

fn status_of(task: &Members) -> String {
    task.word("status")
}

async fn watch(service: &Service, id: Uuid) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let mut shown = BTreeSet::new();
    let mut wait_ms = 0;
    loop {
        // The task is read before its timeline, so that the timeline of an ended task is complete.
        let task: Members = client.get(&format!("/tasks/{id}?wait_ms={wait_ms}")).await?;
        let timeline: Page<Box<RawValue>> = client.get(&format!("/tasks/{id}/events")).await?;
        for transition in timeline.items {
            if shown.insert(transition.get().to_owned()) {
                let shown = || Ok(line(&serde_json::from_str(transition.get())?));
                service.print_item(&transition, shown)?;
            }
        }
        match task.word("status").as_str() {
            "completed" => return Ok(ExitCode::SUCCESS),
            "failed" | "cancelled" => return Ok(ExitCode::FAILURE),
            _ => wait_ms = LOOK_MS,
        }
    }
}

fn line(transition: &Members) -> String {
    let [at, verb, status, actor] =
        ["at", "verb", "status", "actor"].map(|name| transition.word(name));
    let reason = match transition.word("reason").as_str() {
        "-" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("{at}  {verb:8}  {status:11}  {actor}{reason}\n")
}
