//! `orchestrator tasks`: hand in, look, follow, call off, try again.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::json::Members;
use super::{Error, Part, Service, read_json, say};

/// How long one look at a task that is followed waits for its end, in milliseconds: so late at most is what happens shown.
const LOOK_MS: u32 = 1_000;

/// What can be done with tasks.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Hand one in.
    Submit {
        /// What kind of work it is, such as bugfix.
        kind: String,
        /// The file with what to do, a JSON object; `-` is the standard input. Left out: {}.
        #[arg(long, value_name = "FILE")]
        payload: Option<String>,
        /// The file with what else is to come back with the task, a JSON object.
        #[arg(long, value_name = "FILE")]
        metadata: Option<String>,
        /// P0 to P3.
        #[arg(long, default_value = "P2")]
        priority: String,
        /// How long to wait before it may start, in milliseconds.
        #[arg(long, value_name = "MS")]
        delay_ms: Option<u64>,
        #[command(flatten)]
        service: Service,
    },
    /// Show one with all its fields.
    Get {
        /// The task.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Show which there are, the newest first.
    List {
        /// Only those of this status, such as in_progress.
        #[arg(long)]
        status: Option<String>,
        /// Only those of this type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Only those for this agent.
        #[arg(long)]
        agent: Option<String>,
        /// Only those of this priority.
        #[arg(long)]
        priority: Option<String>,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Show what happens to one until it has ended; exits 0 if it was completed, else 1.
    Watch {
        /// The task.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Call some off, at once and for good.
    Cancel {
        /// The tasks.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why, at most 1,000 characters.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Put failed or cancelled ones back.
    Retry {
        /// The tasks.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list, and the fields below them.
const COLUMNS: &[(&str, &str)] = &[
    ("TASK", "task_id"),
    ("TYPE", "type"),
    ("STATUS", "status"),
    ("PRIORITY", "priority"),
    ("AGENT", "assigned_to"),
    ("BY", "submitted_by"),
    ("CREATED AT", "created_at"),
];

impl Command {
    /// Does it.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        let status = |task: &Members| task.word("status");
        match self {
            Self::Submit { kind, payload, metadata, priority, delay_ms, service } => {
                let mut body = BTreeMap::from([
                    ("type", to_raw_value(&kind)?),
                    ("priority", to_raw_value(&priority)?),
                ]);
                body.insert(
                    "payload",
                    payload
                        .map_or_else(|| Ok(to_raw_value(&json!({}))?), |file| read_json(&file))?,
                );
                body.insert(
                    "metadata",
                    metadata.map_or_else(|| Ok(to_raw_value(&())?), |file| read_json(&file))?,
                );
                body.insert("delay_ms", to_raw_value(&delay_ms)?);
                let task: Box<RawValue> = service.client()?.post("/tasks", &body).await?;
                service.describe(&task)
            }
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
                service.each(&ids, |id| format!("/tasks/{id}/cancel"), &body, status).await
            }
            Self::Retry { ids, service } => {
                service.each(&ids, |id| format!("/tasks/{id}/retry"), &json!({}), status).await
            }
        }
    }
}

/// A task's timeline; each transition as it came.
#[derive(Deserialize)]
struct Timeline {
    items: Vec<Box<RawValue>>,
}

async fn watch(service: &Service, id: Uuid) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let mut shown = BTreeSet::new();
    let mut wait_ms = 0;
    loop {
        // The task before its timeline, so that the end of one that has ended is in it.
        let task: Members = client.get(&format!("/tasks/{id}?wait_ms={wait_ms}")).await?;
        let timeline: Timeline = client.get(&format!("/tasks/{id}/events")).await?;
        for transition in timeline.items {
            let line = if service.json {
                transition.get().to_owned()
            } else {
                line(&serde_json::from_str(transition.get())?)
            };
            if shown.insert(line.clone()) {
                say(&format!("{line}\n"))?;
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
    format!("{at}  {verb:8}  {status:11}  {actor}{reason}")
}
