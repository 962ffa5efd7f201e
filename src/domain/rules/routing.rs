//! Routing: which agent gets which tasks.

use serde::Deserialize;

use crate::domain::name::Name;
use crate::domain::submission::Spec;

use super::condition::Condition;
use super::verdict::Verdict;

/// One rule of the routing table. The first rule that applies decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// The agent that gets the tasks to which the rule applies.
    pub agent: Name,
    /// The tasks to which the rule applies; empty for all of them.
    pub when: Condition,
}

/// Returns the first rule that applies to a task with this `spec`, and its number from 0. `None` if
/// no rule applies, so no agent can get the task.
pub(super) fn route<'r>(rules: &'r [RoutingRule], spec: &Spec) -> Option<(usize, &'r RoutingRule)> {
    rules.iter().enumerate().find(|(_, rule)| rule.when.test(spec) == Verdict::Yes)
}
