//! Humans decide.

use serde_json::value::RawValue;

use crate::domain::approval::{
    Approval, ApprovalStatus, Asked, Decision, OnRejection, TermsSetting, Verdict,
};
use crate::domain::content::{self, Content};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lease::{self, Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::principal::Principal;
use crate::domain::task::{Attempt, Millis, Task};
use crate::store::{Decided, Gate, NewContent};

use super::tasks::{read_cursor, refuse, write_cursor};
use super::{Engine, Error, Page};

impl Engine {
    /// A page of approvals, newest first: pending ones by their expiry, others by their decision.
    ///
    /// * `statuses`: which; empty: all.
    /// * `limit`: 1 to 200.
    pub async fn approvals(
        &self,
        statuses: &[ApprovalStatus],
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Approval>, Error> {
        let from = cursor.map(read_cursor).transpose()?;
        let statuses = if statuses.is_empty() { &ApprovalStatus::ALL } else { statuses };
        let rows = self.store.list_approvals(statuses, from.as_ref(), limit).await?;
        let is_last = rows.len() < limit;
        let next_cursor = rows.last().filter(|_| !is_last).map(|(place, _)| write_cursor(place));
        Ok(Page { items: rows.into_iter().map(|(_, approval)| approval).collect(), next_cursor })
    }

    /// The approval, and the task that it is for.
    pub async fn approval(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        if !self.store.has(id.partition()) {
            return Err(Error::UnknownApproval(id));
        }
        let found = self.store.read_approvals(&[id]).await?;
        let approval = found.into_iter().next().ok_or(Error::UnknownApproval(id))?;
        let task = self.task(approval.task).await?;
        Ok((approval, task))
    }

    /// Decides. Exactly one decision stands; whoever comes later is told whose. A yes counts towards the quorum.
    ///
    /// # Errors
    ///
    /// [`Error::OwnSubmission`] if the caller submitted the task or asked, [`Error::NotAsked`] if others are to decide,
    /// [`Error::AlreadyVoted`] if he said yes before, [`Error::ContentChanged`] if there is something else to decide than
    /// what he saw, [`Error::AlreadyDecided`] if there is a decision.
    pub async fn decide(
        &self,
        caller: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        loop {
            let (approval, task) = self.approval(id).await?;
            let level = approval.terms.level(approval.level);
            if let Some(level) =
                level.filter(|level| !level.includes(caller, &self.settings.approvals.groups))
            {
                return Err(Error::NotAsked { id, asked: level.describe() });
            }
            let seen = match &decision.digest {
                // Whoever does not say what he saw may have seen what was submitted.
                None if approval.edit.is_some() => {
                    return Err(Error::ContentChanged { id, digest: approval.digest });
                }
                digest => digest.as_deref().unwrap_or(&approval.digest),
            };
            return match self.judge(caller, &approval, &task, &decision, seen).await? {
                Decided::Done | Decided::Voted => self.approval(id).await,
                Decided::Unknown => Err(Error::UnknownApproval(id)),
                Decided::Own => Err(Error::OwnSubmission(id)),
                Decided::Twice => Err(Error::AlreadyVoted(id)),
                Decided::Changed(digest) => Err(Error::ContentChanged { id, digest }),
                Decided::Already { status, at, by } => {
                    Err(Error::AlreadyDecided { id, status, by, at })
                }
                Decided::Illegal(state) => {
                    let verb = match decision.verdict {
                        Verdict::Approve { .. } => Verb::Approve,
                        Verdict::Reject => Verb::Reject,
                    };
                    Err(Error::Illegal { id: approval.task, state, verb })
                }
                // It went to its next level meanwhile, of which there are few.
                Decided::Level => continue,
            };
        }
    }

    /// Hands a decision to the store, with the digest of what will run if the decider changes that.
    async fn judge(
        &self,
        caller: &Principal,
        approval: &Approval,
        task: &Task,
        decision: &Decision,
        seen: &str,
    ) -> Result<Decided, Error> {
        let seen = (seen, approval.level);
        let Verdict::Approve { payload: Some(payload) } = &decision.verdict else {
            return Ok(self.store.decide(approval.id, caller, decision, seen, None).await?);
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
        Ok(self.store.decide(approval.id, caller, decision, seen, Some(&edit)).await?)
    }

    /// A request in place of one that is lost: whoever may decide at all may decide it.
    pub(super) fn lost_gate(&self, partition: Partition) -> Gate {
        let terms = self.settings.approvals.terms_of(&TermsSetting::default());
        let rule = "the first request for an approval was lost".to_owned();
        Gate { id: ApprovalId::new(partition), digest: String::new(), rule, terms }
    }

    /// The agent that holds the task asks whether it may take a step. Its lease ends; the answer is on the task when it
    /// is claimed again.
    ///
    /// # Errors
    ///
    /// As for every report: [`Error::LeaseLost`], [`Error::TaskCancelled`], [`Error::Illegal`].
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
        let rule = "asked by the agent".to_owned();
        let gate = Gate { id: ApprovalId::new(id.partition()), digest, rule, terms };
        let asks = (question.reason.as_str(), action.as_deref(), question.on_rejection);
        let said = question.digest();
        let proof = (Proof::Lease(attempt, lease), said.as_str());
        let answer = self.store.ask(id, &caller.to_string(), proof, &gate, asks).await?;
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
