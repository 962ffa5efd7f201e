//! Bulks: what to do to the tasks that match a filter.

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::bulk::BulkAction;
use crate::domain::ids::TaskId;
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::engine::{BulkOrder, Parts, TaskFilter};

use super::super::bounds::{REASON, Text};
use super::super::field::{Faults, Field};
use super::super::text::{Time, TraceId};
use super::approval::read_comment;

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[("BulkRequest", "reason", REASON)];

/// One action on every task that matches a filter.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct BulkRequest {
    /// What to do to each task: `retry` a failed or cancelled one, `cancel` an open one, or `raise`
    /// the priority of one that no agent holds.
    action: Field<BulkAction>,
    /// Which tasks. An empty object means all.
    filter: Field<FilterRequest>,
    /// The priority to raise to. Required for `raise`, refused for other actions.
    priority: Field<Option<Priority>>,
    /// Why, 1 to 1,000 characters: a part of the reason in the timeline of each task.
    reason: Field<Option<String>>,
    /// Whether only to count the tasks that match, and to change none; false if left out.
    dry_run: Field<Option<bool>>,
}

/// Which tasks: those that match every member that is given, as in a list of tasks.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "TaskFilter")]
pub struct FilterRequest {
    /// Only tasks in this status, to which the action must apply.
    status: Field<Option<State>>,
    /// Only tasks of this type.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    kind: Field<Option<Name>>,
    /// Only tasks for this agent.
    assigned_to: Field<Option<Name>>,
    /// Only tasks of this priority.
    priority: Field<Option<Priority>>,
    /// Only parts of this task.
    parent_task_id: Field<Option<TaskId>>,
    /// Only tasks from this part of a client's system.
    source: Field<Option<Name>>,
    /// Only tasks of this trace of a client.
    trace_id: Field<Option<TraceId>>,
    /// Only tasks accepted at this time or later.
    created_after: Field<Option<Time>>,
    /// Only tasks accepted before this time.
    created_before: Field<Option<Time>>,
    /// Only tasks whose status changed at this time or later.
    updated_after: Field<Option<Time>>,
}

impl BulkRequest {
    /// Returns the order that this body describes.
    pub fn into_order(self, faults: &mut Faults) -> Option<BulkOrder> {
        let action = faults.required("action", self.action);
        let filter = faults.required("filter", self.filter);
        let filter =
            filter.and_then(|filter| faults.inside("filter", |faults| filter.read(faults, action)));
        let priority = faults.optional("priority", self.priority);
        match (action, priority) {
            (Some(BulkAction::Raise), None) => faults.add("priority", "is required for `raise`"),
            (Some(BulkAction::Retry | BulkAction::Cancel), Some(_)) => {
                faults.add("priority", "must be given only for `raise`");
            }
            (Some(_) | None, _) => {}
        }
        let reason = faults.optional("reason", self.reason);
        let reason = read_comment(faults, "reason", reason);
        let is_dry_run = faults.optional("dry_run", self.dry_run).unwrap_or_default();
        Some(BulkOrder { action: action?, filter: filter?, priority, reason, is_dry_run })
    }
}

impl FilterRequest {
    fn read(self, faults: &mut Faults, action: Option<BulkAction>) -> Option<TaskFilter> {
        let state = faults.optional("status", self.status);
        let allowed = action.map(|action| action.verb().rule().from).unwrap_or_default();
        if let (Some(state), Some(action)) = (state, action)
            && !allowed.contains(&state)
        {
            let allowed: Vec<_> = allowed.iter().map(|state| state.as_str()).collect();
            let allowed = allowed.join(", ");
            faults.add("status", format!("must be one of {allowed} for `{action}`"));
        }
        Some(TaskFilter {
            state,
            kind: faults.optional("type", self.kind),
            agent: faults.optional("assigned_to", self.assigned_to),
            priority: faults.optional("priority", self.priority),
            parent: faults.optional("parent_task_id", self.parent_task_id),
            source: faults.optional("source", self.source),
            // That of the caller; see `Engine::start_bulk`.
            tenant: None,
            trace_id: faults.optional("trace_id", self.trace_id).map(|id| id.0),
            created_after: faults.optional("created_after", self.created_after).map(|at| at.0),
            created_before: faults.optional("created_before", self.created_before).map(|at| at.0),
            updated_after: faults.optional("updated_after", self.updated_after).map(|at| at.0),
            parts: Parts::default(),
        })
    }
}
