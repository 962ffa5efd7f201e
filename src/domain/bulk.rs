//! Bulks: one action on every task that matches a filter.

use serde::{Deserialize, Serialize};

use super::ids::TaskId;
use super::lifecycle::Verb;
use super::name::Name;
use super::word::words;

/// The most bulks that the settings may let run at once.
pub const MAX_BULKS: u32 = 100;

/// How many of the tasks that match are shown as examples.
pub const FIRST: usize = 10;

/// How many of the tasks that were refused are named for each reason.
pub const NAMED: usize = 5;

words! {
    /// What a bulk does to each of its tasks.
    pub enum BulkAction {
        /// Retries failed and cancelled tasks.
        Retry = "retry",
        /// Cancels open tasks.
        Cancel = "cancel",
        /// Raises the priority of tasks that no agent holds.
        Raise = "raise",
    }
}

impl BulkAction {
    /// Returns the verb that the action applies to each task.
    pub fn verb(self) -> Verb {
        match self {
            Self::Retry => Verb::Requeue,
            Self::Cancel => Verb::Cancel,
            Self::Raise => Verb::Reprioritize,
        }
    }
}

words! {
    /// The status of a bulk.
    pub enum BulkStatus {
        /// A worker process handles its tasks.
        Running = "running",
        /// A caller aborted it, and the worker process has not ended its step yet.
        Aborting = "aborting",
        /// It handled every task that matched.
        Completed = "completed",
        /// It ended before all tasks were handled, because a caller aborted it.
        Aborted = "aborted",
    }
}

words! {
    /// Why a bulk did not change one of its tasks: mostly the refusal of the same call for one task.
    pub enum BulkRefusal {
        /// A human of a higher role ended the task.
        EndedByHuman = "ended-by-human",
        /// Agents requested as many approvals for the task as the settings allow.
        AsksExhausted = "asks-exhausted",
        /// An agent requested an approval for the task too short a time ago.
        AskedTooSoon = "asked-too-soon",
        /// The new priority needs an approval that the task does not need as it is.
        NeedsApproval = "needs-approval",
        /// The task has the new priority or a higher one.
        NotRaised = "not-raised",
        /// The status of the task does not allow the action.
        Illegal = "illegal-transition",
        /// The task was deleted, or its status changed, after it was found.
        Changed = "changed",
        /// The payload of the task cannot be decrypted.
        Undecryptable = "undecryptable",
        /// The bulk was aborted before it came to the task.
        Aborted = "aborted",
    }
}

/// A task that a bulk found, as its examples show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The task.
    pub id: TaskId,
    /// Its type.
    pub kind: Name,
    /// What it is about. `None` if it has no title.
    pub title: Option<String>,
}

/// The tasks that a bulk did not change for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reason: BulkRefusal,
    /// How many.
    pub count: u64,
    /// The first of them, at most [`NAMED`].
    pub first: Vec<TaskId>,
}

/// How many tasks a bulk has found, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many tasks matched so far.
    pub matched: u64,
    /// How many of them the bulk changed.
    pub done: u64,
    /// How many of them it did not change, by reason.
    pub refused: Vec<Refused>,
    /// The first tasks that matched, at most [`FIRST`].
    pub first: Vec<Found>,
}

impl Tally {
    /// Counts a task that matches.
    pub fn find(&mut self, task: Found) {
        self.matched += 1;
        if self.first.len() < FIRST {
            self.first.push(task);
        }
    }

    /// Counts a task that was not changed for this reason.
    pub fn refuse(&mut self, id: TaskId, reason: BulkRefusal) {
        let known = self.refused.iter().position(|refused| refused.reason == reason);
        let nth = known.unwrap_or_else(|| {
            self.refused.push(Refused { reason, count: 0, first: Vec::new() });
            self.refused.len() - 1
        });
        let refused = &mut self.refused[nth];
        refused.count += 1;
        if refused.first.len() < NAMED {
            refused.first.push(id);
        }
    }

    /// Returns how many tasks were not changed, for any reason.
    pub fn refusals(&self) -> u64 {
        self.refused.iter().map(|refused| refused.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Partition;
    use super::*;

    #[test]
    fn a_tally_counts_every_task_and_names_the_first() {
        let mut tally = Tally::default();
        let ids: Vec<_> = (0..12).map(|_| TaskId::new(Partition(0))).collect();
        for id in &ids {
            tally.find(Found { id: *id, kind: "faq".parse().unwrap(), title: None });
            tally.refuse(*id, BulkRefusal::Changed);
        }
        tally.refuse(ids[0], BulkRefusal::NotRaised);

        assert_eq!((tally.matched, tally.first.len(), tally.refusals()), (12, FIRST, 13));
        assert_eq!((tally.refused[0].count, &tally.refused[0].first[..]), (12, &ids[..NAMED]));
        assert_eq!(tally.refused[1].reason, BulkRefusal::NotRaised);
    }
}
