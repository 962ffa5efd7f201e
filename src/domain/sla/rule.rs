//! What is done when a threshold passes: rules of the configuration, evaluated once, at submission.

use serde::Deserialize;

use crate::domain::name::Name;
use crate::domain::policy::{ApprovalRule, Condition, Verdict, highest_priority};
use crate::domain::task::NewTask;

/// One of a task's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Ends when the first attempt begins.
    Start,
    /// Ends when the task does.
    Finish,
}

/// A point on a clock that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// So much of the time has passed.
    Warning,
    /// All of it has.
    Violation,
}

impl Threshold {
    /// Its bit in the record's word `sla`; see `clocks.lua`.
    pub(super) fn bit(self, clock: Clock) -> u16 {
        match (clock, self) {
            (Clock::Start, Self::Warning) => 1,
            (Clock::Start, Self::Violation) => 2,
            (Clock::Finish, Self::Warning) => 4,
            (Clock::Finish, Self::Violation) => 8,
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The priority goes one step up, as long as no agent has the task, and never to one that needs another approval.
    Raise,
    /// Somebody is told, by an event of its own.
    Notify,
    /// The approval that it waits for goes to its next level, if there is one.
    Escalate,
    /// The task is cancelled, wherever it is.
    Cancel,
}

impl Action {
    /// The word in the configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Notify => "notify",
            Self::Escalate => "escalate",
            Self::Cancel => "cancel",
        }
    }
}

/// What to do when a threshold passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlaRule {
    /// Which threshold.
    pub on: Threshold,
    /// Of which clock; none: of both.
    pub clock: Option<Clock>,
    /// For which tasks; a condition that cannot be evaluated does not hold.
    #[serde(default)]
    pub when: Condition,
    /// What.
    pub action: Action,
    /// Whom to tell, for [`Action::Notify`] and only there.
    pub to: Option<Name>,
}

/// What the rules ask for when `task`'s thresholds pass, as a record keeps it: each `<bit><action>[:<argument>]`, joined
/// by commas; empty: nothing. Kept with the task, so that its consequences are as absolute as its deadlines.
///
/// * `approvals`: what a raised priority must not run into.
pub fn actions(rules: &[SlaRule], approvals: &[ApprovalRule], task: &NewTask) -> String {
    let mut words: Vec<String> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.when.test(task) == Verdict::Yes) {
        let argument = match rule.action {
            Action::Raise => match highest_priority(approvals, task) {
                highest if highest == task.priority => continue,
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
