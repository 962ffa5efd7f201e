//! What clients send, and how it becomes domain values: every fault of a body is found at once.

mod approval;
mod batch;
mod claim;
mod dispatch;
mod empty;
mod event;
mod idempotency;
mod status;
mod submission;

pub use approval::{Approve, Ask, Decisions, Reject, Retarget};
pub use batch::Batch;
pub use claim::ClaimRequest;
pub use dispatch::{Completion, Failure, Heartbeat, Outcomes, Release};
pub use empty::Empty;
pub use event::PublishRequest;
pub use idempotency::IdempotencyHeader;
pub use status::{Cancellation, StatusRequest};
pub use submission::{Submission, Trace};

use std::ops::RangeInclusive;

use crate::domain::name::Name;
use crate::domain::principal::MAX_NAME;
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::engine::{self, QUORUM};

use approval::EXPIRES_MS;
use claim::{CLAIM, WAIT_MS};
use dispatch::RETRY_AFTER_MS;
use submission::{DELAY_MS, MAX_RETRIES, THRESHOLD, TIMEOUT_MS};

/// The range of a lease, in milliseconds: 1 s to 1 h.
const LEASE_MS: RangeInclusive<Millis> = 1_000..=3_600_000;

/// The bounds of whole numbers for the API document: schema, field, minimum, maximum.
#[rustfmt::skip]
pub const BOUNDS: &[(&str, &str, u64, u64)] = &[
    ("Submission",   "alert_threshold", *THRESHOLD.start() as u64,   *THRESHOLD.end() as u64),
    ("Submission",   "delay_ms",        *DELAY_MS.start(),           *DELAY_MS.end()),
    ("Submission",   "max_retries",     *MAX_RETRIES.start() as u64, *MAX_RETRIES.end() as u64),
    ("Submission",   "timeout_ms",      *TIMEOUT_MS.start(),         *TIMEOUT_MS.end()),
    ("ClaimRequest", "max",             *CLAIM.start() as u64,       *CLAIM.end() as u64),
    ("ClaimRequest", "wait_ms",         *WAIT_MS.start(),            *WAIT_MS.end()),
    ("ClaimRequest", "lease_ms",        *LEASE_MS.start(),           *LEASE_MS.end()),
    ("ApprovalRequest", "expires_after_ms", *EXPIRES_MS.start(),   *EXPIRES_MS.end()),
    ("Retarget",     "quorum",          *QUORUM.start() as u64,      *QUORUM.end() as u64),
    ("Heartbeat",    "extend_ms",       *LEASE_MS.start(),           *LEASE_MS.end()),
    ("Failure",      "retry_after_ms",  *RETRY_AFTER_MS.start(),     *RETRY_AFTER_MS.end()),
    ("Outcome",      "retry_after_ms",  *RETRY_AFTER_MS.start(),     *RETRY_AFTER_MS.end()),
];

/// The bound of a comment, and of the reason for a decision, a cancellation or an approval request.
pub(super) const REASON: Bound = Bound { chars: 1_000, bytes: 4_096 };

/// The bound of the error of a failed attempt.
pub(super) const ERROR: Bound = Bound { chars: 8_192, bytes: 8_192 };

/// The bound of the message of a heartbeat.
pub(super) const MESSAGE: Bound = Bound { chars: 500, bytes: 2_048 };

/// The bound of an SLA target in the client's words.
pub(super) const TARGET: Bound = Bound { chars: 64, bytes: 256 };

/// The bound of the source of an event.
pub(super) const SOURCE: Bound = Bound { chars: MAX_NAME, bytes: 4 * MAX_NAME };

/// The bound of the name of an approval rule.
pub(super) const RULE: Bound = Bound { chars: 256, bytes: 1_024 };

/// The bound of a word from a closed list, whose longest is `in_progress`.
const WORD: Bound = Bound { chars: 11, bytes: 11 };

/// The bound of a lease, which has 22 characters.
pub(super) const LEASE: Bound = Bound { chars: 64, bytes: 64 };

/// The bound of a SHA-256 digest in hexadecimal.
const DIGEST: Bound = Bound { chars: 64, bytes: 64 };

/// The bounds of texts for the API document: schema, field, bound.
#[rustfmt::skip]
pub const TEXTS: &[(&str, &str, Bound)] = &[
    ("Submission",      "sla_target",   TARGET),
    ("PublishRequest",  "source_agent", SOURCE),
    ("ProgressReport",  "message",      MESSAGE),
    ("Heartbeat",       "lease",        LEASE),
    ("Completion",      "lease",        LEASE),
    ("Failure",         "lease",        LEASE),
    ("Failure",         "error",        ERROR),
    ("Release",         "lease",        LEASE),
    ("Outcome",         "lease",        LEASE),
    ("Outcome",         "error",        ERROR),
    ("Outcome",         "outcome",      WORD),
    ("StatusRequest",   "error",        ERROR),
    ("StatusRequest",   "status",       WORD),
    ("Cancellation",    "reason",       REASON),
    ("ApprovalRequest", "lease",        LEASE),
    ("ApprovalRequest", "reason",       REASON),
    ("Retarget",        "rule",         RULE),
    ("Retarget",        "reason",       REASON),
    ("Approve",         "comment",      REASON),
    ("Approve",         "digest",       DIGEST),
    ("Reject",          "comment",      REASON),
    ("Reject",          "reason",       REASON),
    ("Reject",          "digest",       DIGEST),
    ("Decision",        "comment",      REASON),
    ("Decision",        "decision",     WORD),
    ("Decision",        "digest",       DIGEST),
];

/// The parts of the engine's settings that checking a body needs.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The task types that may be submitted.
    pub types: Vec<Name>,
    /// The largest payload, metadata or result, in bytes.
    pub max_json_bytes: usize,
    /// The largest payload and metadata of an event together, in bytes.
    pub max_event_bytes: usize,
    /// How many failed attempts are retried, if the submission does not say.
    pub max_retries: u32,
    /// At what part of the SLA time to warn, in percent, if the submission does not say.
    pub warn_at_percent: u8,
}

impl From<&engine::Settings> for Limits {
    fn from(settings: &engine::Settings) -> Self {
        Self {
            types: settings.tasks.types.clone(),
            max_json_bytes: settings.tasks.max_payload_bytes,
            max_event_bytes: settings.events.max_publish_bytes,
            max_retries: settings.tasks.max_retries,
            warn_at_percent: settings.sla.warn_at_percent,
        }
    }
}
