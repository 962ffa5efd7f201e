//! `orchestrator keys`: creates, lists, rotates and revokes managed API keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json::Members;
use super::{Error, Part, Service, report};
use crate::domain::name::Name;
use crate::domain::principal::{Role, Scope};

/// The commands for managed API keys; they require role admin.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Create a key and show its secret, which is stored nowhere.
    ///
    /// Options that restrict can be given several times; without one, the key may do all that its
    /// role allows.
    Create(Box<Create>),
    /// List keys, the oldest first, with those that ended.
    List {
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Give a key a new secret and show it.
    Rotate {
        /// The id of the key.
        id: Uuid,
        /// How long the old secret stays valid too, in seconds, at most 7 days.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace: u64,
        /// The new expiry of the key; unchanged by default.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke keys: every gateway refuses them within a second and ends their open calls.
    Revoke {
        /// The ids of the keys.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        #[command(flatten)]
        service: Service,
    },
}

/// The options of `keys create`.
#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// The name of the caller that the key proves, `key:<name>` in timelines.
    name: Name,
    /// The role: user, agent, approver or admin.
    #[arg(long)]
    role: Role,
    /// The person or service that the key belongs to; that of the name by default.
    #[arg(long)]
    identity: Option<String>,
    /// Bind the key to this tenant: it sees and touches only that tenant's tasks.
    #[arg(long)]
    tenant: Option<Name>,
    /// Only this scope of the role, such as tasks:read.
    #[arg(long)]
    scope: Vec<Scope>,
    /// Claim, report, ask and pause for this agent only.
    #[arg(long)]
    agent: Vec<Name>,
    /// Submit tasks of this type only.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<Name>,
    /// Submit in the name of this source only.
    #[arg(long)]
    source: Vec<Name>,
    /// Call from this network only, such as 10.0.0.0/8.
    #[arg(long)]
    network: Vec<String>,
    /// End at this time, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    service: Service,
}

/// The columns of a list: each heading and the member below it.
const COLUMNS: &[(&str, &str)] = &[
    ("KEY", "key_id"),
    ("NAME", "name"),
    ("ROLE", "role"),
    ("CREATED BY", "created_by"),
    ("LAST USED", "last_used_at"),
    ("EXPIRES AT", "expires_at"),
    ("ENDED AT", "ended_at"),
];

impl Command {
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::List { part, service } => {
                service.list(&part.path("/admin/keys", &[]), COLUMNS).await
            }
            Self::Create(options) => options.run().await,
            Self::Rotate { id, grace, expires_at, service } => {
                let path = format!("/admin/keys/{id}/rotate");
                let rotation = json!({ "grace_seconds": grace, "expires_at": expires_at });
                let rotated: Box<RawValue> = service.client()?.post(&path, &rotation).await?;
                service.print(&rotated, secret)
            }
            Self::Revoke { ids, service } => revoke(&ids, &service).await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<ExitCode, Error> {
        let key = json!({
            "name": self.name,
            "role": self.role,
            "identity": self.identity,
            "tenant": self.tenant,
            "scopes": given(self.scope),
            "agents": given(self.agent),
            "task_types": given(self.kind),
            "sources": given(self.source),
            "networks": given(self.network),
            "expires_at": self.expires_at,
        });
        let created: Box<RawValue> = self.service.client()?.post("/admin/keys", &key).await?;
        self.service.print(&created, secret)
    }
}

/// Revokes each key. A refusal does not stop the others; the exit code is that of the first one.
async fn revoke(ids: &[Uuid], service: &Service) -> Result<ExitCode, Error> {
    let client = service.client()?;
    let mut code = None;
    for id in ids {
        match client.delete::<Box<RawValue>>(&format!("/admin/keys/{id}")).await {
            Ok(key) => {
                service.print(&key, |key: Members| {
                    format!("{id}: {} is revoked\n", key.word("name"))
                })?;
            }
            Err(error) => {
                let refused = report(&error.into(), service.form(), &format!("{id}: "));
                code = code.or(Some(refused));
            }
        }
    }
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

/// Returns a list of options, or `None` if there are none.
fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// The secret alone on the first line, so that a shell can take it.
fn secret(created: Members) -> String {
    let name = created.object("key").word("name");
    let (secret, id) = (created.word("secret"), created.word("key_id"));
    format!("{secret}\nKey {id} of {name}; its secret is not shown again.\n")
}
