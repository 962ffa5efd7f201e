//! How promises were kept over a time: counts, and times in histograms of fixed buckets.

use std::collections::BTreeMap;

use crate::domain::name::Name;
use crate::domain::task::{Millis, Priority};

/// Whom figures are of; none: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Tasks of this type.
    pub kind: Option<Name>,
    /// Tasks of this priority.
    pub priority: Option<Priority>,
    /// Tasks of this agent.
    pub agent: Option<Name>,
}

/// What became of the tasks of a group: those that ended within a time, and those that were first started within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many ended completed, …
    pub completed: u64,
    /// … failed, …
    pub failed: u64,
    /// … or cancelled.
    pub cancelled: u64,
    /// Completed in time, of those with a time to finish.
    pub met: u64,
    /// Ended after the warning of their time to finish; met or not.
    pub warned: u64,
    /// Ended after their time to finish, however they ended.
    pub violated: u64,
    /// Started in time, of those with a time to start.
    pub start_met: u64,
    /// Started, or ended without a start, after the warning of their time to start.
    pub start_warned: u64,
    /// The same after their time to start.
    pub start_violated: u64,
    /// From when a task could start to its first start, without the wait for humans.
    pub wait: Histogram,
    /// The last attempt of tasks that were completed or failed.
    pub run: Histogram,
    /// The wait for humans of those that waited for any.
    pub human: Histogram,
}

impl Figures {
    /// Adds what the store counted under a name such as `met`, or `run 17`; a name that is not known counts nothing.
    pub fn add(&mut self, figure: &str, count: u64) {
        if let Some((histogram, bucket)) = figure.split_once(' ') {
            let histogram = match histogram {
                "wait" => &mut self.wait,
                "run" => &mut self.run,
                "human" => &mut self.human,
                _ => return,
            };
            if let Ok(bucket) = bucket.parse() {
                *histogram.0.entry(bucket).or_default() += count;
            }
            return;
        }
        let sum = match figure {
            "completed" => &mut self.completed,
            "failed" => &mut self.failed,
            "cancelled" => &mut self.cancelled,
            "met" => &mut self.met,
            "warned" => &mut self.warned,
            "violated" => &mut self.violated,
            "start_met" => &mut self.start_met,
            "start_warned" => &mut self.start_warned,
            "start_violated" => &mut self.start_violated,
            _ => return,
        };
        *sum += count;
    }

    /// The share of the promises to finish that were kept: met of met and violated, in percent; none: there were none.
    pub fn attainment_percent(&self) -> Option<f64> {
        percent(self.met, self.violated)
    }

    /// The same of the promises to start.
    pub fn start_attainment_percent(&self) -> Option<f64> {
        percent(self.start_met, self.start_violated)
    }
}

/// Two digits behind the point, and never 100 if one was violated.
fn percent(met: u64, violated: u64) -> Option<f64> {
    let sum = met + violated;
    (sum > 0).then(|| (met as f64 / sum as f64 * 10_000.0).floor() / 100.0)
}

/// Times in buckets of which each is 2^(1/4), some 19 %, longer than the one before; the first begins at 1 ms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u16, u64>);

/// How many buckets there are for each doubling; the store's scripts count by the same.
const PER_OCTAVE: f64 = 4.0;

impl Histogram {
    /// How many times it holds.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// A time that `percent` of them do not exceed: the middle of its bucket, and so at most 9.1 % off; none: it is
    /// empty.
    pub fn percentile(&self, percent: f64) -> Option<Millis> {
        let rank = (percent / 100.0 * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(bucket, _)| ((f64::from(*bucket) + 0.5) / PER_OCTAVE).exp2().round() as Millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket that the scripts count a time in.
    fn bucket(ms: u64) -> u16 {
        ((ms as f64).log2() * PER_OCTAVE).floor() as u16
    }

    #[test]
    fn a_percentile_is_at_most_nine_percent_off() {
        for ms in [1, 2, 3, 7, 10, 99, 1_000, 59_999, 3_600_000, 31_536_000_000] {
            let mut figures = Figures::default();
            figures.add(&format!("run {}", bucket(ms)), 1);

            let told = figures.run.percentile(50.0).unwrap();

            // Beside the bucket's width, a whole millisecond cannot be told more exactly.
            let allowed = (ms as f64 * 0.0906).max(0.5);
            assert!((told as f64 - ms as f64).abs() <= allowed, "{ms} is told as {told}");
        }
    }

    #[test]
    fn percentiles_count_from_below() {
        let mut figures = Figures::default();
        for (ms, count) in [(100, 94), (10_000, 5), (1_000_000, 1)] {
            figures.add(&format!("wait {}", bucket(ms)), count);
        }

        let near = |percent: f64, ms: f64| {
            (figures.wait.percentile(percent).unwrap() as f64 / ms - 1.0).abs() < 0.1
        };
        assert!(
            near(50.0, 100.0) && near(94.0, 100.0) && near(95.0, 10_000.0) && near(99.0, 10_000.0)
        );
        assert!(near(100.0, 1_000_000.0));
        assert_eq!((figures.wait.count(), figures.run.percentile(50.0)), (100, None));
    }

    #[test]
    fn attainment_is_whole_only_if_nothing_was_violated() {
        let of =
            |met, violated| Figures { met, violated, ..Figures::default() }.attainment_percent();

        assert_eq!(
            (of(0, 0), of(3, 0), of(0, 3), of(1, 2)),
            (None, Some(100.0), Some(0.0), Some(33.33))
        );
        assert_eq!(of(999_999, 1), Some(99.99));
    }

    #[test]
    fn a_figure_that_is_not_known_counts_nothing() {
        let mut figures = Figures::default();

        figures.add("unheard_of", 7);
        figures.add("unheard 7", 7);
        figures.add("run x", 7);

        assert_eq!(figures, Figures::default());
    }
}
