//! Decisions, and what agents ask.

use std::ops::RangeInclusive;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::approval::{Decision, OnRejection, Verdict};
use crate::domain::ids::ApprovalId;
use crate::domain::principal::Role;
use crate::domain::task::Millis;
use crate::engine::{QUORUM, Question, Target};

use super::super::error::Refusal;
use super::super::field::{Faults, Field, Fields, List};
use super::super::json::{Raw, RawObject};
use super::super::text::{GroupName, Text};
use super::super::unknown::{Unknown, requests};
use super::dispatch::{Held, read_held};
use super::{Limits, REASON, RULE};

/// The largest action of a question, in bytes: every event of its approval carries it.
const MAX_ACTION_BYTES: usize = 65_536;

/// The most decisions of one request.
const MAX_DECISIONS: usize = 100;

/// How long an approval may wait, in milliseconds: 1 s to 1 year.
pub(super) const EXPIRES_MS: RangeInclusive<Millis> = 1_000..=365 * 24 * 3_600_000;

/// Yes.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Approve {
    /// What the decider says, 1 to 1,000 characters.
    comment: Field<Option<String>>,
    /// What shall run in place of the payload: a JSON object, nested at most 64 deep.
    payload: Field<Option<RawObject>>,
    /// The digest of what the decider saw. Refused if there is something else to decide by now; needed once an approver
    /// has changed the payload.
    digest: Field<Option<String>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Approve);

/// No.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Reject {
    /// Why, 1 to 1,000 characters; stands on the task as its error.
    reason: Field<Option<String>>,
    /// The same as `reason`, which wins.
    comment: Field<Option<String>>,
    /// The digest of what the decider saw; see `approve`.
    digest: Field<Option<String>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Reject);

/// Up to 100 decisions.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Decisions {
    /// The decisions; each is taken or refused for itself.
    decisions: Field<List<DecisionItem, MAX_DECISIONS>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Decisions);

/// One of several decisions.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "Decision")]
pub struct DecisionItem {
    /// The approval.
    approval_id: Field<Text<ApprovalId>>,
    /// `approve` or `reject`.
    decision: Field<String>,
    /// What the decider says, 1 to 1,000 characters; of a no, stands on the task as its error.
    comment: Field<Option<String>>,
    /// What shall run in place of the payload, with `approve`: a JSON object, nested at most 64 deep.
    payload: Field<Option<RawObject>>,
    /// The digest of what the decider saw; see `approve`.
    digest: Field<Option<String>>,
}

impl Fields for DecisionItem {}

/// A decision with its approval, or what is wrong with it.
type ReadDecision = Result<(ApprovalId, Decision), Refusal>;

/// An agent asks a human before a risky step.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "ApprovalRequest")]
pub struct Ask {
    /// The attempt that the agent holds.
    attempt: Field<u32>,
    /// The lease that the claim was answered with.
    lease: Field<String>,
    /// Why it asks, 1 to 1,000 characters.
    reason: Field<String>,
    /// What it wants to do: any JSON, at most 65,536 bytes.
    action: Field<Option<Raw>>,
    /// What a no leads to: `cancel` ends the task, `return` gives it back to the agent; `cancel` if left out.
    on_rejection: Field<Option<Text<OnRejection>>>,
    /// How long to wait for an answer, in milliseconds, 1 s to 1 year; as configured if left out.
    expires_after_ms: Field<Option<u64>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Ask);

/// The most roles that may be asked instead: as many as there are.
const MAX_ROLES: usize = Role::ALL.len();

/// The most groups that may be asked instead.
const MAX_GROUPS: usize = 20;

/// Others are to decide.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct Retarget {
    /// The approval rule whose people decide, on its terms of today; `asked by the agent` means `approvals.asked`. Not
    /// together with `roles`, `groups` and `quorum`.
    rule: Field<Option<String>>,
    /// Callers of these roles decide.
    roles: Field<Option<List<Text<Role>, MAX_ROLES>>>,
    /// Members of these groups decide.
    groups: Field<Option<List<Text<GroupName>, MAX_GROUPS>>>,
    /// How many must say yes, 1 to 20; as it is if left out.
    quorum: Field<Option<u32>>,
    /// Why, 1 to 1,000 characters; stands in the timeline and in the audit log.
    reason: Field<Option<String>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Retarget);

fn read_comment(faults: &mut Faults, name: &str, comment: Option<String>) -> Option<String> {
    faults.short(name, comment.filter(|text| !text.is_empty()), REASON)
}

fn read_digest(faults: &mut Faults, digest: Field<Option<String>>) -> Option<String> {
    let digest = faults.optional("digest", digest);
    if digest
        .as_ref()
        .is_some_and(|text| text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        faults.add("digest", "must be the 64 hexadecimal digits that the approval shows");
    }
    digest.map(|digest| digest.to_ascii_lowercase())
}

impl Approve {
    /// The decision.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_decision(mut self, limits: &Limits) -> Result<Decision, Refusal> {
        let mut faults = std::mem::take(&mut self.unknown).into_faults();
        let decision = self.read(&mut faults, limits);
        faults.finish(Some(decision))
    }

    fn read(self, faults: &mut Faults, limits: &Limits) -> Decision {
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
    /// The decision; `reason` is the query parameter, for a body that has none.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_decision(self, reason: Option<String>) -> Result<Decision, Refusal> {
        let mut faults = self.unknown.into_faults();
        let comment = faults.optional("comment", self.comment);
        let reason = faults.optional("reason", self.reason).or(reason).or(comment);
        let comment = read_comment(&mut faults, "reason", reason);
        let digest = read_digest(&mut faults, self.digest);
        faults.finish(Some(Decision { verdict: Verdict::Reject, comment, digest }))
    }
}

impl Retarget {
    /// Who decides from now on, and why.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_target(self) -> Result<(Target, Option<String>), Refusal> {
        let mut faults = self.unknown.into_faults();
        let rule = faults.optional("rule", self.rule);
        let rule = faults.short("rule", rule, RULE);
        let roles = faults.optional("roles", self.roles).map(|list| list.0);
        let groups = faults.optional("groups", self.groups);
        let quorum = faults.optional("quorum", self.quorum);
        let quorum = faults.within("quorum", quorum, QUORUM);
        let reason = faults.optional("reason", self.reason);
        let reason = read_comment(&mut faults, "reason", reason);
        let has_people = roles.is_some() || groups.is_some() || quorum.is_some();
        let roles: Vec<_> = roles.into_iter().flatten().map(|role| role.0).collect();
        let groups = groups.into_iter().flat_map(|list| list.0);
        let groups: Vec<_> = groups.map(|group| group.0.0).collect();
        let target = match rule {
            Some(_) if has_people => {
                faults.add("rule", "must not be given together with `roles`, `groups` or `quorum`");
                None
            }
            Some(rule) => Some(Target::Rule(rule)),
            None if roles.is_empty() && groups.is_empty() => {
                faults.add("rule", "is required, unless `roles` or `groups` says who decides");
                None
            }
            None => Some(Target::People { roles, groups, quorum }),
        };
        faults.finish(target.map(|target| (target, reason)))
    }
}

impl Decisions {
    /// Each decision, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// The list itself is missing, empty or too long.
    pub fn into_decisions(self, limits: &Limits) -> Result<Vec<ReadDecision>, Refusal> {
        let (mut faults, mut unknown) = self.unknown.split("decisions");
        let items = faults.required("decisions", self.decisions).map(|list| list.0);
        if items.as_ref().is_some_and(Vec::is_empty) {
            faults.add("decisions", format!("must have 1 to {MAX_DECISIONS} items"));
        }
        let items = faults.finish(items)?;
        let read = |(nth, item): (usize, DecisionItem)| {
            item.read(unknown.take(&format!("/decisions/{nth}")), limits)
        };
        Ok(items.into_iter().enumerate().map(read).collect())
    }
}

impl DecisionItem {
    fn read(self, mut faults: Faults, limits: &Limits) -> Result<(ApprovalId, Decision), Refusal> {
        let id = faults.required("approval_id", self.approval_id);
        let word = faults.required("decision", self.decision);
        let (comment, payload, digest) = (self.comment, self.payload, self.digest);
        let approve = Approve { comment, payload, digest, unknown: Unknown::default() };
        let mut decision = approve.read(&mut faults, limits);
        match (word.as_deref(), &decision.verdict) {
            (Some("reject"), Verdict::Approve { payload: Some(_) }) => {
                faults.add("payload", "goes with `approve` only");
            }
            (Some("reject"), _) => decision.verdict = Verdict::Reject,
            (Some("approve") | None, _) => {}
            (Some(_), _) => faults.add("decision", "must be one of approve, reject"),
        }
        faults.finish(id.map(|id| (id.0, decision)))
    }
}

impl Ask {
    /// The attempt that asks with its lease, and what.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_question(self, limits: &Limits) -> Result<(Held, Question), Refusal> {
        let mut faults = self.unknown.into_faults();
        let held = read_held(&mut faults, self.attempt, self.lease);
        let reason = faults.required("reason", self.reason);
        let reason = faults.short("reason", reason, REASON);
        let action = faults.optional("action", self.action).map(|raw| raw.0);
        let action = faults.sized("action", action, limits.max_json_bytes.min(MAX_ACTION_BYTES));
        let on_rejection = faults
            .optional("on_rejection", self.on_rejection)
            .map(|word| word.0)
            .unwrap_or_default();
        let expires = faults.optional("expires_after_ms", self.expires_after_ms);
        let expires_after_ms = faults.within("expires_after_ms", expires, EXPIRES_MS);
        let question =
            reason.map(|reason| Question { reason, action, on_rejection, expires_after_ms });
        faults.finish(held.zip(question))
    }
}
