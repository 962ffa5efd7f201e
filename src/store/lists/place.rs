//! Places in lists: where a page ends, and the next one begins.

use std::cmp::Ordering;

use crate::domain::time::Millis;

/// How many characters of an id tell its time.
const TIME_OF_ID: usize = 18;

/// The place of a member in a sorted set.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The score that the set is ordered by.
    pub score: f64,
    /// The member, which decides between equal scores.
    pub member: String,
}

/// The score in the list of all tasks of the first that is accepted at this time, in microseconds.
fn acceptance_score(at: Millis) -> f64 {
    at as f64 * 1_000.0
}

impl Place {
    /// The place in the list of all tasks before those that were accepted before `at`.
    pub fn before_acceptance(at: Millis) -> Self {
        Self { score: acceptance_score(at), member: String::new() }
    }

    /// Whether the task at this place of the list of all tasks was accepted before `at`.
    pub fn is_accepted_before(&self, at: Millis) -> bool {
        self.score < acceptance_score(at)
    }

    /// The same place without the part of the id that makes it the id of one task or approval. It is
    /// not after the place, and not before those of other times.
    pub fn without_id(&self) -> Self {
        let time = self.member.get(..TIME_OF_ID).unwrap_or_default();
        Self { score: self.score, member: format!("{time}-ffff-ffffffffffff") }
    }

    /// Compares two places in descending order.
    pub(super) fn descending(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| other.member.cmp(&self.member))
    }
}
