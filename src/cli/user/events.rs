//! `orchestrator events`: follows events as they happen, and publishes them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::json::Members;
use super::text::visible_json;
use super::{Error, Service, given_json, query};

/// The commands for events.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Follow events as they happen, until the stream ends or the command is interrupted.
    Tail {
        /// Show only these types, such as deploy.* or task.completed, joined by commas.
        #[arg(long)]
        types: Option<String>,
        /// Show only events about this task.
        #[arg(long)]
        task: Option<Uuid>,
        /// Begin after this event instead of with the next one.
        #[arg(long, value_name = "EVENT")]
        after: Option<Uuid>,
        #[command(flatten)]
        service: Service,
    },
    /// Publish an event.
    Publish {
        /// The type of the event, such as deploy.started.
        event_type: String,
        /// The payload: a JSON object, a file with it, or `-` for the standard input. Default: {}.
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
        /// The task that the event is about.
        #[arg(long)]
        task: Option<Uuid>,
        #[command(flatten)]
        service: Service,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::Tail { types, task, after, service } => {
                let [task, after] = [task, after].map(|id| id.map(|id| id.to_string()));
                let pairs = [("types", types), ("task_id", task), ("after", after)];
                tail(&service, &query("/events", &pairs)).await
            }
            Self::Publish { event_type, payload, task, service } => {
                let body = BTreeMap::from([
                    ("event_type", to_raw_value(&event_type)?),
                    ("payload", given_json(payload, &json!({}))?),
                    ("task_id", to_raw_value(&task)?),
                ]);
                service.post("/events/publish", &body).await
            }
        }
    }
}

/// Follows the stream to its end. A line of it is `<field>: <value>`, and an empty line ends an
/// event. An event can have several `data` lines, which belong together.
async fn tail(service: &Service, path: &str) -> Result<ExitCode, Error> {
    let mut stream = service.client()?.follow(path).await?;
    let mut rest = Vec::new();
    while let Some(chunk) = stream.next().await? {
        rest.extend_from_slice(&chunk);
        let Some(end) = rest.windows(2).rposition(|two| two == b"\n\n") else { continue };
        let blocks: Vec<u8> = rest.drain(..end + 2).collect();
        for block in String::from_utf8_lossy(&blocks).split("\n\n") {
            let data = values(block, "data");
            if data.is_empty() {
                continue;
            }
            let data: Box<RawValue> = serde_json::from_str(&data.join("\n"))?;
            let name = values(block, "event").pop().unwrap_or_default();
            service.print_item(&data, || shown(name, data.get()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the values of a field of an event of the stream.
fn values<'b>(block: &'b str, field: &str) -> Vec<&'b str> {
    let lines = block.split('\n').map(|line| line.split_once(':').unwrap_or((line, "")));
    let values = lines.filter(|(name, _)| *name == field).map(|(_, value)| value);
    values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect()
}

/// Returns one line for an event. Other items, such as `gap`, are shown with their name.
fn shown(name: &str, data: &str) -> Result<String, Error> {
    let event: Members = serde_json::from_str(data)?;
    if event.word("event_id") == "-" {
        return Ok(format!("{}: {}\n", visible_json(name), visible_json(data)));
    }
    let [at, kind, task, payload] =
        ["timestamp", "event_type", "task_id", "payload"].map(|name| event.word(name));
    Ok(format!("{at}  {kind:20}  {task}  {payload}\n"))
}
