//! Which agent does what.

use serde::Deserialize;

use super::name::Name;
use super::policy::{Condition, Verdict};
use super::task::NewTask;

/// One row of the routing table: the first that applies decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// Who gets the task.
    pub agent: Name,
    /// When.
    pub when: Condition,
}

/// The number and the rule that decide where `task` goes; none: nobody is meant for it.
pub fn route<'r>(rules: &'r [RoutingRule], task: &NewTask) -> Option<(usize, &'r RoutingRule)> {
    rules.iter().enumerate().find(|(_, rule)| rule.when.test(task) == Verdict::Yes)
}
