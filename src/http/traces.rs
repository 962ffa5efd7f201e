//! What refusals leave behind: counts by cause, and log lines at a bounded rate.
//!
//! Only refusals that may be an attack or a runaway client count: 401, 403 and 429.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::Denial;

/// How often one caller and cause is logged at most; also the time after which the refusals that
/// were not logged are, as a number.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How many callers and causes are logged on their own within [`LOG_EVERY`]. Further callers share a
/// line for each cause.
const MOST_LINES: usize = 50;

/// How often refused calls of one operator are recorded in the audit log at most.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// How many callers' refused calls are recorded within [`RECORD_EVERY`].
const MOST_RECORDS: usize = 10;

/// Stands in the log for callers that share a line.
const OTHERS: &str = "others";

/// The traces of one process.
#[derive(Debug, Default)]
pub struct Traces(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By cause; those that never happened are missing.
    counts: BTreeMap<&'static str, u64>,
    /// The lines of the last [`LOG_EVERY`], by who was refused and why.
    lines: BTreeMap<(String, &'static str), Line>,
    /// The callers whose refused calls were recorded in the last [`RECORD_EVERY`].
    records: BTreeMap<String, Line>,
}

/// What is held back since the last line or record.
#[derive(Clone, Copy, Debug)]
struct Line {
    since: Instant,
    suppressed: u64,
}

/// Counts what is held back, for the line of `who`, if there is one or room for one. Returns whether
/// it is to be written at once.
fn is_first<K: Ord>(
    lines: &mut BTreeMap<K, Line>,
    who: K,
    most: usize,
    now: Instant,
) -> Option<bool> {
    if let Some(line) = lines.get_mut(&who) {
        line.suppressed += 1;
        return Some(false);
    }
    if lines.len() >= most {
        return None;
    }
    lines.insert(who, Line { since: now, suppressed: 0 });
    Some(true)
}

impl Traces {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Maps of numbers stay usable after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal, and logs it unless `who` was logged for the same cause a moment ago.
    ///
    /// * `who`: the caller, or the address of a caller that is not known.
    pub fn note(&self, who: &str, denial: Denial) {
        self.flush();
        let now = Instant::now();
        let cause = denial.cause;
        let mut inner = self.lock();
        *inner.counts.entry(cause).or_default() += 1;
        let lines = &mut inner.lines;
        match is_first(lines, (who.to_owned(), cause), MOST_LINES, now) {
            Some(true) => log(who, cause, 0),
            Some(false) => {}
            // There is one line for each cause, so there is room for them.
            None => {
                let others = (OTHERS.to_owned(), cause);
                if is_first(lines, others, usize::MAX, now) == Some(true) {
                    log(OTHERS, cause, 0);
                }
            }
        }
    }

    /// Logs how many refusals were held back, where it is time for that.
    pub fn flush(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.lines.retain(|(who, cause), line| {
            if now.duration_since(line.since) < LOG_EVERY {
                return true;
            }
            if line.suppressed > 0 {
                log(who, cause, line.suppressed);
            }
            // A caller that goes on has its next line after as long again.
            let goes_on = line.suppressed > 0;
            *line = Line { since: now, suppressed: 0 };
            goes_on
        });
    }

    /// Returns how many refused calls of the operator `who` a record in the audit log stands for:
    /// this one and those since the last record. `None` if there is to be no record yet.
    pub fn to_record(&self, who: &str) -> Option<u64> {
        let now = Instant::now();
        let mut inner = self.lock();
        let records = &mut inner.records;
        if let Some(line) = records.get_mut(who)
            && now.duration_since(line.since) >= RECORD_EVERY
        {
            let count = line.suppressed + 1;
            *line = Line { since: now, suppressed: 0 };
            return Some(count);
        }
        if records.len() >= MOST_RECORDS {
            records.retain(|_, line| now.duration_since(line.since) < RECORD_EVERY);
        }
        (is_first(records, who.to_owned(), MOST_RECORDS, now) == Some(true)).then_some(1)
    }

    /// How many refusals there were, by cause.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let inner = self.lock();
        let count = |cause| inner.counts.get(cause).copied().unwrap_or_default();
        Denial::causes().map(|cause| (cause, count(cause))).collect()
    }
}

fn log(who: &str, cause: &str, suppressed: u64) {
    tracing::info!(caller = who, cause, suppressed, "calls refused");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial() -> Denial {
        Denial { cause: "unauthenticated" }
    }

    fn suppressed(traces: &Traces) -> Vec<(String, u64)> {
        let inner = traces.lock();
        inner.lines.iter().map(|((who, _), line)| (who.clone(), line.suppressed)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_one_line_and_a_number_every_ten_seconds() {
        let traces = Traces::default();
        for _ in 0..978 {
            traces.note("203.0.113.9", denial());
        }
        assert_eq!(suppressed(&traces), [("203.0.113.9".to_owned(), 977)]);

        tokio::time::advance(LOG_EVERY).await;
        traces.flush();
        assert_eq!(suppressed(&traces), [("203.0.113.9".to_owned(), 0)]);

        tokio::time::advance(LOG_EVERY).await;
        traces.flush();
        assert!(suppressed(&traces).is_empty());
        let counts: u64 = traces.counts().iter().map(|(_, count)| count).sum();
        assert_eq!(counts, 978);
    }

    #[test]
    fn many_callers_share_a_line() {
        let traces = Traces::default();
        for nth in 0..1_000 {
            traces.note(&format!("203.0.113.{nth}"), denial());
        }

        let lines = suppressed(&traces);
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert!(lines.contains(&(OTHERS.to_owned(), 1_000 - MOST_LINES as u64 - 1)), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_few_and_carry_what_was_held_back() {
        let traces = Traces::default();
        assert_eq!(traces.to_record("key:crew"), Some(1));
        for _ in 0..9 {
            assert_eq!(traces.to_record("key:crew"), None);
        }
        let others = (0..100).filter_map(|nth| traces.to_record(&format!("user:{nth}"))).count();
        assert_eq!(others, MOST_RECORDS - 1);

        tokio::time::advance(RECORD_EVERY).await;
        assert_eq!(traces.to_record("key:crew"), Some(10));
        assert_eq!(traces.to_record("user:200"), Some(1));
    }
}
