//! Humans decide.

use crate::domain::approval::{Approval, ApprovalStatus, Decision};
use crate::domain::ids::ApprovalId;
use crate::domain::lifecycle::Verb;
use crate::domain::principal::Principal;
use crate::domain::task::Task;
use crate::store::Decided;

use super::tasks::{read_cursor, write_cursor};
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

    /// Decides. Exactly one decision stands; whoever comes later is told whose.
    ///
    /// # Errors
    ///
    /// [`Error::OwnSubmission`] if the caller submitted the task, [`Error::AlreadyDecided`] if there is a decision.
    pub async fn decide(
        &self,
        caller: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        if !self.store.has(id.partition()) {
            return Err(Error::UnknownApproval(id));
        }
        match self.store.decide(id, caller, &decision).await? {
            Decided::Done => self.approval(id).await,
            Decided::Unknown => Err(Error::UnknownApproval(id)),
            Decided::Own => Err(Error::OwnSubmission(id)),
            Decided::Already { status, at, by } => Err(Error::AlreadyDecided { id, status, by, at }),
            Decided::Illegal(state) => {
                let (approval, _) = self.approval(id).await?;
                let verb = match decision {
                    Decision::Approve { .. } => Verb::Approve,
                    Decision::Reject { .. } => Verb::Reject,
                };
                Err(Error::Illegal { id: approval.task, state, verb })
            }
        }
    }
}
