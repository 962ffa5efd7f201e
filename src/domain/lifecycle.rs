//! Where a task can be and what moves it: one table.
//!
//! The store's scripts hold no state names of their own; they are given the rows of [`RULES`].
//! A verb has the same name here, in its script, in its event, in the metrics and in the API.

use State::{Assigned, Blocked, Cancelled, Completed, Failed, InProgress, Pending, Scheduled};
use Verb::{
    Approve, Ask, Cancel, Claim, Complete, Edit, Escalate, Expire, Extend, Fail, Lapse, Mend,
    Notify, Park, Promote, Prune, Reap, Reject, Release, Reprioritize, Requeue, Retarget, Retry,
    Route, Submit, Take, Violate, Vote, Warn,
};

/// Where a task is. A task is in exactly one state, and every state is a sorted set; the
/// comment says what that set is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits for a human. Asked at, ms.
    Blocked,
    /// Waits for its time. Due at, ms.
    Scheduled,
    /// In the priority queue. Submitted at minus the priority's head start, ms.
    Pending,
    /// In its agent's subject, one set per agent. The same as `Pending`.
    Assigned,
    /// Leased by an agent. Lease until, ms.
    InProgress,
    /// Done. Finished at, ms.
    Completed,
    /// Given up (the dead letters). Finished at, ms.
    Failed,
    /// Called off. Finished at, ms.
    Cancelled,
}

impl State {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 8] =
        [Blocked, Scheduled, Pending, Assigned, InProgress, Completed, Failed, Cancelled];

    /// The word on the wire and in the store's keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Blocked => "blocked",
            Scheduled => "scheduled",
            Pending => "pending",
            Assigned => "assigned",
            InProgress => "in_progress",
            Completed => "completed",
            Failed => "failed",
            Cancelled => "cancelled",
        }
    }

    /// The state of this name, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the task's story is over, unless somebody requeues it.
    pub fn is_terminal(self) -> bool {
        TERMINAL.contains(&self)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What can be done to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// A client hands the task in.
    Submit,
    /// The agent that holds it asks a human before a risky step.
    Ask,
    /// A human says yes, and others must too.
    Vote,
    /// A human changes what will run.
    Edit,
    /// Nobody answered in time, so others are asked.
    Escalate,
    /// An admin has other humans asked.
    Retarget,
    /// A human says yes, and that is enough.
    Approve,
    /// A human says no.
    Reject,
    /// Nobody answered in time, which means no.
    Lapse,
    /// Its time has come.
    Promote,
    /// A router puts it into its agent's subject.
    Route,
    /// An agent takes the best task of its subject under a lease.
    Claim,
    /// Its content is not what was approved: it stays where it is, behind all others.
    Park,
    /// A caller takes this very task under a long lease (`PATCH …/status` to `in_progress`).
    Take,
    /// The agent is still at it.
    Extend,
    /// The agent finished it.
    Complete,
    /// The attempt failed; another one follows after a back-off.
    Retry,
    /// The last attempt failed, or trying again makes no sense.
    Fail,
    /// The agent gives it back untouched.
    Release,
    /// The lease ended in silence.
    Reap,
    /// Somebody calls it off.
    Cancel,
    /// So much of its time to start or to finish has passed.
    Warn,
    /// All of its time to start or to finish has passed.
    Violate,
    /// A rule for deadlines tells somebody.
    Notify,
    /// A rule for deadlines raises its priority.
    Reprioritize,
    /// A rule for deadlines calls it off.
    Expire,
    /// Somebody wants a failed or cancelled task done after all.
    Requeue,
    /// Kept long enough; the task is forgotten.
    Prune,
    /// The doctor found something of it lost: its payload, or that it was approved.
    Mend,
}

/// One verb: the states it may start from and those it may lead to.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The verb; each has one row.
    pub verb: Verb,
    /// Where the task must be.
    pub from: &'static [State],
    /// Where it may go. Empty: it stays where it is, or (`prune`) is gone.
    pub to: &'static [State],
    /// The type of the event that the move is announced by.
    pub event: &'static str,
}

const OPEN: &[State] = &[Blocked, Scheduled, Pending, Assigned, InProgress];
const WAITING: &[State] = &[Blocked, Scheduled, Pending, Assigned];
const TERMINAL: &[State] = &[Completed, Failed, Cancelled];

/// The whole state machine.
///
/// `reap` leads to `failed` past the lost cap and, when the attempt ran out of its `timeout_ms`,
/// to where a failed attempt leads. Decisions lead to `assigned` where the agent asked: it gets the task back with the
/// answer, a no only if it wants to hear it. An approved task is `scheduled` while its start time is ahead; a
/// requeued one is `blocked` again if it needs an approval or had one: an approval serves one run.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule { verb: Submit,   from: &[],                  to: &[Blocked, Scheduled, Pending], event: "task.created" },
    Rule { verb: Ask,      from: &[InProgress],        to: &[Blocked],                     event: "approval.requested" },
    Rule { verb: Vote,     from: &[Blocked],           to: &[],                            event: "approval.voted" },
    Rule { verb: Edit,     from: &[Blocked],           to: &[],                            event: "approval.changed" },
    Rule { verb: Escalate, from: &[Blocked],           to: &[],                            event: "approval.escalated" },
    Rule { verb: Retarget, from: &[Blocked],           to: &[],                            event: "approval.retargeted" },
    Rule { verb: Approve,  from: &[Blocked],           to: &[Pending, Scheduled, Assigned], event: "approval.approved" },
    Rule { verb: Reject,   from: &[Blocked],           to: &[Cancelled, Assigned],         event: "task.cancelled" },
    Rule { verb: Lapse,    from: &[Blocked],           to: &[Cancelled, Assigned],         event: "task.cancelled" },
    Rule { verb: Promote,  from: &[Scheduled],         to: &[Pending],                     event: "task.promoted" },
    Rule { verb: Route,    from: &[Pending],           to: &[Assigned],                    event: "task.assigned" },
    Rule { verb: Claim,    from: &[Assigned],          to: &[InProgress],                  event: "task.started" },
    Rule { verb: Park,     from: &[Pending, Assigned], to: &[],                            event: "approval.mismatch" },
    Rule { verb: Take,     from: &[Pending, Assigned], to: &[InProgress],                  event: "task.started" },
    Rule { verb: Extend,   from: &[InProgress],        to: &[],                            event: "task.progress" },
    Rule { verb: Complete, from: &[InProgress],        to: &[Completed],                   event: "task.completed" },
    Rule { verb: Retry,    from: &[InProgress],        to: &[Scheduled],                   event: "task.retrying" },
    Rule { verb: Fail,     from: &[InProgress],        to: &[Failed],                      event: "task.failed" },
    Rule { verb: Release,  from: &[InProgress],        to: &[Assigned],                    event: "task.released" },
    Rule { verb: Reap,     from: &[InProgress],        to: &[Assigned, Scheduled, Failed], event: "task.lost" },
    Rule { verb: Cancel,   from: OPEN,                 to: &[Cancelled],                   event: "task.cancelled" },
    Rule { verb: Warn,     from: OPEN,                 to: &[],                            event: "sla.warning" },
    Rule { verb: Violate,  from: OPEN,                 to: &[],                            event: "sla.violation" },
    Rule { verb: Notify,   from: OPEN,                 to: &[],                            event: "sla.notification" },
    Rule { verb: Reprioritize, from: WAITING,          to: &[],                            event: "task.reprioritized" },
    Rule { verb: Expire,   from: OPEN,                 to: &[Cancelled],                   event: "task.cancelled" },
    Rule { verb: Requeue,  from: &[Failed, Cancelled], to: &[Pending, Blocked],            event: "task.requeued" },
    Rule { verb: Prune,    from: TERMINAL,             to: &[],                            event: "" },
    Rule { verb: Mend,     from: OPEN,                 to: &[Blocked, Failed],             event: "task.failed" },
];

impl Verb {
    /// The word in scripts, events, metrics and timelines.
    pub fn as_str(self) -> &'static str {
        match self {
            Submit => "submit",
            Ask => "ask",
            Vote => "vote",
            Edit => "edit",
            Escalate => "escalate",
            Retarget => "retarget",
            Approve => "approve",
            Reject => "reject",
            Lapse => "lapse",
            Promote => "promote",
            Route => "route",
            Claim => "claim",
            Park => "park",
            Take => "take",
            Extend => "extend",
            Complete => "complete",
            Retry => "retry",
            Fail => "fail",
            Release => "release",
            Reap => "reap",
            Cancel => "cancel",
            Warn => "warn",
            Violate => "violate",
            Notify => "notify",
            Reprioritize => "reprioritize",
            Expire => "expire",
            Requeue => "requeue",
            Prune => "prune",
            Mend => "mend",
        }
    }

    /// This verb's row of [`RULES`].
    pub fn rule(self) -> &'static Rule {
        // The rows stand in the order of the enum; a test holds that.
        &RULES[self as usize]
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_finds_its_own_row() {
        for rule in RULES {
            assert_eq!(rule.verb.rule().verb, rule.verb);
        }
        assert_eq!(RULES.len(), Mend as usize + 1);
    }

    #[test]
    fn every_open_state_can_be_cancelled_and_can_expire() {
        for state in State::ALL {
            for verb in [Cancel, Expire] {
                assert_eq!(
                    verb.rule().from.contains(&state),
                    !state.is_terminal(),
                    "{verb} {state}"
                );
            }
        }
    }

    #[test]
    fn a_terminal_state_is_left_only_by_requeue_and_completed_never() {
        for rule in RULES.iter().filter(|rule| !rule.to.is_empty() && rule.verb != Requeue) {
            assert!(rule.from.iter().all(|state| !state.is_terminal()), "{}", rule.verb);
        }
        assert!(!Requeue.rule().from.contains(&Completed));
    }

    #[test]
    fn every_state_is_reachable_from_submission() {
        let mut reached = Submit.rule().to.to_vec();
        while let Some(next) = RULES
            .iter()
            .filter(|rule| rule.from.iter().any(|from| reached.contains(from)))
            .flat_map(|rule| rule.to)
            .find(|to| !reached.contains(to))
        {
            reached.push(*next);
        }

        assert!(State::ALL.iter().all(|state| reached.contains(state)));
    }
}
