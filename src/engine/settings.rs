//! The settings of the use cases, which an operator can change.

use serde::Deserialize;

use crate::domain::approval::{Groups, OnExpiry, Terms, TermsSetting};
use crate::domain::call_class::CallClass;
use crate::domain::decision::Directory;
use crate::domain::name::Name;
use crate::domain::people::People;
use crate::domain::priority::Priority;
use crate::domain::retry::Backoff;
use crate::domain::rules::{ApprovalRule, RoutingRule, Rules, SlaRule, Targets};
use crate::domain::time::Millis;

/// All settings of the engine. Each part is a section of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The section `[tasks]`: what may be submitted and how often it is tried.
    pub tasks: Tasks,
    /// The section `[queue]`: the order in which tasks are routed.
    pub queue: Queue,
    /// The section `[agents]`: leases, sessions and limits of agents.
    pub agents: Agents,
    /// The section `[routing]`: which agent gets which tasks.
    pub routing: Routing,
    /// The section `[approvals]`: what needs an approval, and from whom.
    pub approvals: Approvals,
    /// The section `[sla]`: default targets and what happens when they pass.
    pub sla: SlaSettings,
    /// The section `[events]`: limits of what clients publish.
    pub events: Events,
    /// The section `[limits]`: how much one caller may do.
    pub limits: Limits,
    /// The section `[retention]`: how long ended tasks and logs are kept.
    pub retention: Retention,
    /// The section `[doctor]`: how often the background doctor checks the store.
    pub doctor: Doctor,
    /// The sections `[auth.identities]` and `[auth.sources]`: which credentials belong to one
    /// person, and their sources.
    pub people: People,
}

impl Settings {
    /// Returns the largest response about one task, in bytes: its payload, metadata and result, the
    /// payload before an approver edited it, and the rest, which has its own bounds.
    pub fn largest_task_bytes(&self) -> usize {
        4 * self.tasks.max_payload_bytes + (1 << 20)
    }

    /// Returns the rules that decide about submissions.
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            routing: &self.routing.rules,
            approvals: &self.approvals.rules,
            sla: &self.sla.rules,
            targets: &self.sla.targets,
            start_targets: &self.sla.start_targets,
            warn_at_percent: self.sla.warn_at_percent,
        }
    }

    /// Returns the people and groups that approvals can ask.
    pub fn directory(&self) -> Directory<'_> {
        Directory { people: &self.people, groups: &self.approvals.groups }
    }
}

/// The section `[tasks]`: what may be submitted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// The known task types. A submission of any other is refused.
    pub types: Vec<Name>,
    /// How many failed attempts are followed by another, unless the submission says otherwise.
    pub max_retries: u32,
    /// The waits between these attempts.
    pub backoff: Backoff,
    /// The largest payload or result of a task, in bytes.
    pub max_payload_bytes: usize,
    /// How many milliseconds an idempotency key is remembered.
    pub idempotency_ms: Millis,
    /// How many bulks may run at once.
    pub max_bulks: u32,
}

/// Returns why a task of type `kind` is refused. `None` if it is one of `types`.
pub fn unknown_type(types: &[Name], kind: &Name) -> Option<String> {
    if types.contains(kind) {
        return None;
    }
    let known = types.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    Some(format!("unknown task type `{kind}`; known types: {known}"))
}

/// The section `[queue]`: the order in which tasks are routed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How much earlier than its submission a task of this priority counts. This bounds how long it
    /// waits behind later ones of that priority.
    pub head_start_ms: HeadStart,
    /// How long a waiting call relies on its notification before it looks again, in milliseconds,
    /// plus or minus a quarter: the longest delay by a lost notification. A lower value costs Redis
    /// one call per waiting call so often. It is not a setting: tests of the notification set it to
    /// more than they wait.
    #[serde(skip, default = "slow_poll_ms")]
    pub slow_poll_ms: Millis,
}

fn slow_poll_ms() -> Millis {
    5_000
}

/// The head start of each priority, in milliseconds.
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
    /// Returns the head starts of all priorities, the most urgent first.
    pub fn all(&self) -> [Millis; 4] {
        [self.p0, self.p1, self.p2, self.p3]
    }

    /// Returns the head start of `priority` in milliseconds.
    pub fn of(&self, priority: Priority) -> Millis {
        self.all()[priority as usize]
    }
}

/// The section `[agents]`: how agents hold tasks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// How long a lease lasts without an extension, unless the claim says otherwise.
    pub lease_ms: Millis,
    /// How long the lease lasts of a caller that took a task by `PATCH /tasks/{id}/status`.
    pub patch_lease_ms: Millis,
    /// After how many lost leases a task fails.
    pub max_lost: u32,
    /// How many milliseconds after its last call a session still counts as live.
    pub session_ms: Millis,
    /// How many sessions of an agent are kept: those with the newest calls.
    pub max_sessions: u32,
    /// Whether an agent that no routing rule names may claim tasks.
    pub allow_unrouted: bool,
    /// The limit of agents: up to it, a new agent that no rule names is admitted.
    pub max_agents: u32,
    /// The largest size of the tasks in the response to a claim, in bytes.
    pub max_claim_bytes: usize,
}

/// The section `[routing]`: which agent gets which tasks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// The rules in order. The first rule that applies decides.
    pub rules: Vec<RoutingRule>,
}

/// The section `[approvals]`: which tasks need an approval, and from whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// The rules in order. The first rule that applies, or cannot be evaluated, decides.
    pub rules: Vec<ApprovalRule>,
    /// How many milliseconds an approval waits for a decision, unless its terms say otherwise.
    pub expires_after_ms: Millis,
    /// What happens when that time is over, unless its terms say otherwise.
    pub on_expiry: OnExpiry,
    /// How many approvals agents may cause for a task by asking or retrying, until a human retries.
    pub max_asks: u32,
    /// The milliseconds from the first such approval until the next may come, doubled with each.
    pub ask_backoff_ms: Millis,
    /// The longest time between two such approvals, in milliseconds.
    pub ask_backoff_max_ms: Millis,
    /// The terms of approvals that agents request while they work.
    pub asked: TermsSetting,
    /// The members of each group that terms can name.
    pub groups: Groups,
}

impl Approvals {
    /// Returns the limits of approval requests in the form that the store expects.
    pub(super) fn ask_bounds(&self) -> String {
        format!("{},{},{}", self.max_asks, self.ask_backoff_ms, self.ask_backoff_max_ms)
    }

    /// Returns complete terms: the settings for all approvals give what `setting` leaves out.
    pub fn terms_of(&self, setting: &TermsSetting) -> Terms {
        setting.resolve(self.expires_after_ms, self.on_expiry)
    }
}

/// The section `[sla]`: the deadlines of tasks whose submission does not give any.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlaSettings {
    /// The part of the time after which to warn, in percent.
    pub warn_at_percent: u8,
    /// Whether clocks stop while a task waits for an approval.
    pub exclude_approval_time: bool,
    /// The milliseconds to finish, by priority (`P0`) or type and priority (`deploy/P0`).
    pub targets: Targets,
    /// The time until the first attempt begins, in milliseconds, by the same keys.
    pub start_targets: Targets,
    /// What to do when a threshold passes. Every rule that applies acts.
    pub rules: Vec<SlaRule>,
}

/// The section `[events]`: limits of what clients publish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// What the `source` of CloudEvents begins with; see [`crate::domain::source::is_fleet_source`].
    pub source: String,
    /// The largest size of the payload and metadata of a published event together, in bytes.
    pub max_publish_bytes: usize,
    /// How many bytes of events a caller may publish within a minute.
    pub publish_bytes_per_minute: u64,
}

/// The section `[limits]`: how much one caller may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many calls of [`CallClass::Read`] a caller may make a second, on average over ten
    /// seconds. 0 for no limit, as for the others.
    pub read_per_second: u64,
    /// How many calls of [`CallClass::Write`].
    pub write_per_second: u64,
    /// How many calls of [`CallClass::Claim`].
    pub claim_per_second: u64,
    /// How many calls of [`CallClass::Admin`].
    pub admin_per_second: u64,
    /// How many calls of [`CallClass::Stream`].
    pub stream_per_second: u64,
    /// How many open tasks a caller may have submitted. 0 for no limit.
    pub open_tasks: u64,
    /// How many bytes of payloads and metadata a caller may submit within an hour. 0 for no limit.
    pub submitted_bytes_per_hour: u64,
}

impl Limits {
    /// Returns how many calls of a class a caller may make a second. 0 if there is no limit.
    pub fn calls_per_second(&self, class: CallClass) -> u64 {
        match class {
            CallClass::Read => self.read_per_second,
            CallClass::Write => self.write_per_second,
            CallClass::Claim => self.claim_per_second,
            CallClass::Admin => self.admin_per_second,
            CallClass::Stream => self.stream_per_second,
        }
    }
}

/// The section `[retention]`: how long ended tasks and logs are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many milliseconds a completed, failed or cancelled task is kept, with its approvals.
    pub finished_ms: Millis,
    /// About how many entries of the event log are kept. Tasks that moved together are one entry.
    pub events: u64,
    /// How many bytes of the event log are kept, of all partitions together.
    pub events_bytes: u64,
    /// How many milliseconds an entry of the event log is kept.
    pub events_ms: Millis,
    /// How many milliseconds an entry of the audit log is kept.
    pub audit_ms: Millis,
}

/// The section `[doctor]`: the background check of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// How many milliseconds after the beginning of a check of the whole store the next one begins.
    /// 0 turns the checks off.
    pub every_ms: Millis,
}
