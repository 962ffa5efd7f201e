//! `orchestrator agent ask`: a program that `agent run` started asks for an approval.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::json::Members;
use super::super::{Connection, Error, read_json};

/// The exit code for "try again later", as `sysexits.h` has it.
const TRY_AGAIN_LATER: u8 = 75;

/// The options of `orchestrator agent ask`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Why the program needs an approval, 1 to 1,000 characters; approvers see it.
    #[arg(long)]
    reason: String,
    /// The step that the program wants to take: JSON, a file with it, or `-` for the standard
    /// input; approvers see it.
    #[arg(long, value_name = "JSON")]
    action: Option<String>,
    /// What a rejection leads to: the task is cancelled, or it returns to the agent, where `ask`
    /// exits 1.
    #[arg(long, value_enum, default_value_t = OnRejection::Cancel)]
    on_rejection: OnRejection,
    /// How long to wait for a decision, in milliseconds, 1 s to 1 year. Default: as configured.
    #[arg(long, value_name = "MS")]
    expires_after_ms: Option<u64>,
    /// The task; `agent run` sets the variable.
    #[arg(long, env = super::TASK_ID, value_name = "ID")]
    task: Uuid,
    /// The attempt that the program works on; `agent run` sets the variable.
    #[arg(long, env = super::ATTEMPT, value_name = "N")]
    attempt: u32,
    /// The lease of the attempt; `agent run` sets the variable.
    #[arg(long, env = super::LEASE, hide_env_values = true)]
    lease: String,
    #[command(flatten)]
    connection: Connection,
}

/// What a rejection leads to.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum OnRejection {
    Cancel,
    Return,
}

#[derive(Serialize)]
struct Ask<'o> {
    attempt: u32,
    lease: &'o str,
    reason: &'o str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Box<RawValue>>,
    on_rejection: OnRejection,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_after_ms: Option<u64>,
}

impl Options {
    /// Asks, unless the newest approval of the task answers the same question already.
    pub async fn run(self) -> Result<ExitCode, Error> {
        let action = self.action.as_deref().map(read_json).transpose()?;
        let client = self.connection.client()?;
        let task: Members = client.get(&format!("/tasks/{}", self.task)).await?;
        let newest = task.object("approval");
        if self.is_about(&newest, action.as_deref())? {
            return Ok(decided(&newest));
        }
        let body = Ask {
            attempt: self.attempt,
            lease: &self.lease,
            reason: &self.reason,
            action,
            on_rejection: self.on_rejection,
            expires_after_ms: self.expires_after_ms,
        };
        let path = format!("/tasks/{}/approval", self.task);
        let asked: Box<RawValue> = client.post(&path, &body).await?;
        let approval: Members = serde_json::from_str(asked.get())?;
        eprintln!("approval {} is pending", approval.word("approval_id"));
        Ok(ExitCode::from(TRY_AGAIN_LATER))
    }

    /// Returns whether the approval is an agent's, with the same reason and the same action.
    fn is_about(&self, approval: &Members, action: Option<&RawValue>) -> Result<bool, Error> {
        if approval.word("kind") != "ask" || approval.text("reason") != Some(self.reason.clone()) {
            return Ok(false);
        }
        let value = |json: Option<&RawValue>| match json {
            Some(json) => serde_json::from_str::<Value>(json.get()),
            None => Ok(Value::Null),
        };
        Ok(value(approval.get("action"))? == value(action)?)
    }
}

/// Prints the decision to stderr, because stdout is the result of the program.
fn decided(approval: &Members) -> ExitCode {
    let [id, status, by, comment] =
        ["approval_id", "status", "decided_by", "comment"].map(|name| approval.word(name));
    eprintln!("approval {id} is {status} by {by}: {comment}");
    if status == "approved" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
