//! A bulk: what it is to do, and how far it is.

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::bulk::{BulkAction, BulkRefusal, BulkStatus, Found, Refused};
use crate::domain::ids::{BulkId, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::engine::{Bulk, TaskFilter};

use super::{At, at};

/// A bulk: one action on every task that matched a filter when the bulk was accepted.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "Bulk")]
pub struct BulkView {
    /// The id of the bulk.
    pub bulk_id: BulkId,
    /// What it does to each task.
    pub action: BulkAction,
    /// Which tasks.
    pub filter: FilterView,
    /// The priority that it raises to; null for other actions.
    pub priority: Option<Priority>,
    /// The caller's reason; null if there is none.
    pub reason: Option<String>,
    /// Whether it only counts the tasks.
    pub dry_run: bool,
    /// The status: running, aborting, completed or aborted.
    pub status: BulkStatus,
    /// The caller in whose name, and with whose role, it acts.
    pub started_by: String,
    /// When it was accepted: the moment at which its tasks match.
    pub created_at: At,
    /// When it ended; null if it runs.
    pub ended_at: Option<At>,
    /// The caller that aborted it; null if none did.
    pub aborted_by: Option<String>,
    /// How many tasks matched so far. Once the bulk has ended, the sum of `done` and all refusals,
    /// unless it is a dry run.
    pub matched: u64,
    /// How many of them it has changed.
    pub done: u64,
    /// How many of them it did not change, by reason.
    pub refused: Vec<RefusedView>,
    /// The first tasks that matched, at most 10.
    pub first: Vec<FoundView>,
}

/// The filter of a bulk; null members match every task.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "BulkFilter")]
pub struct FilterView {
    /// Only tasks in this status.
    pub status: Option<State>,
    /// Only tasks of this type.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: Option<Name>,
    /// Only tasks for this agent.
    pub assigned_to: Option<Name>,
    /// Only tasks of this priority.
    pub priority: Option<Priority>,
    /// Only parts of this task.
    pub parent_task_id: Option<TaskId>,
    /// Only tasks from this part of a client's system.
    pub source: Option<Name>,
    /// Only tasks of this tenant; absent if the caller is bound to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Name>,
    /// Only tasks of this trace of a client.
    pub trace_id: Option<String>,
    /// Only tasks accepted at this time or later.
    pub created_after: Option<At>,
    /// Only tasks accepted before this time.
    pub created_before: Option<At>,
    /// Only tasks whose status changed at this time or later.
    pub updated_after: Option<At>,
}

/// The tasks that a bulk did not change for one reason.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "BulkRefused")]
pub struct RefusedView {
    /// Why: the last word of the problem's type that the call for one task gets, or `changed` (the
    /// task was deleted, or its status changed, after it was found), `needs-approval` (the new
    /// priority requires an approval that the task does not need as it is), `not-raised` (the task
    /// has that priority or a higher one), `aborted` (the bulk did not come to it).
    pub reason: BulkRefusal,
    /// How many tasks.
    pub count: u64,
    /// The first of them, at most 5.
    pub first: Vec<TaskId>,
}

/// A task that matched.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "BulkTask")]
pub struct FoundView {
    /// The id of the task.
    pub task_id: TaskId,
    /// Its type.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: Name,
    /// What it is about; null if it has no title.
    pub title: Option<String>,
}

impl From<Bulk> for BulkView {
    fn from(bulk: Bulk) -> Self {
        Self {
            bulk_id: bulk.id,
            action: bulk.order.action,
            filter: bulk.order.filter.into(),
            priority: bulk.order.priority,
            reason: bulk.order.reason,
            dry_run: bulk.order.is_dry_run,
            status: bulk.status,
            started_by: bulk.by.to_string(),
            created_at: at(bulk.at),
            ended_at: bulk.ended.map(at),
            aborted_by: bulk.aborted_by,
            matched: bulk.tally.matched,
            done: bulk.tally.done,
            refused: bulk.tally.refused.into_iter().map(RefusedView::from).collect(),
            first: bulk.tally.first.into_iter().map(FoundView::from).collect(),
        }
    }
}

impl From<TaskFilter> for FilterView {
    fn from(filter: TaskFilter) -> Self {
        Self {
            status: filter.state,
            kind: filter.kind,
            assigned_to: filter.agent,
            priority: filter.priority,
            parent_task_id: filter.parent,
            source: filter.source,
            tenant: filter.tenant,
            trace_id: filter.trace_id,
            created_after: filter.created_after.map(at),
            created_before: filter.created_before.map(at),
            updated_after: filter.updated_after.map(at),
        }
    }
}

impl From<Refused> for RefusedView {
    fn from(Refused { reason, count, first }: Refused) -> Self {
        Self { reason, count, first }
    }
}

impl From<Found> for FoundView {
    fn from(Found { id, kind, title }: Found) -> Self {
        Self { task_id: id, kind, title }
    }
}
