//! `orchestrator approvals`: what waits for a human, exactly what would run, and the decision.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::json::{Members, pretty};
use super::table::Table;
use super::text::{terminal_width, visible, visible_json, wrap};
use super::{Error, Part, Service, complain, more};
use crate::cli::client::Client;

/// How far the names of fields stand from their values.
const NAMES: usize = 16;

/// What can be done about approvals.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show which there are, the newest first.
    List {
        /// Only those of this status: pending, approved, rejected, expired, cancelled, or all.
        #[arg(long, default_value = "pending")]
        status: String,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Show all that is decided on, exactly as it would run; what could hide in it or act on the terminal is made visible.
    Show {
        /// The approval.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Say yes: the task goes on.
    Approve {
        /// The approvals, each decided for itself.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// What to say about it, at most 1,000 characters.
        #[arg(long)]
        comment: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Say no: the task is cancelled.
    Reject {
        /// The approvals, each decided for itself.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why, at most 1,000 characters; stands on the task as its error.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
}

impl Command {
    /// Does it.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::List { status, part, service } => {
                let status = Some(status).filter(|status| status != "all");
                let page: Box<RawValue> =
                    service.client()?.get(&part.path("/approvals", &[("status", status)])).await?;
                service.print(&page, |page: Value| list(&page)).map(|()| ExitCode::SUCCESS)
            }
            Self::Show { id, service } => {
                let approval: Box<RawValue> = service.client()?.get(&format!("/approvals/{id}")).await?;
                let width = terminal_width();
                service.print(&approval, |members: Members| describe(&members, width)).map(|()| ExitCode::SUCCESS)
            }
            Self::Approve { ids, comment, service } => {
                decide(&service, &ids, "approve", &json!({ "comment": comment })).await
            }
            Self::Reject { ids, reason, service } => {
                decide(&service, &ids, "reject", &json!({ "reason": reason })).await
            }
        }
    }
}

/// Decides on each for itself; the exit code is that of the first that was refused.
async fn decide(service: &Service, ids: &[Uuid], verb: &str, body: &Value) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let mut code = None;
    for id in ids {
        match decide_one(service, &client, id, verb, body).await {
            Ok(()) => {}
            Err(error) => {
                eprint!("{id}: ");
                code = code.or(Some(complain(&error)));
            }
        }
    }
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

async fn decide_one(service: &Service, client: &Client, id: &Uuid, verb: &str, body: &Value) -> Result<(), Error> {
    let answer: Box<RawValue> = client.post(&format!("/approvals/{id}/{verb}"), body).await?;
    service.print(&answer, |detail: Value| {
        let text = |value: &Value| visible(value.as_str().unwrap_or("-"));
        let (status, task) = (text(&detail["status"]), &detail["task"]);
        format!("{id}: {status}; task {} is {}\n", text(&task["task_id"]), text(&task["status"]))
    })
}

fn list(page: &Value) -> String {
    let mut table = Table::new(["APPROVAL", "STATUS", "RULE", "ASKED BY", "ASKED AT", "EXPIRES AT", "DECIDED BY"]);
    for item in page["items"].as_array().into_iter().flatten() {
        let names = ["approval_id", "status", "rule", "requested_by", "requested_at", "expires_at", "decided_by"];
        table.row(names.map(|name| item[name].as_str().unwrap_or("-")));
    }
    table.text() + &more(page["next_cursor"].as_str())
}

/// Every member with something to say, in the service's order; the task's below a heading of its own.
fn describe(Members(members): &Members, width: usize) -> String {
    let mut text = String::new();
    for (name, value) in members.iter().filter(|(_, value)| value.get() != "null") {
        match serde_json::from_str::<Members>(value.get()) {
            Ok(task) if name == "task" => {
                text.push_str("\nWhat would run:\n\n");
                text.push_str(&describe(&task, width));
            }
            _ => text.push_str(&field(name, value, width)),
        }
    }
    text
}

fn field(name: &str, value: &RawValue, width: usize) -> String {
    let name = visible(name);
    let shown = match serde_json::from_str::<String>(value.get()) {
        Ok(text) => visible(&text),
        Err(_) => visible_json(&pretty(value.get())),
    };
    if !shown.contains('\n') {
        return format!("{}\n", wrap(&format!("{name:NAMES$} {shown}"), width, NAMES + 1));
    }
    let lines = shown.lines().map(|line| {
        let indent = line.len() - line.trim_start().len() + 2;
        format!("{}\n", wrap(&format!("  {line}"), width, indent))
    });
    format!("{name}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_decided_on_is_shown_and_nothing_hides_in_it() {
        let answer = r#"{"approval_id": "1", "rule": "urgent\u202e", "digest": "ab", "comment": null, "votes": [{"by": "x"}],
            "task": {"type": "deploy", "payload": {"n": 12345678901234567890, "a": "\u001b[2J\u200b", "n": 2}, "error": null}}"#;
        let members = serde_json::from_str(answer).unwrap();

        let shown = describe(&members, 80);

        let expected = "approval_id      1\nrule             urgent\\u{202e}\ndigest           ab\nvotes\n  [\n    {\n      \
                        \"by\": \"x\"\n    }\n  ]\n\nWhat would run:\n\ntype             deploy\npayload\n  {\n    \
                        \"n\": 12345678901234567890,\n    \"a\": \"\\u001b[2J\\u200b\",\n    \"n\": 2\n  }\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn no_text_can_pass_for_a_field_of_its_own() {
        let answer = format!(r#"{{"comment": "{}status           approved", "rule": "a\nstatus"}}"#, " ".repeat(23));
        let members = serde_json::from_str(&answer).unwrap();

        let shown = describe(&members, 40);

        for line in shown.lines().skip(1) {
            assert!(line.starts_with("                 > ") || line.starts_with("rule "), "{shown}");
        }
        assert!(shown.contains("a\\nstatus"), "{shown}");
    }
}
