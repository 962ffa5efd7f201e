//! Approvals.

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
use super::super::text::Text;
use super::{At, TaskView, at};

/// A request for a human's decision.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Approval")]
pub struct ApprovalView {
    /// Its name for ever.
    pub approval_id: Text<ApprovalId>,
    /// The task that waits for it.
    pub task_id: Text<TaskId>,
    /// Where it stands.
    pub status: Text<ApprovalStatus>,
    /// What it is about: `gate`, whether the task may run, or `ask`, whether its agent may take a step.
    pub kind: String,
    /// The policy rule that asked for it.
    pub rule: String,
    /// What exactly is decided on: SHA-256 of type, payload, agent and version of the task, and of the action.
    pub digest: String,
    /// Who decides, and how.
    pub terms: TermsView,
    /// Which of the levels is asked, from 0.
    pub level: u32,
    /// Who said yes so far.
    pub votes: Vec<VoteView>,
    /// Why the agent asks.
    pub reason: Option<String>,
    /// What the agent wants to do. Absent in lists, unless `include` names the payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub action: Part<Option<Raw>>,
    /// What a no leads to, where an agent asks.
    pub on_rejection: Option<Text<OnRejection>>,
    /// What an approver changed in the payload.
    pub edit: Option<EditView>,
    /// Who submitted the task, or the agent that asks; may not decide.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: At,
    /// When silence is no longer waited for; null: never.
    pub expires_at: Option<At>,
    /// Who decided; `orchestrator` for an expiry.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<At>,
    /// What the decider said.
    pub comment: Option<String>,
    /// The approval of the same task before this one.
    pub previous_approval_id: Option<Text<ApprovalId>>,
}

/// How a decision is made.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalTerms")]
pub struct TermsView {
    /// Who is asked at first and, when they are silent, after them.
    pub levels: Vec<LevelView>,
    /// How many must say yes; one no is enough.
    pub quorum: u32,
    /// Whether a person who wrote the payload is not among those who say yes to it.
    pub four_eyes: bool,
    /// What silence means.
    pub on_expiry: Text<OnExpiry>,
    /// How often those who are asked are reminded, in milliseconds; null: never.
    pub remind_every_ms: Option<u64>,
}

/// Who is asked, and for how long.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalLevel")]
pub struct LevelView {
    /// Callers of these roles may decide; with no group either: everybody who may decide approvals.
    pub roles: Vec<Text<Role>>,
    /// Members of these groups may decide.
    pub groups: Vec<String>,
    /// How long they are waited for, in milliseconds.
    pub expires_after_ms: u64,
}

/// One yes.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalVote")]
pub struct VoteView {
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// What he said.
    pub comment: Option<String>,
}

/// A payload that an approver changed.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "ApprovalEdit")]
pub struct EditView {
    /// Who did, last.
    pub by: String,
    /// The payload as it was submitted; the task has what will run. Absent in lists, unless `include` names the payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub original_payload: Part<RawObject>,
    /// Where they differ: a list of `{pointer, before, after}`, the values null where there is none. Beyond 1,000 changes
    /// or 256 KiB the last entry says with `omitted` how many more there are. Absent in lists, unless `include` names the
    /// payload.
    #[serde(skip_serializing_if = "Part::is_left_out")]
    pub changes: Part<Raw>,
}

/// A request for a decision, with the task that waits for it.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalDetail {
    /// The request.
    #[serde(flatten)]
    #[oai(flatten)]
    pub approval: ApprovalView,
    /// The agent that will get the task.
    pub agent: Text<Name>,
    /// The task.
    pub task: TaskView,
}

/// A page of approvals, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ApprovalPage {
    /// The approvals.
    pub items: Vec<ApprovalView>,
    /// What to send as `cursor` for the next page; null: this was the last.
    pub next_cursor: Option<String>,
}

/// What became of each decision, in order.
#[derive(Clone, Debug, Serialize, Object)]
pub struct DecisionsResult {
    /// One entry a decision.
    pub results: Vec<DecisionResult>,
}

/// What became of one decision.
#[derive(Clone, Debug, Serialize, Object)]
pub struct DecisionResult {
    /// The status that the decision would have had alone: 200, or that of the problem.
    pub status: u16,
    /// The approval after it, if it was taken; without `action`, `original_payload` and `changes`.
    pub approval: Option<ApprovalView>,
    /// Why not, if it was refused.
    pub problem: Option<Problem>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        let kind = approval.asked.as_str().to_owned();
        let (reason, action, on_rejection) = match approval.asked {
            Asked::Gate => (None, None, None),
            Asked::Step { reason, action, on_rejection } => {
                (Some(reason), action.map(Raw), Some(Text(on_rejection)))
            }
        };
        Self {
            approval_id: Text(approval.id),
            task_id: Text(approval.task),
            status: Text(approval.status),
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
            previous_approval_id: approval.previous.map(Text),
        }
    }
}

impl From<Terms> for TermsView {
    fn from(terms: Terms) -> Self {
        Self {
            levels: terms.levels.into_iter().map(LevelView::from).collect(),
            quorum: terms.quorum,
            four_eyes: terms.four_eyes,
            on_expiry: Text(terms.on_expiry),
            remind_every_ms: terms.remind_every_ms,
        }
    }
}

impl From<Level> for LevelView {
    fn from(level: Level) -> Self {
        let roles = level.roles.into_iter().map(Text).collect();
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

impl From<(Approval, Task)> for ApprovalDetail {
    fn from((approval, task): (Approval, Task)) -> Self {
        let agent = Text(task.agent.clone());
        // It stands beside its task here, not within it too.
        Self { approval: approval.into(), agent, task: Task { asked: None, ..task }.into() }
    }
}

impl ApprovalView {
    /// The view without what holds payloads, unless it `has_all`.
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
    /// The page, whose approvals were read with what holds payloads or without.
    pub fn new(page: Page<Approval>, has_all: bool) -> Self {
        let items = page.items.into_iter().map(|one| ApprovalView::from(one).with(has_all));
        Self { items: items.collect(), next_cursor: page.next_cursor }
    }
}

impl DecisionResult {
    /// The entry of a decision that was refused; `base` is where it stands in the body.
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
