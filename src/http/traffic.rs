//! The limits of the gateway: the budgets that requests share, and counts of refusals and cuts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::settings::Http;
use super::shares::Shares;
use super::traces::Traces;

/// Defines the causes in the order of their counts, each with the value of its label in the metric.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident $word:literal,)*) => {
        /// Why a request was refused or a connection was cut, to protect the gateway.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Cause {
            $($(#[$doc])* $cause,)*
        }

        impl Cause {
            /// Every cause, in the order of their counts.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$cause),*];

            /// The value of the cause's label in the metric.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$cause => $word,)*
                }
            }
        }
    };
}

causes! {
    /// The head of a request did not arrive within `http.header_timeout_ms`.
    HeaderTimeout "header_timeout",
    /// The body of a request arrived too slowly.
    BodyTimeout "body_timeout",
    /// The client did not read its answer.
    WriteTimeout "write_timeout",
    /// The connection made room for a newer one.
    Evicted "evicted",
    /// The answer, which its client did not read, made room for newer ones.
    AnswerBytes "answer_bytes",
    /// There was no room for the connection.
    Full "full",
    /// The principal had too many waits.
    Waits "waits",
    /// The bodies being read held too many bytes.
    BodyBytes "body_bytes",
    /// The bytes received were not an HTTP/1 request.
    NotHttp "not_http",
    /// The client did not speak TLS, or not in a way that the gateway accepts.
    NoTls "no_tls",
}

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// How long the head of a request may take.
    pub header: Duration,
    /// How long a body may take as a whole.
    pub body: Duration,
    /// How long a client may read nothing of its answer.
    pub write: Duration,
    /// How long a connection may be unused between two requests.
    pub idle: Duration,
    /// How many bytes a second a body or an answer must move on average; 0 for no minimum.
    pub bytes_per_second: u64,
}

impl Deadlines {
    /// How much time may have passed once `bytes` were moved, if `first` is allowed for none.
    pub fn allowed(&self, first: Duration, bytes: u64) -> Duration {
        let by_rate = bytes.saturating_mul(1_000).checked_div(self.bytes_per_second);
        by_rate.map_or(Duration::MAX, |ms| first.saturating_add(Duration::from_millis(ms)))
    }
}

/// The budgets and counts of one gateway.
#[derive(Debug)]
pub struct Traffic {
    /// The deadlines of its connections.
    pub deadlines: Deadlines,
    /// The budget of long-polls and event streams that wait, by principal.
    pub waits: Arc<Shares>,
    /// The budget of bytes of request bodies, by principal.
    pub bodies: Arc<Shares>,
    /// What refusals leave behind.
    pub traces: Traces,
    /// How many connections are open.
    pub connections: AtomicUsize,
    counts: [AtomicU64; Cause::ALL.len()],
}

impl Traffic {
    /// The budgets and deadlines that `http` configures, with all counts at 0.
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
            // A connection that waits cannot make room, so those of one principal leave most of
            // them free.
            waits: Shares::new(
                usize::MAX,
                http.max_waits_per_principal.min((http.max_connections / 4).max(1)),
            ),
            // The largest body must fit, and the bodies of one principal leave room for those of
            // others.
            bodies: Shares::new(bytes, (bytes / 4).max(http.max_body_bytes)),
            traces: Traces::default(),
            connections: AtomicUsize::new(0),
            counts: Default::default(),
        })
    }

    /// Counts one refusal or cut.
    pub fn count(&self, cause: Cause) {
        self.counts[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many refusals and cuts there were, by cause.
    pub fn counts(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL
            .map(|cause| (cause, self.counts[cause as usize].load(Ordering::Relaxed)))
            .into_iter()
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
    fn allowed_time_grows_with_the_bytes_moved() {
        let http = Http { min_bytes_per_second: 1_000, ..Http::default() };
        let deadlines = Traffic::new(&http).deadlines;

        assert_eq!(deadlines.allowed(Duration::from_secs(5), 0), Duration::from_secs(5));
        assert_eq!(deadlines.allowed(Duration::from_secs(5), 2_500), Duration::from_millis(7_500));
        let any = Deadlines { bytes_per_second: 0, ..deadlines };
        assert_eq!(any.allowed(Duration::from_secs(5), 0), Duration::MAX);
    }
}
