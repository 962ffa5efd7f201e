//! Decisions of approvers, and approval requests of agents.

use std::ops::RangeInclusive;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::approval::{Decision, OnRejection, Verdict};
use crate::domain::ids::ApprovalId;
use crate::domain::principal::Role;
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::engine::{QUORUM, Question, Target};

use super::super::bounds::{LEASE, Number, REASON, Text};
use super::super::error::Refusal;
use super::super::field::{Faults, Field, List};
use super::super::json::{Raw, RawObject};
use super::super::text::{Choice, ShortText};
use super::super::unknown::Unknown;
use super::Limits;
use super::dispatch::{Held, read_held};

/// The range of the time until an approval expires, in milliseconds: 1 s to 1 year.
const EXPIRES_MS: RangeInclusive<Millis> = 1_000..=365 * 24 * 3_600_000;

/// The bound of the name of an approval rule.
const RULE: Bound = Bound { chars: 256, bytes: 1_024 };

/// The bound of a SHA-256 digest in hexadecimal.
const DIGEST: Bound = Bound { chars: 64, bytes: 64 };

/// The bounds of numbers in these bodies.
pub const NUMBERS: &[Number] = &[
    ("ApprovalRequest", "expires_after_ms", *EXPIRES_MS.start(), *EXPIRES_MS.end()),
    ("Retarget", "quorum", *QUORUM.start() as u64, *QUORUM.end() as u64),
];

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[
    ("ApprovalRequest", "lease", LEASE),
    ("ApprovalRequest", "reason", REASON),
    ("Retarget", "rule", RULE),
    ("Retarget", "reason", REASON),
    ("Approve", "comment", REASON),
    ("Approve", "digest", DIGEST),
    ("Reject", "comment", REASON),
    ("Reject", "reason", REASON),
    ("Reject", "digest", DIGEST),
    ("DecisionItem", "comment", REASON),
    ("DecisionItem", "digest", DIGEST),
];

/// The largest `action` of an approval request, in bytes: every event of its approval carries it.
const MAX_ACTION_BYTES: usize = 65_536;

const MAX_DECISIONS: usize = 100;

/// Approves what the approval shows.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Approve {
    /// A remark of the approver, 1 to 1,000 characters; shown with the approval.
    comment: Field<Option<String>>,
    /// What runs instead of the submitted payload: a JSON object, nested at most 64 deep.
    payload: Field<Option<RawObject>>,
    /// The digest that the approver saw. The decision is refused if the content has changed since
    /// then. Required once an approver has changed the payload.
    digest: Field<Option<String>>,
}

/// Rejects what the approval shows.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Reject {
    /// Why, 1 to 1,000 characters; becomes the error of the task.
    reason: Field<Option<String>>,
    /// The same as `reason`, which wins if both are given.
    comment: Field<Option<String>>,
    /// The digest that the approver saw; see `approve`.
    digest: Field<Option<String>>,
}

/// Up to 100 decisions on approvals.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "DecisionBatch")]
pub struct Decisions {
    /// The decisions; each is accepted or refused on its own.
    decisions: Field<List<DecisionItem, MAX_DECISIONS>>,
}

/// One of several decisions.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "DecisionItem")]
pub struct DecisionItem {
    /// The approval to decide on.
    approval_id: Field<ApprovalId>,
    /// What the approver decides.
    decision: Field<Choice>,
    /// A remark of the approver, 1 to 1,000 characters; of a rejection, it becomes the error of the
    /// task.
    comment: Field<Option<String>>,
    /// With `approve`: what runs instead of the submitted payload, a JSON object nested at most 64
    /// deep.
    payload: Field<Option<RawObject>>,
    /// The digest that the approver saw; see `approve`.
    digest: Field<Option<String>>,
}

/// A decision with its approval, or the refusal of a malformed one.
type ReadDecision = Result<(ApprovalId, Decision), Refusal>;

/// An agent's request that a human approves a risky step before the agent takes it.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "ApprovalRequest")]
pub struct Ask {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim returned with the attempt.
    lease: Field<String>,
    /// Why the agent needs an approval, 1 to 1,000 characters; shown to the approvers.
    reason: Field<String>,
    /// The step that the agent wants to take: any JSON, at most 65,536 bytes.
    action: Field<Option<Raw>>,
    /// What a rejection leads to: `cancel` ends the task, `return` gives it back to the agent;
    /// `cancel` if left out.
    on_rejection: Field<Option<OnRejection>>,
    /// How long to wait for a decision, in milliseconds, 1 s to 1 year; as configured if left out.
    expires_after_ms: Field<Option<u64>>,
}

/// The most roles of a new target: as many as there are.
const MAX_ROLES: usize = Role::ALL.len();

const MAX_GROUPS: usize = 20;

/// Moves an approval to other approvers.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Retarget {
    /// The approval rule whose approvers decide, on its current terms; `asked by the agent` means
    /// `approvals.asked`. Not together with `roles`, `groups` and `quorum`.
    rule: Field<Option<String>>,
    /// The roles whose callers decide.
    roles: Field<Option<List<Role, MAX_ROLES>>>,
    /// The groups whose members decide.
    groups: Field<Option<List<ShortText, MAX_GROUPS>>>,
    /// How many approvers must approve, 1 to 20; unchanged if left out.
    quorum: Field<Option<u32>>,
    /// Why, 1 to 1,000 characters; shown in the timeline and in the audit log.
    reason: Field<Option<String>>,
}

/// A remark or reason; an empty one is none.
pub(super) fn read_comment(
    faults: &mut Faults,
    name: &str,
    comment: Option<String>,
) -> Option<String> {
    faults.short(name, Field::Given(comment.filter(|text| !text.is_empty())), REASON)
}

fn read_digest(faults: &mut Faults, digest: Field<Option<String>>) -> Option<String> {
    let digest = faults.optional("digest", digest);
    let is_digest =
        |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digest.as_ref().is_some_and(|text| !is_digest(text)) {
        faults.add("digest", "must be the 64 hexadecimal digits that the approval shows");
    }
    digest.map(|digest| digest.to_ascii_lowercase())
}

impl Approve {
    /// Returns the decision that this body makes.
    pub fn into_decision(self, faults: &mut Faults, limits: &Limits) -> Decision {
        let comment = faults.optional("comment", self.comment);
        let comment = read_comment(faults, "comment", comment);
        let payload = faults.optional("payload", self.payload).map(|object| object.0);
        let payload = faults.sized("payload", payload, limits.max_json_bytes);
        Decision {
            verdict: Verdict::Approve { payload },
            comment,
            digest: read_digest(faults, self.digest),
        }
    }
}

impl Reject {
    /// Returns the decision; `reason` is the query parameter, which a body without a reason falls
    /// back to.
    pub fn into_decision(self, faults: &mut Faults, reason: Option<String>) -> Decision {
        let comment = faults.optional("comment", self.comment);
        let reason = faults.optional("reason", self.reason).or(reason).or(comment);
        let comment = read_comment(faults, "reason", reason);
        Decision { verdict: Verdict::Reject, comment, digest: read_digest(faults, self.digest) }
    }
}

impl Retarget {
    /// Returns the new target, and the reason for the move.
    pub fn into_target(self, faults: &mut Faults) -> Option<(Target, Option<String>)> {
        let rule = faults.short("rule", self.rule, RULE);
        let roles = faults.optional("roles", self.roles).map(|list| list.0);
        let groups = faults.optional("groups", self.groups);
        let quorum = faults.within("quorum", self.quorum, QUORUM);
        let reason = faults.optional("reason", self.reason);
        let reason = read_comment(faults, "reason", reason);
        let has_people = roles.is_some() || groups.is_some() || quorum.is_some();
        let roles: Vec<_> = roles.into_iter().flatten().collect();
        let groups = groups.into_iter().flat_map(|list| list.0);
        let groups: Vec<_> = groups.map(|group| group.0).collect();
        let detail = match rule {
            Some(_) if has_people => {
                "must not be given together with `roles`, `groups` or `quorum`"
            }
            Some(rule) => return Some((Target::Rule(rule), reason)),
            None if roles.is_empty() && groups.is_empty() => {
                "is required, unless `roles` or `groups` says who decides"
            }
            None => return Some((Target::People { roles, groups, quorum }, reason)),
        };
        faults.add("rule", detail);
        None
    }
}

impl Decisions {
    /// Returns each decision, or the refusal of a malformed one.
    ///
    /// # Errors
    ///
    /// The list itself is missing, empty or too long.
    pub fn into_decisions(
        self,
        unknown: Unknown,
        limits: &Limits,
    ) -> Result<Vec<ReadDecision>, Refusal> {
        unknown.read_items("decisions", self.decisions, |item, mut faults| {
            let decision = item.read(&mut faults, limits);
            Ok(faults.finish(decision)?)
        })
    }
}

impl DecisionItem {
    fn read(self, faults: &mut Faults, limits: &Limits) -> Option<(ApprovalId, Decision)> {
        let id = faults.required("approval_id", self.approval_id);
        let choice = faults.required("decision", self.decision);
        let approve = Approve { comment: self.comment, payload: self.payload, digest: self.digest };
        let mut decision = approve.into_decision(faults, limits);
        match (choice, &decision.verdict) {
            (Some(Choice::Reject), Verdict::Approve { payload: Some(_) }) => {
                faults.add("payload", "is only allowed with `approve`");
            }
            (Some(Choice::Reject), _) => decision.verdict = Verdict::Reject,
            (Some(Choice::Approve) | None, _) => {}
        }
        Some((id?, decision))
    }
}

impl Ask {
    /// Returns the attempt and lease of the agent, and its question.
    pub fn into_question(self, faults: &mut Faults, limits: &Limits) -> Option<(Held, Question)> {
        let held = read_held(faults, self.attempt, self.lease);
        let reason = faults.required("reason", self.reason);
        let reason = faults.short("reason", Field::Given(reason), REASON);
        let action = faults.optional("action", self.action).map(|raw| raw.0);
        let action = faults.sized("action", action, limits.max_json_bytes.min(MAX_ACTION_BYTES));
        let on_rejection = faults.optional("on_rejection", self.on_rejection).unwrap_or_default();
        let expires_after_ms = faults.within("expires_after_ms", self.expires_after_ms, EXPIRES_MS);
        Some((held?, Question { reason: reason?, action, on_rejection, expires_after_ms }))
    }
}
