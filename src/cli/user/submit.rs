//! `orchestrator tasks submit`: one task from options, or many from a file.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::json::Members;
use super::{Error, Service, file, given_json};
use crate::cli::client::Client;

/// How long one call waits for the end of a task, in milliseconds; gateways allow 60 s.
const WAIT_MS: u32 = 60_000;

/// The options of `orchestrator tasks submit`. The gateway checks their values and ranges.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The type of the task, such as bugfix.
    #[arg(required_unless_present = "file")]
    kind: Option<String>,
    /// What the task is about, in 1 to 200 characters.
    #[arg(long)]
    title: Option<String>,
    /// The payload: a JSON object, a file with it, or `-` for the standard input. Default: {}.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// More information that is returned with the task: a JSON object, or a file with it.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// The priority, P0 (most urgent) to P3. Default: P2.
    #[arg(long)]
    priority: Option<String>,
    /// The part of your system that the task comes from. Default: user.
    #[arg(long)]
    source: Option<String>,
    /// The time to finish, such as 90s, 15m or 3d.
    #[arg(long, value_name = "TIME")]
    sla_target: Option<String>,
    /// When the task must be finished, in RFC 3339.
    #[arg(long, value_name = "WHEN")]
    sla_deadline: Option<String>,
    /// When the first attempt must have started, in RFC 3339.
    #[arg(long, value_name = "WHEN")]
    sla_start_deadline: Option<String>,
    /// At what part of the SLA time to warn, in percent.
    #[arg(long, value_name = "PERCENT")]
    alert_threshold: Option<u8>,
    /// The delay before the task may start, in milliseconds.
    #[arg(long, value_name = "MS", conflicts_with = "run_at")]
    delay_ms: Option<u64>,
    /// When the task may start, in RFC 3339.
    #[arg(long, value_name = "WHEN")]
    run_at: Option<String>,
    /// The task that this one is a part of.
    #[arg(long, value_name = "ID")]
    parent: Option<Uuid>,
    /// What happens to the task if its parent is cancelled: continue or cancel. Default: continue.
    #[arg(long, value_name = "WHAT", requires = "parent")]
    on_parent_cancel: Option<String>,
    /// The id that joins the task with your traces.
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
    /// How many failed attempts are retried, 0 to 100.
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// How long one attempt may take, in milliseconds.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// A key that makes it safe to repeat the submission.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until the task is final; exits 0 if it was completed, else 1.
    #[arg(long)]
    wait: bool,
    /// Submit every line of this file, a task as the API takes it; `-` is the standard input.
    ///
    /// Lines without an `idempotency_key` get one, their hash, so that the same file can be
    /// submitted again: what is there already is not submitted twice. Refused lines are listed.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["kind", "title", "payload", "metadata", "priority", "source",
        "sla_target", "sla_deadline", "sla_start_deadline", "alert_threshold", "delay_ms", "run_at",
        "parent", "on_parent_cancel", "trace_id", "max_retries", "timeout_ms", "idempotency_key",
        "wait"])]
    file: Option<String>,
    #[command(flatten)]
    service: Service,
}

/// The members of a submission that were given.
#[derive(Default, Serialize)]
#[serde(transparent)]
struct Submission(BTreeMap<&'static str, Box<RawValue>>);

impl Submission {
    fn with<T: Serialize>(mut self, name: &'static str, value: Option<T>) -> Result<Self, Error> {
        if let Some(value) = value {
            self.0.insert(name, to_raw_value(&value)?);
        }
        Ok(self)
    }
}

impl Options {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        if let Some(file) = &self.file {
            return file::submit(&self.service, file).await;
        }
        let (wait, service) = (self.wait, self.service.clone());
        let body = self.body()?;
        if !wait {
            return service.post("/tasks", &body).await;
        }
        let client = service.client()?;
        let task: Members = client.post("/tasks", &body).await?;
        let (answer, status) = ended(&client, &task.word("task_id")).await?;
        service.describe(&answer)?;
        Ok(if status == "completed" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn body(self) -> Result<Submission, Error> {
        let metadata = self.metadata.map(|given| given_json(Some(given), &())).transpose()?;
        Submission::default()
            .with("type", self.kind)?
            .with("title", self.title)?
            .with("payload", Some(given_json(self.payload, &json!({}))?))?
            .with("metadata", metadata)?
            .with("priority", self.priority)?
            .with("source", self.source)?
            .with("sla_target", self.sla_target)?
            .with("sla_deadline", self.sla_deadline)?
            .with("sla_start_deadline", self.sla_start_deadline)?
            .with("alert_threshold", self.alert_threshold)?
            .with("delay_ms", self.delay_ms)?
            .with("run_at", self.run_at)?
            .with("parent_task_id", self.parent)?
            .with("on_parent_cancel", self.on_parent_cancel)?
            .with("trace_id", self.trace_id)?
            .with("max_retries", self.max_retries)?
            .with("timeout_ms", self.timeout_ms)?
            .with("idempotency_key", self.idempotency_key)
    }
}

/// Waits until the task is final, and returns it with its status.
async fn ended(client: &Client, id: &str) -> Result<(Box<RawValue>, String), Error> {
    loop {
        let answer: Box<RawValue> = client.get(&format!("/tasks/{id}?wait_ms={WAIT_MS}")).await?;
        let task: Members = serde_json::from_str(answer.get())?;
        let status = task.word("status");
        if ["completed", "failed", "cancelled"].contains(&status.as_str()) {
            return Ok((answer, status));
        }
    }
}
