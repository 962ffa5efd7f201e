//! `orchestrator approvals`: lists approvals, shows exactly what would run, and decides.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::decision::{Decision, result};
use super::{Error, Part, Service, read_json, report, review, terminal};

/// The commands for approvals.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List approvals, the newest first.
    List {
        /// List only approvals with this status: pending, approved, rejected, expired, cancelled,
        /// or all.
        #[arg(long, default_value = "pending")]
        status: String,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Show everything that is decided on, exactly as it would run; hidden and control characters
    /// are made visible.
    Show {
        /// The id of the approval.
        id: Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Approve: the task continues once the quorum is complete.
    Approve {
        /// The ids of the approvals, each decided on its own.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// A comment of at most 1,000 characters.
        #[arg(long)]
        comment: Option<String>,
        /// Run this payload instead: a JSON object, a file with it, or `-` for the standard input;
        /// for one approval only.
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
        /// The digest that `show` printed; the decision is refused if the content has changed
        /// since. Without it a terminal shows the content and asks for confirmation of that.
        #[arg(long)]
        digest: Option<String>,
        /// Do not show the content and ask for confirmation.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Walk through what waits for you: show exactly what would run, and decide on that.
    Review {
        #[command(flatten)]
        service: Service,
    },
    /// Reject: the task is cancelled, or returns to its agent if the agent asked for that.
    Reject {
        /// The ids of the approvals, each decided on its own.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// The reason, at most 1,000 characters; becomes the error of the task.
        #[arg(long)]
        reason: String,
        /// The digest that `show` printed; the decision is refused if the content has changed
        /// since.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Retarget approvals whose approvers have left to other approvers; requires role admin.
    Retarget {
        /// The ids of the approvals.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Ask the approvers of this approval rule, under its current terms.
        #[arg(long, conflicts_with_all = ["role", "group", "quorum"])]
        #[arg(required_unless_present_any = ["role", "group"])]
        rule: Option<String>,
        /// Ask callers with this role; can be given several times.
        #[arg(long)]
        role: Vec<String>,
        /// Ask the members of this group; can be given several times.
        #[arg(long)]
        group: Vec<String>,
        /// How many people must approve, 1 to 20; unchanged by default.
        #[arg(long)]
        quorum: Option<u32>,
        /// The reason, at most 1,000 characters; recorded in the audit log.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list: each heading and the member below it.
const COLUMNS: &[(&str, &str)] = &[
    ("APPROVAL", "approval_id"),
    ("STATUS", "status"),
    ("TYPE", "type"),
    ("TITLE", "title"),
    ("RULE", "rule"),
    ("ASKED BY", "requested_by"),
    ("ASKED AT", "requested_at"),
    ("EXPIRES AT", "expires_at"),
    ("DECIDED BY", "decided_by"),
];

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::List { status, part, service } => {
                let status = Some(status).filter(|status| status != "all");
                service.list(&part.path("/approvals", &[("status", status)]), COLUMNS).await
            }
            Self::Show { id, service } => service.show(&format!("/approvals/{id}")).await,
            Self::Review { service } => review::review(&service).await,
            Self::Approve { ids, comment, payload, digest, yes, service } => {
                if payload.is_some() && ids.len() > 1 {
                    return Err(Error::Usage("--payload requires exactly one approval".to_owned()));
                }
                let payload = payload.as_deref().map(read_json).transpose()?;
                let approval = Decision { comment, digest, payload };
                if approval.digest.is_some() || yes || !terminal::is_there() {
                    return service.each("/approvals", &ids, "approve", &approval, result).await;
                }
                approve_as_shown(&service, &ids, &approval).await
            }
            Self::Reject { ids, reason, digest, service } => {
                let rejection = Decision { comment: Some(reason), digest, payload: None };
                service.each("/approvals", &ids, "reject", &rejection, result).await
            }
            Self::Retarget { ids, rule, role, group, quorum, reason, service } => {
                let roles = Some(role).filter(|role| !role.is_empty());
                let groups = Some(group).filter(|group| !group.is_empty());
                let target = json!({
                    "rule": rule,
                    "roles": roles,
                    "groups": groups,
                    "quorum": quorum,
                    "reason": reason,
                });
                service.each("/approvals", &ids, "retarget", &target, result).await
            }
        }
    }
}

/// Shows each approval, asks for confirmation, and approves exactly what it showed. A refusal does
/// not stop the others.
async fn approve_as_shown(
    service: &Service,
    ids: &[Uuid],
    approval: &Decision,
) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        let done = match review::confirm(&client, *id).await {
            Ok(None) => continue,
            Ok(digest) => {
                let approval = Decision { digest, ..approval.clone() };
                service.each("/approvals", &[id], "approve", &approval, result).await?
            }
            Err(error) => report(&error, service.form(), &format!("{id}: ")),
        };
        code = if code == ExitCode::SUCCESS { done } else { code };
    }
    Ok(code)
}
