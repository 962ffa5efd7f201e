//! Humans decide.

use serde_json::value::RawValue;

use crate::domain::approval::{
    Approval, ApprovalStatus, Asked, Decision, OnRejection, TermsSetting, Verdict,
};
use crate::domain::content::{self, Content};
use crate::domain::decision::Bar;
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lease::{self, Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::policy;
use crate::domain::principal::Principal;
use crate::domain::task::{Attempt, Millis, Task};
use crate::store::{Decided, Gate, NewContent};

use super::tasks::{read_cursor, refuse, write_cursor};
use super::{Engine, Error, PAGE_BYTES, Page};

/// What stands in place of a rule's name where an agent asks.
pub(super) const ASKED_BY_AGENT: &str = "asked by the agent";

impl Engine {
    /// A page of approvals, newest first: pending ones by their expiry, others by their decision.
    ///
    /// * `statuses`: which; empty: all.
    /// * `limit`: 1 to 200. A page may be short though more follow: it has at most [`PAGE_BYTES`] and one approval.
    /// * `has_all`: also what holds payloads, which is empty without.
    pub async fn approvals(
        &self,
        statuses: &[ApprovalStatus],
        limit: usize,
        cursor: Option<&str>,
        has_all: bool,
    ) -> Result<Page<Approval>, Error> {
        let statuses = if statuses.is_empty() { &ApprovalStatus::ALL } else { statuses };
        let words: Vec<_> = statuses.iter().map(|status| status.as_str()).collect();
        let list = format!("approvals-{}", words.join("-"));
        let from = cursor.map(|text| read_cursor(&list, text)).transpose()?;
        let room = (has_all, PAGE_BYTES);
        let listed = self.store.list_approvals(statuses, from.as_ref(), limit, room).await?;
        let is_last = listed.rows.len() < limit && !listed.is_cut;
        let last = listed.rows.last().filter(|_| !is_last);
        let next_cursor = last.map(|(place, _)| write_cursor(&list, place));
        let items = listed.rows.into_iter().filter_map(|(_, approval)| approval);
        Ok(Page { items: items.collect(), next_cursor })
    }

    /// The approval, and the task that it is for.
    pub async fn approval(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        if !self.store.has(id.partition()) {
            return Err(Error::UnknownApproval(id));
        }
        let found = self.store.read_approval(id).await?;
        let approval = found.ok_or(Error::UnknownApproval(id))?;
        let task = self.task(approval.task).await?;
        Ok((approval, task))
    }

    /// Decides. Exactly one decision stands; whoever comes later is told whose. A yes counts towards the quorum.
    ///
    /// # Errors
    ///
    /// [`Error::NotAsked`] if others are to decide, [`Error::OwnSubmission`] if the caller submitted the task or asked,
    /// [`Error::OwnContent`] if four eyes are wanted and the caller wrote the content, [`Error::AlreadyVoted`] if the
    /// caller said yes before, [`Error::ContentChanged`] if there is something else to decide than what the caller saw,
    /// [`Error::AlreadyDecided`] if there is a decision. Two credentials of one person are one caller.
    pub async fn decide(
        &self,
        caller: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        loop {
            let (approval, task) = self.approval(id).await?;
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
                // A caller who does not say what it saw may have seen what was submitted.
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

    /// The approval after a change of it; none: something else changed it first, so that it must be looked at again.
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

    /// Hands a decision to the store, with the digest of what will run if the decider changes that.
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
        let original = approval.edit.as_ref().map_or(&task.payload, |edit| &edit.original);
        let changes = serde_json::to_string(&content::changes(original, payload));
        let changes = changes.map_err(|error| Error::Corrupt(Box::new(error)))?;
        let digest = content.digest();
        let edit = NewContent { task, payload, digest: &digest, original, changes: &changes };
        Ok(self.store.decide(approval, caller, decision, Some(&edit)).await?)
    }

    /// A request in place of one that is lost: every caller whose role may decide at all may decide it.
    pub(super) fn lost_gate(&self, partition: Partition) -> Gate {
        self.plain_gate(partition, "the first request for an approval was lost")
    }

    /// What the rules of today ask for before `task` may run again; none: nothing. A task that was to be approved once
    /// is never let through because its rule is gone.
    pub(super) fn gate_of_today(&self, task: &Task) -> Option<Gate> {
        let settings = &self.settings.approvals;
        let partition = task.id.partition();
        let gate = match policy::required_approval(&settings.rules, task) {
            Some(rule) => Gate {
                id: ApprovalId::new(partition),
                digest: String::new(),
                rule: rule.name.clone(),
                terms: settings.terms_of(&rule.terms),
            },
            None if task.approval.is_some() => {
                self.plain_gate(partition, "it needed an approval before")
            }
            None => return None,
        };
        Some(Gate { digest: task.content(None).digest(), ..gate })
    }

    fn plain_gate(&self, partition: Partition, rule: &str) -> Gate {
        let terms = self.settings.approvals.terms_of(&TermsSetting::default());
        Gate { id: ApprovalId::new(partition), digest: String::new(), rule: rule.to_owned(), terms }
    }

    /// The agent that holds the task asks whether it may take a step. Its lease ends; the answer is on the task when it
    /// is claimed again.
    ///
    /// # Errors
    ///
    /// As for every report: [`Error::LeaseLost`], [`Error::TaskCancelled`], [`Error::Illegal`]; and
    /// [`Error::AsksExhausted`] or [`Error::AskedTooSoon`], which leave the lease as it is.
    pub async fn ask(
        &self,
        caller: &Principal,
        id: TaskId,
        (attempt, lease): (Attempt, &Lease),
        question: Question,
    ) -> Result<(Approval, Task), Error> {
        let task = self.task(id).await?;
        let settings = &self.settings.approvals;
        let mut terms = settings.terms_of(&settings.asked);
        if let (Some(first), Some(expires)) = (terms.levels.first_mut(), question.expires_after_ms)
        {
            first.expires_after_ms = expires;
        }
        // An event holds it in one line.
        let action = question.action.as_deref().map(content::canonical);
        let digest = task.content(question.action.as_deref()).digest();
        let rule = ASKED_BY_AGENT.to_owned();
        let gate = Gate { id: ApprovalId::new(id.partition()), digest, rule, terms };
        let asks = (question.reason.as_str(), action.as_deref(), question.on_rejection);
        let said = question.digest();
        let proof = (Proof::Lease(attempt, lease), said.as_str());
        let (actor, bounds) = (caller.to_string(), settings.ask_bounds());
        let answer = self.store.ask(id, &actor, proof, &gate, asks, &bounds).await?;
        refuse(id, Verb::Ask, attempt, answer)?;
        let task = self.task(id).await?;
        match task.approval {
            Some(approval) => self.approval(approval).await,
            None => Err(Error::Corrupt("a task that asked has no approval".into())),
        }
    }
}

/// What an agent asks a human.
#[derive(Clone, Debug)]
pub struct Question {
    /// Why, 1 to 1,000 characters.
    pub reason: String,
    /// What it wants to do: any JSON.
    pub action: Option<Box<RawValue>>,
    /// What a no leads to.
    pub on_rejection: OnRejection,
    /// How long those who are asked first are waited for; none: as configured.
    pub expires_after_ms: Option<Millis>,
}

impl Question {
    /// Tells one question from another, also from every outcome: `?` and 12 characters.
    fn digest(&self) -> String {
        let action = self.action.as_ref().map_or("", |action| action.get());
        let expires = format!("{:?}", self.expires_after_ms);
        let parts = [&self.reason, action, self.on_rejection.as_str(), &expires];
        format!("?{}", lease::digest(&parts))
    }
}
