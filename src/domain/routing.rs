//! Routing: which agent gets which tasks.

use serde::Deserialize;

use super::name::Name;
use super::policy::{Condition, Verdict};
use super::task::NewTask;

/// One rule of the routing table. The first rule that applies decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// The agent that gets the tasks to which the rule applies.
    pub agent: Name,
    /// The tasks to which the rule applies; empty for all of them.
    pub when: Condition,
}

/// Returns the first rule that applies to `task`, and its number from 0. `None` if no rule applies,
/// so no agent can get the task.
pub fn route<'r>(rules: &'r [RoutingRule], task: &NewTask) -> Option<(usize, &'r RoutingRule)> {
    rules.iter().enumerate().find(|(_, rule)| rule.when.test(task) == Verdict::Yes)
}
