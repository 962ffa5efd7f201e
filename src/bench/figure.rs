//! Figures: how rounds are summarised and how a figure is written.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::load::PAYLOAD_BYTES;

/// The result of one round of a load: tasks per second, and CPU time for each task in µs.
pub(super) struct Pace {
    pub(super) rate: f64,
    pub(super) redis_us: f64,
    pub(super) gateway_us: f64,
    pub(super) worker_us: f64,
    pub(super) load_us: f64,
}

/// One figure, which is one line of the output.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// The number of tasks or calls that it was computed from.
    pub(super) n: u64,
    pub(super) redis_cpu_us_per_task: Option<f64>,
    pub(super) conditions: Map<String, Value>,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str, n: u64) -> Self {
        let name = name.into();
        let value = round(value);
        Self { name, value, unit, n, redis_cpu_us_per_task: None, conditions: Map::new() }
    }

    /// Returns the median of the rounds, with the extremes as conditions.
    pub(super) fn of_rounds(
        name: impl Into<String>,
        values: impl Iterator<Item = f64> + Clone,
        unit: &'static str,
        n: u64,
    ) -> Self {
        let rounds = values.clone().count();
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
        Self::new(name, median(values), unit, n)
            .with("rounds", rounds)
            .with("min", round(least))
            .with("max", round(most))
    }

    /// Returns the median rate of a load of `n` tasks, with the median CPU time of Redis.
    pub(super) fn of_paces(name: &str, paces: &[Pace], n: u64) -> Self {
        Self::of_rounds(name, paces.iter().map(|pace| pace.rate), "tasks/s", n)
            .with_redis_us(median(paces.iter().map(|pace| pace.redis_us)))
            .with("payload_bytes", PAYLOAD_BYTES)
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.conditions.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn with_redis_us(mut self, per_task: f64) -> Self {
        self.redis_cpu_us_per_task = Some(round(per_task));
        self
    }

    /// Writes the figure to stdout, and to stderr as progress.
    pub(super) fn report(self) -> io::Result<()> {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let figure = self.with("build", build).with("cores", cores);
        progress(&format!("  {} {} {}", figure.name, figure.value, figure.unit));
        let mut out = io::stdout().lock();
        writeln!(out, "{}", json!(figure))?;
        out.flush()
    }
}

/// Writes progress to stderr.
pub(super) fn progress(text: &str) {
    // A caller that closed stderr does not want the progress.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Rounds to three decimal places; more would be noise.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Returns the median; 0 if there are no values.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Returns the smallest of `sorted` that `percent` of them do not exceed, in ms; 0 if there are
/// none.
pub(super) fn percentile_ms(sorted: &[Duration], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .map_or(0.0, |value| value.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();

        assert_eq!(
            [50.0, 99.0, 100.0].map(|percent| percentile_ms(&hundred, percent)),
            [50.0, 99.0, 100.0]
        );
        assert_eq!(percentile_ms(&hundred[..1], 99.0), 1.0);
        assert_eq!(percentile_ms(&[], 50.0), 0.0);
    }
}
