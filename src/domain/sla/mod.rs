//! What was promised in time: that a task starts, and that it is finished.

mod report;
mod rule;

use std::str::FromStr;

use super::task::Millis;

pub use report::{Figures, Group, Histogram};
pub use rule::{Action, Clock, SlaRule, Threshold, actions};

/// A task's promises in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sla {
    /// The promise in the client's words, such as `4h`: at most 64 characters.
    pub target: Option<String>,
    /// When the task must be finished.
    pub deadline: Option<Millis>,
    /// How long after it may start the task must be finished; a submission gives this or the deadline.
    pub within_ms: Option<Millis>,
    /// When the first attempt must have begun.
    pub start_deadline: Option<Millis>,
    /// How long after it may start the first attempt must have begun; a submission gives this or the deadline.
    pub start_within_ms: Option<Millis>,
    /// After how much of the time to warn, in percent, 1 to 100.
    pub alert_threshold: u8,
}

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlaState {
    /// There is time.
    OnTrack,
    /// The warning was announced.
    Warned,
    /// The violation was announced.
    Violated,
    /// What was promised came in time.
    Met,
}

impl SlaState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnTrack => "on_track",
            Self::Warned => "warned",
            Self::Violated => "violated",
            Self::Met => "met",
        }
    }
}

/// What became of a task's clocks since they run: a sum of bits, which the store's scripts keep.
///
/// Nothing here looks at the time: a promise is violated when that was announced, which is at most a second after
/// its deadline, and at the latest when the task ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(u16);

impl Reached {
    const STARTED: u16 = 16;

    fn has(self, clock: Clock, threshold: Threshold) -> bool {
        self.0 & threshold.bit(clock) != 0
    }

    /// How the promise of `clock` stands for a task that has ended or not.
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
        word.parse().map(Self)
    }
}

/// For how long the figures of an hour are kept, in seconds: 32 days, one more than a report may look back.
pub const REPORT_KEPT_S: u64 = 32 * 24 * 3_600;

/// The shortest and the longest time that may be promised, in milliseconds: 1 s to a year.
pub const TARGET_MS: std::ops::RangeInclusive<Millis> = 1_000..=365 * 24 * 3_600_000;

/// The time that a client's words mean, if they mean one within [`TARGET_MS`]: whole numbers with units, the largest
/// first, such as `90s`, `4h` or `1h30m`, or an ISO 8601 duration of days, hours, minutes and seconds such as `PT4H` or
/// `P1DT12H`.
pub fn target_ms(words: &str) -> Option<Millis> {
    let words = words.trim();
    let ms = match words.strip_prefix('P') {
        Some(rest) => iso_ms(rest)?,
        None => sum_ms(words, "dhms")?,
    };
    TARGET_MS.contains(&ms).then_some(ms)
}

/// `1DT12H30M5S`, of which any part may be left out, but not all.
fn iso_ms(text: &str) -> Option<Millis> {
    if text.contains(|letter: char| letter.is_ascii_lowercase()) {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let (date, time) =
        text.split_once('t').map_or((text.as_str(), None), |(date, time)| (date, Some(time)));
    match (date, time) {
        ("", Some(time)) => sum_ms(time, "hms"),
        (date, None) => sum_ms(date, "d"),
        (date, Some(time)) => sum_ms(date, "d")?.checked_add(sum_ms(time, "hms")?),
    }
}

/// Numbers with units, at least one, each unit once and in their order.
fn sum_ms(text: &str, mut units: &str) -> Option<Millis> {
    let mut sum: Option<Millis> = None;
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let ms = part_ms(part, units)?;
        units = units.split_once(part.chars().last()?)?.1;
        sum = Some(sum.unwrap_or_default().checked_add(ms)?);
    }
    sum
}

/// One number and one unit.
fn part_ms(part: &str, units: &str) -> Option<Millis> {
    let unit = part.chars().last().filter(|unit| units.contains(*unit))?;
    let number = part.strip_suffix(unit)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let each = match unit {
        'd' => 24 * 3_600_000,
        'h' => 3_600_000,
        'm' => 60_000,
        _ => 1_000,
    };
    is_number.then(|| number.parse::<Millis>().ok()?.checked_mul(each))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_warned_then_violated_and_met_only_in_time() {
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
    fn words_that_mean_a_time_are_told_from_others() {
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
