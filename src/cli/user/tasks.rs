//! `orchestrator tasks`: submits, shows, follows, cancels and retries tasks.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json::Members;
use super::{Error, Page, Part, Service, submit};

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
        /// List only tasks with this status, such as in_progress.
        #[arg(long)]
        status: Option<String>,
        /// List only tasks of this type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// List only tasks for this agent.
        #[arg(long)]
        agent: Option<String>,
        /// List only tasks of this priority.
        #[arg(long)]
        priority: Option<String>,
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
    /// Cancel tasks; this is final at once.
    Cancel {
        /// The ids of the tasks.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// The reason, at most 1,000 characters.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Retry failed or cancelled tasks.
    Retry {
        /// The ids of the tasks.
        #[arg(required = true)]
        ids: Vec<Uuid>,
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
            Self::List { status, kind, agent, priority, part, service } => {
                let pairs = [
                    ("status", status),
                    ("type", kind),
                    ("assigned_to", agent),
                    ("priority", priority),
                ];
                service.list(&part.path("/tasks", &pairs), COLUMNS).await
            }
            Self::Watch { id, service } => watch(&service, id).await,
            Self::Cancel { ids, reason, service } => {
                let body = json!({ "reason": reason });
                service.each("/tasks", &ids, "cancel", &body, status_of).await
            }
            Self::Retry { ids, service } => {
                service.each("/tasks", &ids, "retry", &json!({}), status_of).await
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
