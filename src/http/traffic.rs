//! What the gateway puts up with: the budgets that requests share, and what was refused or cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::settings::Http;
use super::shares::Shares;

/// Why a request was refused or a connection was cut, to protect the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The head of a request did not arrive within `http.header_timeout_ms`.
    HeaderTimeout,
    /// The body of a request came too slowly.
    BodyTimeout,
    /// The client did not read its answer.
    WriteTimeout,
    /// The connection made room for a newer one.
    Evicted,
    /// The answer made room for newer ones, while its client did not read it.
    AnswerBytes,
    /// There was no room for the connection.
    Full,
    /// The principal had too many waits.
    Waits,
    /// Too many bytes of bodies were held.
    BodyBytes,
    /// What came was not an HTTP/1 request.
    NotHttp,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::WriteTimeout,
        Self::Evicted,
        Self::AnswerBytes,
        Self::Full,
        Self::Waits,
        Self::BodyBytes,
        Self::NotHttp,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Evicted => "evicted",
            Self::AnswerBytes => "answer_bytes",
            Self::Full => "full",
            Self::Waits => "waits",
            Self::BodyBytes => "body_bytes",
            Self::NotHttp => "not_http",
        }
    }
}

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the head of a request.
    pub header: Duration,
    /// For a body as a whole.
    pub body: Duration,
    /// For a client that reads nothing of its answer.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How many bytes a second a body or an answer must move at least, in the mean; 0: none.
    pub bytes_per_second: u64,
}

impl Deadlines {
    /// How long may have passed at most once `bytes` were moved, where `first` is allowed for none.
    pub fn allowed(&self, first: Duration, bytes: u64) -> Duration {
        let by_rate = bytes.saturating_mul(1_000).checked_div(self.bytes_per_second);
        by_rate.map_or(Duration::MAX, |ms| first.saturating_add(Duration::from_millis(ms)))
    }
}

/// The budgets and counts of one gateway.
#[derive(Debug)]
pub struct Traffic {
    /// The deadlines of connections.
    pub deadlines: Deadlines,
    /// Long-polls and event streams that wait, by principal.
    pub waits: Arc<Shares>,
    /// Bytes of bodies that are held, by principal.
    pub bodies: Arc<Shares>,
    /// Open connections.
    pub connections: AtomicUsize,
    counts: [AtomicU64; Cause::ALL.len()],
}

impl Traffic {
    /// As `http` says.
    pub fn new(http: &Http) -> Arc<Self> {
        let bytes = http.max_inflight_bytes;
        Arc::new(Self {
            deadlines: Deadlines {
                header: Duration::from_millis(http.header_timeout_ms),
                body: Duration::from_millis(http.body_timeout_ms),
                write: Duration::from_millis(http.write_timeout_ms),
                idle: Duration::from_millis(http.idle_timeout_ms),
                bytes_per_second: http.min_bytes_per_second,
            },
            // A connection that waits cannot make room, so one principal's leave most of them free.
            waits: Shares::new(
                usize::MAX,
                http.max_waits_per_principal.min((http.max_connections / 4).max(1)),
            ),
            // The largest body must fit, and what one principal sends leaves room for others'.
            bodies: Shares::new(bytes, (bytes / 4).max(http.max_body_bytes)),
            connections: AtomicUsize::new(0),
            counts: Default::default(),
        })
    }

    /// Counts one refusal or cut.
    pub fn count(&self, cause: Cause) {
        self.counts[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were, by cause.
    pub fn counts(&self) -> impl Iterator<Item = (Cause, u64)> {
        let count = |cause| (cause, self.counts[cause as usize].load(Ordering::Relaxed));
        Cause::ALL.into_iter().map(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shares::Exhausted;
    use super::*;

    #[test]
    fn every_cause_has_its_own_place_and_name() {
        let traffic = Traffic::new(&Http::default());
        for (nth, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, nth);
            traffic.count(cause);
        }

        assert!(traffic.counts().all(|(_, count)| count == 1));
        let names: std::collections::BTreeSet<_> = Cause::ALL.map(Cause::as_str).into();
        assert_eq!(names.len(), Cause::ALL.len());
    }

    #[test]
    fn the_waits_of_one_principal_leave_most_connections_free() {
        let traffic = Traffic::new(&Http { max_connections: 16, ..Http::default() });

        let mut waits = traffic.waits.share(Arc::from("key:crew"));
        assert_eq!(waits.grow(4), Ok(()));
        assert_eq!(waits.grow(1), Err(Exhausted::Own));
        assert_eq!(traffic.waits.share(Arc::from("key:judge")).grow(4), Ok(()));
    }

    #[test]
    fn time_is_allowed_by_what_was_moved() {
        let http = Http { min_bytes_per_second: 1_000, ..Http::default() };
        let deadlines = Traffic::new(&http).deadlines;

        assert_eq!(deadlines.allowed(Duration::from_secs(5), 0), Duration::from_secs(5));
        assert_eq!(deadlines.allowed(Duration::from_secs(5), 2_500), Duration::from_millis(7_500));
        let any = Deadlines { bytes_per_second: 0, ..deadlines };
        assert_eq!(any.allowed(Duration::from_secs(5), 0), Duration::MAX);
    }
}
