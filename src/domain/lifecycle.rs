//! The states of a task and the verbs that move it, as one table.
//!
//! The store's scripts get the rows of [`RULES`] as a table, so that both sides apply the same
//! rules. A verb has one name here, in its script, in the metrics and in timelines.

use super::word::words;
use State::*;
use Verb::*;

words! {
    /// The state of a task. A task is in exactly one state. Each state is a sorted set in the store,
    /// and the comment of each state says by what the set is ordered.
    pub enum State {
        /// Waits for an approval. Ordered by when the approval was requested, ms.
        Blocked = "blocked",
        /// Waits for its start time or for the end of a back-off. Ordered by when it is due, ms.
        Scheduled = "scheduled",
        /// Waits in the priority queue for a router. Ordered by submission minus head start, ms.
        Pending = "pending",
        /// Waits in the subject of its agent, one set per agent. Ordered like `Pending`.
        Assigned = "assigned",
        /// Leased to an agent that works on it. Ordered by the end of the lease, ms.
        InProgress = "in_progress",
        /// The agent reported a result. Ordered by when the task ended, ms.
        Completed = "completed",
        /// No further attempt follows (the dead letters). Ordered by when the task ended, ms.
        Failed = "failed",
        /// A caller, a rejection, an expiry or an SLA rule cancelled it. Ordered by its end, ms.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Returns whether the state is final. Only `requeue` leaves a final state.
    pub fn is_terminal(self) -> bool {
        TERMINAL.contains(&self)
    }
}

words! {
    /// What can happen to a task. The rules for each verb are its row of [`RULES`].
    pub enum Verb {
        /// A client submits the task, and the gateway accepts it.
        Submit = "submit",
        /// The agent that holds the task requests an approval before a risky step.
        Ask = "ask",
        /// An approver approves, but the quorum needs further approvals.
        Vote = "vote",
        /// An approver changes the payload before the task runs.
        Edit = "edit",
        /// The current level did not decide in time, so the next level is asked.
        Escalate = "escalate",
        /// An admin changes which approvers a pending approval asks.
        Retarget = "retarget",
        /// An approver approves, and the quorum is complete.
        Approve = "approve",
        /// An approver rejects the task or the step of its agent.
        Reject = "reject",
        /// The approval expires without a decision, which counts as a rejection.
        Expire = "expire",
        /// The start time or the end of the back-off has come.
        Promote = "promote",
        /// A router puts the task into the subject of its agent.
        Route = "route",
        /// An agent takes the best task of its subject under a lease.
        Claim = "claim",
        /// The content is not what was approved. The task keeps its state but goes behind others.
        Park = "park",
        /// A caller takes this very task under a long lease (`PATCH …/status` to `in_progress`).
        Take = "take",
        /// The agent reports that it still works on the task, which extends the lease.
        Extend = "extend",
        /// The agent reports that the task is done, with its result.
        Complete = "complete",
        /// The attempt failed; another one follows after a back-off.
        Retry = "retry",
        /// The last attempt failed, or trying again makes no sense.
        Fail = "fail",
        /// The agent returns the task without having worked on it.
        Release = "release",
        /// The lease ended without a report: the lease is lost.
        Reap = "reap",
        /// A caller cancels the task, or its parent was cancelled.
        Cancel = "cancel",
        /// The warning threshold of the time to start or to finish has passed.
        Warn = "warn",
        /// The deadline to start or to finish has passed.
        Violate = "violate",
        /// An SLA rule publishes a notification for a recipient.
        Notify = "notify",
        /// An SLA rule raises the priority of a waiting task.
        Reprioritize = "reprioritize",
        /// An SLA rule cancels the task at a threshold.
        Abort = "abort",
        /// A caller retries a failed or cancelled task. The API and the command line call this `retry`.
        Requeue = "requeue",
        /// The retention of the ended task is over, and the store deletes it.
        Prune = "prune",
        /// The doctor repaired a task whose payload or approval was lost.
        Repair = "repair",
    }
}

/// The rule for one verb: the states it may start from and those it may lead to.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The verb. Each verb has exactly one row in the table.
    pub verb: Verb,
    /// The states in which the verb is allowed. Empty for `submit`.
    pub from: &'static [State],
    /// The states it may lead to. Empty if the task keeps its state or, for `prune`, is deleted.
    pub to: &'static [State],
    /// The type of the event that announces the verb. Empty if there is no event.
    pub event: &'static str,
}

const OPEN: &[State] = &[Blocked, Scheduled, Pending, Assigned, InProgress];
const WAITING: &[State] = &[Blocked, Scheduled, Pending, Assigned];
const TERMINAL: &[State] = &[Completed, Failed, Cancelled];

const fn rule(
    verb: Verb,
    from: &'static [State],
    to: &'static [State],
    event: &'static str,
) -> Rule {
    Rule { verb, from, to, event }
}

/// The whole state machine, one row per verb in the order of [`Verb`].
///
/// `reap` leads to `failed` after too many lost leases. If the attempt exceeded its `timeout_ms`,
/// it leads where a failed attempt leads. The decisions lead to `assigned` if the agent requested
/// the approval: the agent gets the task back with the decision, and with a rejection only if it
/// asked for that. An approved task is `scheduled` while its start time is ahead. A requeued task
/// is `blocked` again if it needs or had an approval, because an approval is valid for one run.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule(Submit,       &[],                  &[Blocked, Scheduled, Pending], "task.created"),
    rule(Ask,          &[InProgress],        &[Blocked],                     "approval.requested"),
    rule(Vote,         &[Blocked],           &[],                            "approval.voted"),
    rule(Edit,         &[Blocked],           &[],                            "approval.changed"),
    rule(Escalate,     &[Blocked],           &[],                            "approval.escalated"),
    rule(Retarget,     &[Blocked],           &[],                            "approval.retargeted"),
    rule(Approve,      &[Blocked],           &[Pending, Scheduled, Assigned], "approval.approved"),
    rule(Reject,       &[Blocked],           &[Cancelled, Assigned],         "task.cancelled"),
    rule(Expire,       &[Blocked],           &[Cancelled, Assigned],         "task.cancelled"),
    rule(Promote,      &[Scheduled],         &[Pending],                     "task.promoted"),
    rule(Route,        &[Pending],           &[Assigned],                    "task.assigned"),
    rule(Claim,        &[Assigned],          &[InProgress],                  "task.started"),
    rule(Park,         &[Pending, Assigned], &[],                            "approval.mismatch"),
    rule(Take,         &[Pending, Assigned], &[InProgress],                  "task.started"),
    rule(Extend,       &[InProgress],        &[],                            "task.progress"),
    rule(Complete,     &[InProgress],        &[Completed],                   "task.completed"),
    rule(Retry,        &[InProgress],        &[Scheduled],                   "task.retrying"),
    rule(Fail,         &[InProgress],        &[Failed],                      "task.failed"),
    rule(Release,      &[InProgress],        &[Assigned],                    "task.released"),
    rule(Reap,         &[InProgress],        &[Assigned, Scheduled, Failed], "task.lost"),
    rule(Cancel,       OPEN,                 &[Cancelled],                   "task.cancelled"),
    rule(Warn,         OPEN,                 &[],                            "sla.warning"),
    rule(Violate,      OPEN,                 &[],                            "sla.violation"),
    rule(Notify,       OPEN,                 &[],                            "sla.notification"),
    rule(Reprioritize, WAITING,              &[],                            "task.reprioritized"),
    rule(Abort,        OPEN,                 &[Cancelled],                   "task.cancelled"),
    rule(Requeue,      &[Failed, Cancelled], &[Pending, Blocked],            "task.requeued"),
    rule(Prune,        TERMINAL,             &[],                            ""),
    rule(Repair,       OPEN,                 &[Blocked, Failed],             "task.failed"),
];

impl Verb {
    /// Returns the row of [`RULES`] for this verb.
    pub fn rule(self) -> &'static Rule {
        // The rows are in the order of the enum, as a test verifies.
        &RULES[self as usize]
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
        assert_eq!(RULES.len(), Repair as usize + 1);
    }

    #[test]
    fn every_open_state_can_be_cancelled_and_aborted() {
        for state in State::ALL {
            for verb in [Cancel, Abort] {
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
