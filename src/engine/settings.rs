//! What an operator can set about the use cases.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::approval::{Groups, OnExpiry, Terms, TermsSetting};
use crate::domain::decision::Directory;
use crate::domain::name::Name;
use crate::domain::people::People;
use crate::domain::policy::ApprovalRule;
use crate::domain::retry::Backoff;
use crate::domain::routing::RoutingRule;
use crate::domain::sla::SlaRule;
use crate::domain::task::{Millis, Priority};

/// Everything that the engine is told; each part is a section of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[tasks]`
    pub tasks: Tasks,
    /// `[queue]`
    pub queue: Queue,
    /// `[agents]`
    pub agents: Agents,
    /// `[routing]`
    pub routing: Routing,
    /// `[approvals]`
    pub approvals: Approvals,
    /// `[sla]`
    pub sla: SlaSettings,
    /// `[events]`
    pub events: Events,
    /// `[retention]`
    pub retention: Retention,
    /// `[doctor]`
    pub doctor: Doctor,
    /// `[auth.identities]` and `[auth.sources]`
    pub people: People,
}

impl Settings {
    /// The largest answer about one task, in bytes: its payload, metadata and result, the payload as it was before an
    /// approver changed it, and the rest, which is bounded by itself.
    pub fn largest_task_bytes(&self) -> usize {
        4 * self.tasks.max_payload_bytes + (1 << 20)
    }

    /// Who there is to decide.
    pub fn directory(&self) -> Directory<'_> {
        Directory { people: &self.people, groups: &self.approvals.groups }
    }
}

/// What may be submitted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// The task types; any other is refused.
    pub types: Vec<Name>,
    /// Failed attempts that are followed by another, unless the submission says otherwise.
    pub max_retries: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// The largest payload or result, in bytes.
    pub max_payload_bytes: usize,
    /// How long an idempotency key is remembered.
    pub idempotency_ms: Millis,
}

/// Why a task of type `kind` is refused where `types` are known; none: it is one of them.
pub fn unknown_type(types: &[Name], kind: &Name) -> Option<String> {
    let known = || types.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    (!types.contains(kind)).then(|| format!("unknown task type; known are {}", known()))
}

/// In which order tasks are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How much earlier than submitted a task of this priority counts as: the bound on how long
    /// a task waits behind later ones of that priority.
    pub head_start_ms: HeadStart,
    /// How long a waiting call trusts its notification before it looks by itself, in milliseconds, give or take a
    /// quarter: the longest that a lost notification delays a call. Less costs Redis a call per waiter that often.
    /// No setting: tests that show that the notification woke a call set it to more than they wait.
    #[serde(skip, default = "slow_poll_ms")]
    pub slow_poll_ms: Millis,
}

fn slow_poll_ms() -> Millis {
    5_000
}

/// A head start for each priority, in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "one field a priority")]
pub struct HeadStart {
    #[serde(rename = "P0", alias = "p0")]
    pub p0: Millis,
    #[serde(rename = "P1", alias = "p1")]
    pub p1: Millis,
    #[serde(rename = "P2", alias = "p2")]
    pub p2: Millis,
    #[serde(rename = "P3", alias = "p3")]
    pub p3: Millis,
}

impl HeadStart {
    /// Those of every priority, the most urgent first.
    pub fn all(&self) -> [Millis; 4] {
        Priority::ALL.map(|priority| self.of(priority))
    }

    /// The head start of `priority`.
    pub fn of(&self, priority: Priority) -> Millis {
        match priority {
            Priority::P0 => self.p0,
            Priority::P1 => self.p1,
            Priority::P2 => self.p2,
            Priority::P3 => self.p3,
        }
    }
}

/// How agents hold tasks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// How long an agent may stay silent, unless its claim says otherwise.
    pub lease_ms: Millis,
    /// The lease of a caller that took a task by `PATCH /tasks/{id}/status`.
    pub patch_lease_ms: Millis,
    /// How many lost leases fail a task.
    pub max_lost: u32,
    /// How long after its last call a session still counts as live.
    pub session_ms: Millis,
    /// How many sessions of an agent are remembered: those that called last.
    pub max_sessions: u32,
    /// Whether an agent that no routing rule names may call.
    pub allow_unrouted: bool,
    /// How many agents there may be for another one that no rule names to be let in.
    pub max_agents: u32,
    /// The most bytes of tasks in the answer to a claim.
    pub max_claim_bytes: usize,
}

/// Who does what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// The first rule that applies decides.
    pub rules: Vec<RoutingRule>,
}

/// What a human must approve.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// The first rule that applies, or cannot be evaluated, decides.
    pub rules: Vec<ApprovalRule>,
    /// How long an approval waits for a decision, where its terms do not say.
    pub expires_after_ms: Millis,
    /// What happens then, where its terms do not say.
    pub on_expiry: OnExpiry,
    /// How often agents may make humans decide about one task, by a question or a retry, before a human retries it.
    pub max_asks: u32,
    /// How long after the first time they may again; doubled with every time.
    pub ask_backoff_ms: Millis,
    /// The longest such wait.
    pub ask_backoff_max_ms: Millis,
    /// The terms of what agents ask while they work.
    pub asked: TermsSetting,
    /// The members of each group that terms may name.
    pub groups: Groups,
}

impl Approvals {
    /// The bounds on asking as the store takes them.
    pub(super) fn ask_bounds(&self) -> String {
        format!("{},{},{}", self.max_asks, self.ask_backoff_ms, self.ask_backoff_max_ms)
    }

    /// These terms, with what holds for every approval where they do not say.
    pub fn terms_of(&self, setting: &TermsSetting) -> Terms {
        setting.resolve(self.expires_after_ms, self.on_expiry)
    }
}

/// What is promised in time where the submission does not say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlaSettings {
    /// After how much of the time to warn, in percent.
    pub warn_at_percent: u8,
    /// Whether clocks stand still while a task waits for a human.
    pub exclude_approval_time: bool,
    /// The time to finish, by priority (`P0`) or by type and priority (`deploy/P0`), in milliseconds.
    pub targets: BTreeMap<String, Millis>,
    /// The time until the first attempt begins, by the same keys.
    pub start_targets: BTreeMap<String, Millis>,
    /// What to do when a threshold passes: every rule that applies.
    pub rules: Vec<SlaRule>,
}

/// What may be published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The largest payload and metadata of an event from outside together, in bytes.
    pub max_publish_bytes: usize,
    /// How many bytes of events a caller may publish within a minute.
    pub publish_bytes_per_minute: u64,
}

/// How long things are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// A completed, failed or cancelled task, with its approval.
    pub finished_ms: Millis,
    /// About how many entries of the event log; a batch of tasks that moved together is one entry.
    pub events: u64,
    /// How many bytes of the event log, of all partitions together.
    pub events_bytes: u64,
    /// An entry of the event log.
    pub events_ms: Millis,
    /// An entry of the audit log.
    pub audit_ms: Millis,
}

/// How the store is examined while the fleet works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// How long after the beginning of a round over the whole store the next one begins; 0: there are none.
    pub every_ms: Millis,
}
