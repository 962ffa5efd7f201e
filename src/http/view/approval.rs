//! Approvals as clients see them.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::approval::{
    Approval, ApprovalStatus, Asked, Edit, Level, OnExpiry, OnRejection, Terms, Vote,
};
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::name::Name;
use crate::domain::principal::Role;
use crate::domain::task::Task;
use crate::engine::{Error, Page};

use super::super::error::{Problem, Refusal};
use super::super::json::{Raw, RawObject};
use super::super::part::Part;
use super::{At, at};

/// A request for a human's decision.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Approval")]
pub struct ApprovalView {
    /// The id of the approval, which never changes.
    pub approval_id: ApprovalId,
    /// The task that waits for the decision.
    pub task_id: TaskId,
    /// The type of the task.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub task_kind: Name,
    /// What the task is about; null if its client did not say.
    pub title: Option<String>,
    /// The agent that will get the task; null in lists if an older version requested the approval.
    pub agent: Option<Name>,
    /// The tenant that the task belongs to; absent if it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// The status of the approval.
    pub status: ApprovalStatus,
    /// What the approval is about: `gate`, whether the task may run, or `ask`, whether its agent
    /// may take a step.
    pub kind: String,
    /// The approval rule that requires the decision.
    pub rule: String,
    /// Exactly what is decided on: SHA-256 of type, payload, agent and version of the task, and of
    /// the action.
    pub digest: String,
    /// Who decides, how many must approve, and by when.
    pub terms: TermsView,
    /// The index of the level whose approvers decide now, from 0.
    pub level: u32,
    /// Who has approved so far.
    pub votes: Vec<VoteView>,
    /// Why the agent requests an approval; null for a `gate`.
    pub reason: Option<String>,
    /// The step that the agent wants to take. Absent in lists, unless `include` names the payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub action: Part<Option<Raw>>,
    /// What a rejection of an agent's request leads to; null for a `gate`.
    pub on_rejection: Option<OnRejection>,
    /// The change of the payload by an approver; null if there is none.
    pub edit: Option<EditView>,
    /// Who submitted the task, or the agent that requests; may not decide.
    pub requested_by: String,
    /// When the approval was requested.
    pub requested_at: At,
    /// When the current level expires; null if it does not.
    pub expires_at: Option<At>,
    /// Who decided; `orchestrator` if the approval expired.
    pub decided_by: Option<String>,
    /// When the approval was decided; null while it is pending.
    pub decided_at: Option<At>,
    /// The remark or reason that the approver gave.
    pub comment: Option<String>,
    /// The approval of the same task before this one.
    pub previous_approval_id: Option<ApprovalId>,
}

/// The terms of a decision: who decides, and how many must approve.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalTerms")]
pub struct TermsView {
    /// The levels of approvers: the first ones and, each time a level expires, the next.
    pub levels: Vec<LevelView>,
    /// How many approvers must approve; one rejection is enough.
    pub quorum: u32,
    /// Whether the person who wrote the payload is barred from approving it.
    pub four_eyes: bool,
    /// What happens when the last level expires.
    pub on_expiry: OnExpiry,
    /// How often the approvers are reminded, in milliseconds; null if never.
    pub remind_every_ms: Option<u64>,
}

/// The approvers of one level, and how long they have.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalLevel")]
pub struct LevelView {
    /// The roles whose callers may decide; if `groups` is empty too, any approver may.
    pub roles: Vec<Role>,
    /// The groups whose members may decide.
    pub groups: Vec<String>,
    /// How long the level has to decide, in milliseconds.
    pub expires_after_ms: u64,
}

/// One approval of several that the quorum needs.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalVote")]
pub struct VoteView {
    /// The caller who approved.
    pub by: String,
    /// When the caller approved, in RFC 3339.
    pub at: String,
    /// The remark of the approver, if there is one.
    pub comment: Option<String>,
}

/// A change of the payload by an approver.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "PayloadEdit")]
pub struct EditView {
    /// The approver who changed the payload last.
    pub by: String,
    /// The payload as it was submitted; the task shows what will run. Absent in lists, unless
    /// `include` names the payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub original_payload: Part<RawObject>,
    /// The differences: a list of `{pointer, before, after}`, whose values are null where there is
    /// none. Beyond 1,000 changes or 256 KiB the last entry says in `omitted` how many more there
    /// are. Absent in lists, unless `include` names the payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub changes: Part<Raw>,
}

/// A page of approvals, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalPage {
    /// The approvals of the page.
    pub items: Vec<ApprovalView>,
    /// The `cursor` of the next page; null if this is the last page.
    pub next_cursor: Option<String>,
}

/// The results of several decisions.
#[derive(Clone, Debug, Serialize, Object)]
pub struct DecisionsResult {
    /// One result for each decision, in their order.
    pub results: Vec<DecisionResult>,
}

/// The result of one decision.
#[derive(Clone, Debug, Serialize, Object)]
pub struct DecisionResult {
    /// The status that the decision would have had alone: 200, or that of the problem.
    pub status: u16,
    /// The approval after the decision, if it was accepted; without `action`, `original_payload`
    /// and `changes`.
    pub approval: Option<ApprovalView>,
    /// Why the decision was refused; null if it was accepted.
    pub problem: Option<Problem>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        let kind = approval.asked.as_str().to_owned();
        let mut reason = None;
        let mut action = None;
        let mut on_rejection = None;
        match approval.asked {
            Asked::Gate => {}
            Asked::Step { reason: why, action: step, on_rejection: rejection } => {
                reason = Some(why);
                action = step.map(Raw);
                on_rejection = Some(rejection);
            }
        }
        Self {
            approval_id: approval.id,
            task_id: approval.task,
            task_kind: approval.heading.kind,
            title: approval.heading.title,
            agent: approval.heading.agent.as_ref().map(Name::agent),
            tenant: approval.heading.agent.and_then(|subject| subject.tenant()),
            status: approval.status,
            kind,
            rule: approval.rule,
            digest: approval.digest,
            terms: approval.terms.into(),
            level: u32::try_from(approval.level).unwrap_or(u32::MAX),
            votes: approval.votes.into_iter().map(VoteView::from).collect(),
            reason,
            action: Part::Shown(action),
            on_rejection,
            edit: approval.edit.map(EditView::from),
            requested_by: approval.requested_by,
            requested_at: at(approval.requested_at),
            expires_at: approval.expires_at.map(at),
            decided_by: approval.decided_by,
            decided_at: approval.decided_at.map(at),
            comment: approval.comment,
            previous_approval_id: approval.previous,
        }
    }
}

impl From<Terms> for TermsView {
    fn from(terms: Terms) -> Self {
        Self {
            levels: terms.levels.into_iter().map(LevelView::from).collect(),
            quorum: terms.quorum,
            four_eyes: terms.four_eyes,
            on_expiry: terms.on_expiry,
            remind_every_ms: terms.remind_every_ms,
        }
    }
}

impl From<Level> for LevelView {
    fn from(level: Level) -> Self {
        let roles = level.roles.into_iter().collect();
        Self { roles, groups: level.groups, expires_after_ms: level.expires_after_ms }
    }
}

impl From<Vote> for VoteView {
    fn from(vote: Vote) -> Self {
        Self { by: vote.by, at: vote.at, comment: vote.comment }
    }
}

impl From<Edit> for EditView {
    fn from(edit: Edit) -> Self {
        Self {
            by: edit.by,
            original_payload: Part::Shown(RawObject(edit.original)),
            changes: Part::Shown(Raw(edit.changes)),
        }
    }
}

impl ApprovalView {
    /// The view without the members that hold payloads, unless `has_all`.
    pub fn with(mut self, has_all: bool) -> Self {
        self.action.keep_if(has_all);
        if let Some(edit) = &mut self.edit {
            edit.original_payload.keep_if(has_all);
            edit.changes.keep_if(has_all);
        }
        self
    }
}

impl ApprovalPage {
    /// Builds the page; `has_all` says whether the approvals were read with the members that hold
    /// payloads.
    pub fn new(page: Page<Approval>, has_all: bool) -> Self {
        let items = page.items.into_iter().map(|one| ApprovalView::from(one).with(has_all));
        Self { items: items.collect(), next_cursor: page.next_cursor }
    }
}

impl DecisionResult {
    /// The entry of a refused decision; `base` is its place in the body.
    pub fn refused(refusal: Refusal, base: &str) -> Self {
        let problem = refusal.into_problem(base);
        Self { status: problem.status, approval: None, problem: Some(problem) }
    }
}

impl From<Result<(Approval, Task), Error>> for DecisionResult {
    fn from(result: Result<(Approval, Task), Error>) -> Self {
        match result {
            Ok((approval, _)) => {
                let approval = ApprovalView::from(approval).with(false);
                Self { status: 200, approval: Some(approval), problem: None }
            }
            Err(error) => Self::refused(error.into(), ""),
        }
    }
}
