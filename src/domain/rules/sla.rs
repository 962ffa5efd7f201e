//! SLA rules: what to do when a threshold passes. They are evaluated once, at submission.

use serde::Deserialize;

use crate::domain::name::Name;
use crate::domain::sla::{Clock, Threshold};
use crate::domain::submission::Spec;

use super::approval::{ApprovalRule, highest_priority};
use super::condition::Condition;
use super::verdict::Verdict;
use crate::domain::word::words;

words! {
    /// What a rule does to the task when a threshold passes.
    pub enum Action {
        /// The priority is raised by one step while no agent holds the task, but never to a priority
        /// that needs another approval.
        Raise = "raise",
        /// An event of its own notifies the recipient of the rule.
        Notify = "notify",
        /// The pending approval of the task goes to its next level, if there is one.
        Escalate = "escalate",
        /// The task is cancelled from any open state, even from progress.
        Cancel = "cancel",
    }
}

/// A rule of the settings: what to do when a threshold of a task passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlaRule {
    /// The threshold at which the rule acts: the warning or the violation.
    pub on: Threshold,
    /// The clock on which the threshold passes. `None` if the rule covers both.
    pub clock: Option<Clock>,
    /// The tasks to which the rule applies. A condition that cannot be evaluated does not hold.
    #[serde(default)]
    pub when: Condition,
    /// What the rule does to the task at that threshold.
    pub action: Action,
    /// The recipient of the notification: required for [`Action::Notify`], refused for others.
    pub to: Option<Name>,
}

/// Returns what the rules do when thresholds of a task with this `spec` pass, as a record keeps it:
/// each `<bit><action>[:<argument>]`, joined by commas. Empty if they do nothing. The record keeps it so
/// that later changes of the rules do not affect the task.
///
/// * `approvals`: the rules whose approvals a raised priority must not require.
pub(super) fn actions(rules: &[SlaRule], approvals: &[ApprovalRule], spec: &Spec) -> String {
    let mut words: Vec<String> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.when.test(spec) == Verdict::Yes) {
        let argument = match rule.action {
            Action::Raise => match highest_priority(approvals, spec) {
                highest if highest == spec.priority => continue,
                highest => Some(highest.as_str().to_owned()),
            },
            Action::Notify => rule.to.as_ref().map(Name::to_string),
            Action::Escalate | Action::Cancel => None,
        };
        let argument = argument.map(|argument| format!(":{argument}")).unwrap_or_default();
        let clocks = [Clock::Start, Clock::Finish].into_iter();
        for clock in clocks.filter(|clock| rule.clock.is_none_or(|only| only == *clock)) {
            let word = format!("{}{}{argument}", rule.on.bit(clock), rule.action.as_str());
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(",")
}
