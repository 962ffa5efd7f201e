//! The clocks of a task's SLA, and the points on them that events announce.

use serde::Deserialize;

/// One of the two clocks of a task's SLA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Runs from the possible start until the first attempt begins.
    Start,
    /// Runs from the possible start until the task is completed, failed or cancelled.
    Finish,
}

/// A point on a clock that an event announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// The part of the time that `alert_threshold` gives has passed.
    Warning,
    /// All of the time has passed: the deadline is missed.
    Violation,
}

impl Threshold {
    /// The bit of this threshold in the record's word `sla`: see `clocks.lua`.
    pub fn bit(self, clock: Clock) -> u16 {
        match (clock, self) {
            (Clock::Start, Self::Warning) => 1,
            (Clock::Start, Self::Violation) => 2,
            (Clock::Finish, Self::Warning) => 4,
            (Clock::Finish, Self::Violation) => 8,
        }
    }
}
