//! The inbox of an approver: the pending approvals that one person can approve now.

use std::collections::HashMap;

use crate::domain::approval::{Approval, ApprovalStatus, Verdict};
use crate::domain::ids::TaskId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::task::Task;
use crate::store;
use crate::store::lists::Order;

use super::cursors::{End, read_cursor, write_cursor};
use super::tasks::{LEAST_ROOM, LOOKED_AT};
use super::{Engine, Error, PAGE_BYTES, Page};

/// The name of the list in its cursors.
const LIST: &str = "approvals-for-me";

impl Engine {
    /// Returns a page of the pending approvals that `caller` may approve now, the first to expire
    /// first. An approval is absent if it asks other approvers, if the person submitted, requested
    /// or wrote what it is about, or has approved it already.
    ///
    /// * `limit`: 1 to 200. A page can be shorter although more follow: `next_cursor` tells. It has
    ///   at most [`PAGE_BYTES`] and one approval.
    /// * `has_all`: whether to read the parts that hold payloads too; they are empty otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not from a page of this list.
    pub async fn approvals_for(
        &self,
        caller: &Principal,
        limit: usize,
        cursor: Option<&str>,
        has_all: bool,
    ) -> Result<Page<Approval>, Error> {
        let mut end = End::at(cursor.map(|text| read_cursor(LIST, text)).transpose()?);
        let mut items = Vec::new();
        if !caller.may(Scope::ApprovalsDecide) {
            return Ok(Page { items, next_cursor: None });
        }
        let soonest = (&[ApprovalStatus::Pending][..], Order::Ascending);
        let mut looked_at = 0;
        let mut room = PAGE_BYTES;
        let next_cursor = loop {
            let size = (has_all, room);
            let listed = self.store.list_approvals(soonest, end.last(), limit, size).await?;
            let mut is_last = listed.rows.len() < limit && !listed.is_cut;
            looked_at += listed.rows.len();
            let found = listed.rows.iter().filter_map(|(_, approval)| approval.as_ref());
            let ids: Vec<TaskId> = found.map(|approval| approval.task).collect();
            let tasks = self.store.tasks_of(&ids).await?;
            for (place, approval) in listed.rows {
                if items.len() == limit {
                    is_last = false;
                    break;
                }
                let is_seen = |approval: &Approval| caller.sees(approval.tenant().as_ref());
                let approval = approval.filter(is_seen);
                end.move_to(place, approval.is_some());
                let Some(approval) = approval else { continue };
                if self.waits_for(caller, &approval, &tasks).await? {
                    room = room.saturating_sub(approval.bytes());
                    items.push(approval);
                }
            }
            if is_last {
                break None;
            }
            // A second cut would leave ever less room.
            let is_full = room < LEAST_ROOM || (listed.is_cut && !items.is_empty());
            if items.len() == limit || looked_at >= LOOKED_AT || is_full {
                break end.of(caller.tenant()).map(|place| write_cursor(LIST, &place));
            }
        };
        Ok(Page { items, next_cursor })
    }

    /// Whether `caller` may approve what the approval shows.
    async fn waits_for(
        &self,
        caller: &Principal,
        approval: &Approval,
        tasks: &HashMap<TaskId, Task>,
    ) -> Result<bool, Error> {
        let Some(task) = tasks.get(&approval.task) else { return Ok(false) };
        let directory = self.settings.directory();
        let verdict = Verdict::Approve { payload: None };
        let is_free = |task: &Task| directory.bar(caller, approval, task, &verdict).is_none();
        if !approval.terms.four_eyes || approval.authors.is_empty() {
            return Ok(is_free(task));
        }
        // Who wrote the content is compared with the payload, which the list does not have.
        match self.store.read(task.id).await {
            Ok(task) => Ok(task.as_ref().is_some_and(is_free)),
            // No approver decides on what cannot be read.
            Err(store::Error::Undecryptable { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
