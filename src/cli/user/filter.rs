//! The options that choose tasks, for lists and for bulks.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::sla::time;

/// The options that choose tasks: those that match every option that is given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// Only tasks with this status, such as in_progress.
    #[arg(long, help_heading = HEADING)]
    status: Option<String>,
    /// Only tasks of this type.
    #[arg(long = "type", value_name = "TYPE", help_heading = HEADING)]
    kind: Option<String>,
    /// Only tasks for this agent.
    #[arg(long, help_heading = HEADING)]
    agent: Option<String>,
    /// Only tasks of this priority, P0 to P3.
    #[arg(long, help_heading = HEADING)]
    priority: Option<String>,
    /// Only parts of this task.
    #[arg(long, value_name = "TASK", help_heading = HEADING)]
    parent: Option<Uuid>,
    /// Only tasks from this source.
    #[arg(long, help_heading = HEADING)]
    source: Option<String>,
    /// Only tasks of this trace.
    #[arg(long, value_name = "ID", help_heading = HEADING)]
    trace_id: Option<String>,
    /// Only tasks accepted at this time or later, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = HEADING)]
    created_after: Option<String>,
    /// Only tasks accepted before this time.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = HEADING)]
    created_before: Option<String>,
    /// Only tasks whose status changed at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = HEADING)]
    updated_after: Option<String>,
}

const HEADING: &str = "Which tasks";

impl Filter {
    /// Returns each member of the API's filter with its value, if it is given.
    pub fn pairs(&self) -> [(&'static str, Option<String>); 10] {
        [
            ("status", self.status.clone()),
            ("type", self.kind.clone()),
            ("assigned_to", self.agent.clone()),
            ("priority", self.priority.clone()),
            ("parent_task_id", self.parent.map(|id| id.to_string())),
            ("source", self.source.clone()),
            ("trace_id", self.trace_id.clone()),
            ("created_after", self.created_after.clone()),
            ("created_before", self.created_before.clone()),
            ("updated_after", self.updated_after.clone()),
        ]
    }

    /// Returns the members that are given, as an object.
    pub fn members(&self) -> Map<String, Value> {
        let pairs = self.pairs().into_iter();
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }
}
