//! `orchestrator approvals`: what waits for a human, exactly what would run, and the decision.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json::Members;
use super::{Error, Part, Service, read_json};

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
    /// Say yes: the task goes on, once as many have said yes as must.
    Approve {
        /// The approvals, each decided for itself.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// What to say about it, at most 1,000 characters.
        #[arg(long)]
        comment: Option<String>,
        /// What shall run in place of the payload: a file with a JSON object, or `-`; for one approval only.
        #[arg(long)]
        payload: Option<String>,
        /// The digest that `show` showed: refused if there is something else to decide by now.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Say no: the task is cancelled, or its agent is told if it asked to be.
    Reject {
        /// The approvals, each decided for itself.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why, at most 1,000 characters; stands on the task as its error.
        #[arg(long)]
        reason: String,
        /// The digest that `show` showed: refused if there is something else to decide by now.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Have others decide, for approvals whose deciders are gone; needs the role admin.
    Retarget {
        /// The approvals.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// The approval rule whose people decide, on its terms of today.
        #[arg(long, conflicts_with_all = ["role", "group", "quorum"], required_unless_present_any = ["role", "group"])]
        rule: Option<String>,
        /// A role whose callers decide; may be given several times.
        #[arg(long)]
        role: Vec<String>,
        /// A group whose members decide; may be given several times.
        #[arg(long)]
        group: Vec<String>,
        /// How many must approve, 1 to 20; as it is if left out.
        #[arg(long)]
        quorum: Option<u32>,
        /// Why, at most 1,000 characters; stands in the audit log.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        service: Service,
    },
}

/// The columns of a list, and the fields below them.
const COLUMNS: &[(&str, &str)] = &[
    ("APPROVAL", "approval_id"),
    ("STATUS", "status"),
    ("RULE", "rule"),
    ("ASKED BY", "requested_by"),
    ("ASKED AT", "requested_at"),
    ("EXPIRES AT", "expires_at"),
    ("DECIDED BY", "decided_by"),
];

impl Command {
    /// Does it.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::List { status, part, service } => {
                let status = Some(status).filter(|status| status != "all");
                service.list(&part.path("/approvals", &[("status", status)]), COLUMNS).await
            }
            Self::Show { id, service } => service.show(&format!("/approvals/{id}")).await,
            Self::Approve { ids, comment, payload, digest, service } => {
                if payload.is_some() && ids.len() > 1 {
                    return Err(Error::Usage("--payload goes with one approval only".to_owned()));
                }
                let payload = payload.map(|file| read_json(&file)).transpose()?;
                decide(&service, &ids, "approve", &Decision { comment, digest, payload }).await
            }
            Self::Reject { ids, reason, digest, service } => {
                let no = Decision { comment: Some(reason), digest, payload: None };
                decide(&service, &ids, "reject", &no).await
            }
            Self::Retarget { ids, rule, role, group, quorum, reason, service } => {
                let is_given = |words: &Vec<String>| !words.is_empty();
                let roles = Some(role).filter(is_given);
                let groups = Some(group).filter(is_given);
                let target = Target { rule, roles, groups, quorum, reason };
                decide(&service, &ids, "retarget", &target).await
            }
        }
    }
}

/// A decision as the API takes it; a payload byte for byte.
#[derive(Serialize)]
struct Decision {
    comment: Option<String>,
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
}

/// Who decides from now on, as the API takes it.
#[derive(Serialize)]
struct Target {
    rule: Option<String>,
    roles: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    quorum: Option<u32>,
    reason: Option<String>,
}

async fn decide(
    service: &Service,
    ids: &[Uuid],
    verb: &str,
    body: &impl Serialize,
) -> Result<ExitCode, Error> {
    let done = |approval: &Members| {
        let task = approval.object("task");
        format!(
            "{}; task {} is {}",
            approval.word("status"),
            task.word("task_id"),
            task.word("status")
        )
    };
    service.each(ids, |id| format!("/approvals/{id}/{verb}"), body, done).await
}
