//! Approvals: listing and reading them, decisions of approvers, and approval requests of agents.

use serde_json::value::RawValue;

use crate::domain::approval::{
    Approval, ApprovalStatus, Asked, Decision, OnRejection, TermsSetting, Verdict,
};
use crate::domain::content::{self, Content};
use crate::domain::decision::Bar;
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lease::{self, Attempt, Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::rules;
use crate::domain::task::Task;
use crate::domain::time::Millis;
use crate::store::lists::Order;
use crate::store::{Decided, Gate, NewContent};

use super::cursors::{End, read_cursor, write_cursor};
use super::restrictions::allow;
use super::tasks::{LEAST_ROOM, LOOKED_AT, refuse};
use super::{Engine, Error, PAGE_BYTES, Page};

/// The rule name of approvals that an agent requested.
pub(super) const ASKED_BY_AGENT: &str = "asked by the agent";

impl Engine {
    /// Returns a page of approvals, newest first: pending ones by their expiry, others by their
    /// decision.
    ///
    /// * `statuses`: the statuses to list; all if it is empty.
    /// * `limit`: 1 to 200. A page can be shorter although more follow: it has at most
    ///   [`PAGE_BYTES`] and one approval.
    /// * `has_all`: whether to read the parts that hold payloads too; they are empty otherwise.
    pub async fn approvals(
        &self,
        statuses: &[ApprovalStatus],
        limit: usize,
        cursor: Option<&str>,
        has_all: bool,
    ) -> Result<Page<Approval>, Error> {
        self.approvals_of(None, statuses, limit, cursor, has_all).await
    }

    /// Returns a page as [`Engine::approvals`] does, of the approvals that this tenant sees. `None`
    /// sees all.
    pub async fn approvals_of(
        &self,
        tenant: Option<&Name>,
        statuses: &[ApprovalStatus],
        limit: usize,
        cursor: Option<&str>,
        has_all: bool,
    ) -> Result<Page<Approval>, Error> {
        let statuses = if statuses.is_empty() { &ApprovalStatus::ALL } else { statuses };
        let words: Vec<_> = statuses.iter().map(|status| status.as_str()).collect();
        let list = format!("approvals-{}", words.join("-"));
        let mut end = End::at(cursor.map(|text| read_cursor(&list, text)).transpose()?);
        let which = (statuses, Order::Descending);
        let (mut items, mut looked_at, mut room) = (Vec::new(), 0, PAGE_BYTES);
        loop {
            let wanted = limit - items.len();
            let listed = self.store.list_approvals(which, end.last(), wanted, (has_all, room));
            let listed = listed.await?;
            let is_last = listed.rows.len() < wanted && !listed.is_cut;
            looked_at += listed.rows.len();
            for (place, approval) in listed.rows {
                let is_seen = |one: &Approval| tenant.is_none() || one.tenant().as_ref() == tenant;
                let approval = approval.filter(is_seen);
                end.move_to(place, approval.is_some());
                if let Some(approval) = approval {
                    room = room.saturating_sub(approval.bytes());
                    items.push(approval);
                }
            }
            if is_last {
                return Ok(Page { items, next_cursor: None });
            }
            let is_full = items.len() == limit || room < LEAST_ROOM || listed.is_cut;
            if tenant.is_none() || is_full || looked_at >= LOOKED_AT {
                let next_cursor = end.of(tenant).map(|place| write_cursor(&list, &place));
                return Ok(Page { items, next_cursor });
            }
        }
    }

    /// Returns the approval and the task that it is for.
    pub async fn approval(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        if !self.store.has(id.partition()) {
            return Err(Error::UnknownApproval(id));
        }
        let found = self.store.read_approval(id).await?;
        let approval = found.ok_or(Error::UnknownApproval(id))?;
        let task = self.task(approval.task).await?;
        Ok((approval, task))
    }

    /// Records a decision. Exactly one decision is final; a later one is refused with the name of
    /// the first approver. An approval counts towards the quorum. Two credentials of one person
    /// count as one caller.
    ///
    /// # Errors
    ///
    /// [`Error::NotAsked`] if the approval asks other approvers, [`Error::OwnSubmission`] if the
    /// caller submitted the task or requested the approval, [`Error::OwnContent`] if four eyes are
    /// required and the caller edited the content, [`Error::AlreadyVoted`] if the caller approved
    /// it before, [`Error::ContentChanged`] if the content is not what the caller saw,
    /// [`Error::AlreadyDecided`] if there is a final decision.
    pub async fn decide(
        &self,
        caller: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        loop {
            let (approval, task) = self.approval_for(caller, id).await?;
            let is_open = approval.status == ApprovalStatus::Pending;
            let bar = self.settings.directory().bar(caller, &approval, &task, &decision.verdict);
            match bar.filter(|bar| is_open || matches!(bar, Bar::NotAsked(_))) {
                Some(Bar::NotAsked(asked)) => return Err(Error::NotAsked { id, asked }),
                Some(Bar::Own) => return Err(Error::OwnSubmission(id)),
                Some(Bar::OwnContent) => return Err(Error::OwnContent(id)),
                Some(Bar::Voted) => return Err(Error::AlreadyVoted(id)),
                None => {}
            }
            let is_seen = match &decision.digest {
                // A caller that sends no digest may have seen the submitted content only.
                None => approval.edit.is_none(),
                Some(digest) => *digest == approval.digest || !is_open,
            };
            if !is_seen {
                return Err(Error::ContentChanged { id, digest: approval.digest });
            }
            let verb = match decision.verdict {
                Verdict::Approve { .. } => Verb::Approve,
                Verdict::Reject => Verb::Reject,
            };
            let decided = self.judge(caller, &approval, &task, &decision).await?;
            if let Some(done) = self.outcome(&approval, verb, decided).await? {
                return Ok(done);
            }
        }
    }

    /// Returns the approval after a change. `None` if another came first: it must be read again.
    pub(super) async fn outcome(
        &self,
        approval: &Approval,
        verb: Verb,
        decided: Decided,
    ) -> Result<Option<(Approval, Task)>, Error> {
        let id = approval.id;
        match decided {
            Decided::Done | Decided::Voted => self.approval(id).await.map(Some),
            Decided::Stale => Ok(None),
            Decided::Unknown => Err(Error::UnknownApproval(id)),
            Decided::Already { status, at, by } => {
                Err(Error::AlreadyDecided { id, status, by, at })
            }
            Decided::Illegal(state) => Err(Error::Illegal { id: approval.task, state, verb }),
        }
    }

    /// Passes a decision to the store, with the digest of the new content if the approver edits it.
    async fn judge(
        &self,
        caller: &Principal,
        approval: &Approval,
        task: &Task,
        decision: &Decision,
    ) -> Result<Decided, Error> {
        let Verdict::Approve { payload: Some(payload) } = &decision.verdict else {
            return Ok(self.store.decide(approval, caller, decision, None).await?);
        };
        let action = match &approval.asked {
            Asked::Step { action, .. } => action.as_deref(),
            Asked::Gate => None,
        };
        let content = Content { version: task.version + 1, payload, ..task.content(action) };
        let original = approval.edit.as_ref().map_or(&task.spec.payload, |edit| &edit.original);
        let changes = serde_json::to_string(&content::changes(original, payload));
        let changes = changes.map_err(|error| Error::Corrupt(Box::new(error)))?;
        let digest = content.digest();
        let edit = NewContent { task, payload, digest: &digest, original, changes: &changes };
        Ok(self.store.decide(approval, caller, decision, Some(&edit)).await?)
    }

    /// Returns an approval in place of a lost one, for every caller whose role decides approvals.
    pub(super) fn lost_gate(&self) -> Gate {
        Gate {
            id: ApprovalId::new(Partition(0)),
            digest: String::new(),
            rule: "the first request for an approval was lost".to_owned(),
            terms: self.settings.approvals.terms_of(&TermsSetting::default()),
        }
    }

    /// Returns the approval that the current rules require before `task` may run again. `None` if
    /// it needs none. A task that needed an approval before needs one again, even if its rule no
    /// longer exists.
    pub(super) fn gate_of_today(&self, task: &Task) -> Option<Gate> {
        let settings = &self.settings.approvals;
        let plain = TermsSetting::default();
        let (rule, terms) = match rules::required_approval(&settings.rules, &task.spec) {
            Some(rule) => (rule.name.as_str(), &rule.terms),
            None if task.approval.is_some() => ("it needed an approval before", &plain),
            None => return None,
        };
        Some(Gate {
            id: ApprovalId::new(task.id.partition()),
            digest: task.content(None).digest(),
            rule: rule.to_owned(),
            terms: settings.terms_of(terms),
        })
    }

    /// Records an approval request of the agent that holds the task. Its lease ends, and the
    /// decision is on the task when the task is claimed again.
    ///
    /// # Errors
    ///
    /// Those of every report: [`Error::LeaseLost`], [`Error::TaskCancelled`], [`Error::Illegal`].
    /// Also [`Error::AsksExhausted`] and [`Error::AskedTooSoon`], which leave the lease as it is.
    pub async fn ask(
        &self,
        caller: &Principal,
        id: TaskId,
        (attempt, lease): (Attempt, &Lease),
        question: Question,
    ) -> Result<(Approval, Task), Error> {
        let task = self.task(id).await?;
        allow(caller, id, Some(&task.agent))?;
        let settings = &self.settings.approvals;
        let mut terms = settings.terms_of(&settings.asked);
        if let (Some(first), Some(expires)) = (terms.levels.first_mut(), question.expires_after_ms)
        {
            first.expires_after_ms = expires;
        }
        // In canonical form, the event holds it in one line.
        let action = question.action.as_deref().map(content::canonical);
        let digest = task.content(question.action.as_deref()).digest();
        let rule = ASKED_BY_AGENT.to_owned();
        let gate = Gate { id: ApprovalId::new(id.partition()), digest, rule, terms };
        let request = (question.reason.as_str(), action.as_deref(), question.on_rejection);
        let digest = question.digest();
        let proof = (Proof::Lease(attempt, lease), digest.as_str());
        let actor = caller.to_string();
        let bounds = settings.ask_bounds();
        let answer = self.store.ask(id, &actor, proof, &gate, request, &bounds).await?;
        refuse(id, Verb::Ask, attempt, answer)?;
        let task = self.task(id).await?;
        match task.approval {
            Some(approval) => self.approval(approval).await,
            None => Err(Error::Corrupt("a task that asked has no approval".into())),
        }
    }
}

/// An approval request of an agent that holds a task.
#[derive(Clone, Debug)]
pub struct Question {
    /// Why the agent asks, in 1 to 1,000 characters.
    pub reason: String,
    /// What the agent wants to do: any JSON. `None` if the reason says it all.
    pub action: Option<Box<RawValue>>,
    /// What happens to the task if the request is rejected or expires.
    pub on_rejection: OnRejection,
    /// How many milliseconds the first level has to decide. `None` means the configured time.
    pub expires_after_ms: Option<Millis>,
}

impl Question {
    /// Identifies the request among all requests of an attempt: 12 characters.
    fn digest(&self) -> String {
        let action = self.action.as_ref().map_or("", |action| action.get());
        let expires = format!("{:?}", self.expires_after_ms);
        let parts = [&self.reason, action, self.on_rejection.as_str(), &expires];
        lease::digest(&parts)
    }
}
