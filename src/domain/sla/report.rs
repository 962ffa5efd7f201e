//! SLA reports: counts over a period, and durations in histograms with fixed buckets.

use std::collections::BTreeMap;

use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::time::Millis;

/// The tasks that figures are about. A part that is `None` includes all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Only tasks of this type. `None` if tasks of every type count.
    pub kind: Option<Name>,
    /// Only tasks of this priority. `None` if tasks of every priority count.
    pub priority: Option<Priority>,
    /// Only tasks of this agent. `None` if tasks of every agent count.
    pub agent: Option<Name>,
}

/// The figures of a group over a period: of the tasks that ended or were first started within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many tasks ended as completed, whether in time or not.
    pub completed: u64,
    /// How many tasks ended as failed, after all their attempts.
    pub failed: u64,
    /// How many tasks ended as cancelled, for any reason.
    pub cancelled: u64,
    /// How many tasks with a deadline to finish were completed in time.
    pub met: u64,
    /// How many tasks ended after the warning of their deadline to finish, met or not.
    pub warned: u64,
    /// How many tasks ended after their deadline to finish, in any final state.
    pub violated: u64,
    /// How many tasks with a deadline to start were started in time.
    pub start_met: u64,
    /// How many tasks started, or ended without a start, after the warning of their deadline to
    /// start.
    pub start_warned: u64,
    /// How many tasks started, or ended without a start, after their deadline to start.
    pub start_violated: u64,
    /// The time from when a task could start to its first start, without the wait for approvals.
    pub wait: Histogram,
    /// The duration of the last attempt of tasks that were completed or failed.
    pub run: Histogram,
    /// The wait for approvals, of the tasks that waited for any.
    pub human: Histogram,
}

impl Figures {
    /// Adds what the store counted under a name such as `met` or `run 17`, unless it is unknown.
    pub fn add(&mut self, figure: &str, count: u64) {
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
            _ => {
                let Some((name, bucket)) = figure.split_once(' ') else { return };
                let Ok(bucket) = bucket.parse() else { return };
                let histogram = match name {
                    "wait" => &mut self.wait,
                    "run" => &mut self.run,
                    "human" => &mut self.human,
                    _ => return,
                };
                histogram.0.entry(bucket).or_default()
            }
        };
        *sum += count;
    }

    /// Returns the share of deadlines to finish that were met, of all met and violated, in percent.
    /// `None` if there were none.
    pub fn attainment_percent(&self) -> Option<f64> {
        percent(self.met, self.violated)
    }

    /// Returns the same for deadlines to start.
    pub fn start_attainment_percent(&self) -> Option<f64> {
        percent(self.start_met, self.start_violated)
    }
}

/// Rounds down to two decimal places, so that one violation never gives 100.
fn percent(met: u64, violated: u64) -> Option<f64> {
    let sum = met + violated;
    if sum == 0 {
        return None;
    }
    Some((met as f64 / sum as f64 * 10_000.0).floor() / 100.0)
}

/// Durations in buckets from 1 ms, each 2^(1/4), about 19 %, longer than the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u16, u64>);

/// The number of buckets for each doubling, which is the same in the store's scripts.
const PER_OCTAVE: f64 = 4.0;

impl Histogram {
    /// Returns how many durations the histogram holds in all its buckets.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns a duration that `percent` of them do not exceed. It is the middle of its bucket, so
    /// at most 9.1 % off. `None` if the histogram is empty.
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

            let shown = figures.run.percentile(50.0).unwrap();

            // Beside the bucket's width, a whole millisecond cannot be known more exactly.
            let allowed = (ms as f64 * 0.0906).max(0.5);
            assert!((shown as f64 - ms as f64).abs() <= allowed, "{ms} is shown as {shown}");
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
    fn an_unknown_figure_is_ignored() {
        let mut figures = Figures::default();

        figures.add("unheard_of", 7);
        figures.add("unheard 7", 7);
        figures.add("run x", 7);

        assert_eq!(figures, Figures::default());
    }
}
