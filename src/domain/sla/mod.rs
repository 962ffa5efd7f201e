//! SLA: the deadlines of a task to start and to finish, and what happens when they pass.

mod report;

use std::str::FromStr;

use serde::Deserialize;

use super::time::Millis;
use crate::domain::word::words;

pub use report::{Figures, Group, Histogram};

/// The SLA of a task: its deadlines, and when to warn of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sla {
    /// The target in the client's words, such as `4h`: at most 64 characters.
    pub target: Option<String>,
    /// When the task must be finished, in milliseconds since 1970. `None` without such a deadline.
    pub deadline: Option<Millis>,
    /// How many milliseconds after its possible start the task must be finished. A submission gives
    /// this or the deadline.
    pub within_ms: Option<Millis>,
    /// When the first attempt must have begun, in milliseconds since 1970. `None` if there is no
    /// such deadline.
    pub start_deadline: Option<Millis>,
    /// How many milliseconds after its possible start the first attempt must have begun. A
    /// submission gives this or the deadline.
    pub start_within_ms: Option<Millis>,
    /// The part of the time after which to warn, in percent, 1 to 100.
    pub alert_threshold: u8,
}

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

words! {
    /// The state of one clock of a task's SLA.
    pub enum SlaState {
        /// The clock runs, and neither threshold was announced.
        OnTrack = "on_track",
        /// The warning was announced, and there is still time.
        Warned = "warned",
        /// The violation was announced. This state is final for the clock.
        Violated = "violated",
        /// The task started or finished before a violation was announced.
        Met = "met",
    }
}

/// The thresholds that were announced for a task's clocks: a sum of bits, which the store's scripts
/// keep. Its further bits are the store's own.
///
/// It does not depend on the current time. A clock counts as violated once that was announced, at
/// most a second after the deadline, and at the latest when the task ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(u16);

impl Reached {
    const STARTED: u16 = 16;
    /// All bits with a meaning here.
    const ALL: u16 = 2 * Self::STARTED - 1;

    fn has(self, clock: Clock, threshold: Threshold) -> bool {
        self.0 & threshold.bit(clock) != 0
    }

    /// Returns the state of `clock` for a task that has ended or has not.
    pub fn state(self, clock: Clock, has_ended: bool) -> SlaState {
        let is_over = has_ended || clock == Clock::Start && self.0 & Self::STARTED != 0;
        if self.has(clock, Threshold::Violation) {
            SlaState::Violated
        } else if is_over {
            SlaState::Met
        } else if self.has(clock, Threshold::Warning) {
            SlaState::Warned
        } else {
            SlaState::OnTrack
        }
    }
}

impl FromStr for Reached {
    type Err = std::num::ParseIntError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let sum: u16 = word.parse()?;
        Ok(Self(sum & Self::ALL))
    }
}

/// How long the figures of an hour are kept, in seconds: 32 days, one more than a report covers.
pub const REPORT_KEPT_S: u64 = 32 * 24 * 3_600;

/// The range of targets in milliseconds: from one second to a year of 365 days.
pub const TARGET_MS: std::ops::RangeInclusive<Millis> = 1_000..=365 * 24 * 3_600_000;

/// Returns the milliseconds that a client's words mean. `None` if they mean no time within
/// [`TARGET_MS`]. They are whole numbers with units, the largest first, such as `90s`, `4h` or
/// `1h30m`, or an ISO 8601 duration of days, hours, minutes and seconds such as `PT4H` or
/// `P1DT12H`.
pub fn target_ms(words: &str) -> Option<Millis> {
    let words = words.trim();
    let ms = match words.strip_prefix('P') {
        Some(rest) => iso_ms(rest)?,
        None => sum_ms(words, "dhms")?,
    };
    TARGET_MS.contains(&ms).then_some(ms)
}

/// Reads `1DT12H30M5S`, the part after `P` of a duration. Any part may be left out, but not all.
fn iso_ms(text: &str) -> Option<Millis> {
    if text.contains(|letter: char| letter.is_ascii_lowercase()) {
        return None;
    }
    let text = text.to_ascii_lowercase();
    match text.split_once('t') {
        None => sum_ms(&text, "d"),
        Some(("", time)) => sum_ms(time, "hms"),
        Some((date, time)) => sum_ms(date, "d")?.checked_add(sum_ms(time, "hms")?),
    }
}

/// Adds up numbers with units: at least one, each unit at most once, in the order of `units`.
fn sum_ms(text: &str, mut units: &str) -> Option<Millis> {
    let mut sum: Option<Millis> = None;
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let unit = part.chars().last()?;
        units = units.split_once(unit)?.1;
        let each = match unit {
            'd' => 24 * 3_600_000,
            'h' => 3_600_000,
            'm' => 60_000,
            _ => 1_000,
        };
        let number: Millis = part.strip_suffix(unit)?.parse().ok()?;
        sum = Some(sum.unwrap_or_default().checked_add(number.checked_mul(each)?)?);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_warned_then_violated_and_met_only_in_time() {
        let state =
            |sum: &str, clock, has_ended| sum.parse::<Reached>().unwrap().state(clock, has_ended);

        for (clock, [warned, violated]) in
            [(Clock::Start, ["1", "3"]), (Clock::Finish, ["4", "12"])]
        {
            assert_eq!(state("0", clock, false), SlaState::OnTrack);
            assert_eq!(state(warned, clock, false), SlaState::Warned);
            assert_eq!(state(violated, clock, false), SlaState::Violated);
            assert_eq!(state(warned, clock, true), SlaState::Met);
            assert_eq!(state(violated, clock, true), SlaState::Violated);
        }
        assert_eq!(state("16", Clock::Start, false), SlaState::Met);
        assert_eq!(state("19", Clock::Start, false), SlaState::Violated);
        assert_eq!(state("16", Clock::Finish, false), SlaState::OnTrack);
    }

    #[test]
    fn a_target_is_read_and_other_words_are_not() {
        for (words, ms) in [
            ("90s", 90_000),
            ("15m", 900_000),
            (" 4h ", 14_400_000),
            ("3d", 259_200_000),
            ("PT4H", 14_400_000),
            ("PT90S", 90_000),
            ("P1DT12H", 129_600_000),
            ("P2D", 172_800_000),
            ("PT1H30M5S", 5_405_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s", 93_784_000),
        ] {
            assert_eq!(target_ms(words), Some(ms), "{words}");
        }
        for words in [
            "soon",
            "",
            "h",
            "4",
            "4 h",
            "-4h",
            "30m1h",
            "1h1h",
            "1h 30m",
            "1h30",
            "h30m",
            "Pt4h",
            "0s",
            "366d",
            "P",
            "PT",
            "P1DT",
            "P1H",
            "PT1S1H",
            "PT1M1M",
            "P1M",
            "1.5h",
            "P1Y",
            "٤h",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(target_ms(words), None, "{words}");
        }
    }
}
