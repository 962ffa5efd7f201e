//! The bounds of members of request bodies, each defined once for reading and for the API document.

use std::ops::RangeInclusive;

use crate::domain::principal::MAX_NAME;
use crate::domain::text::Bound;
use crate::domain::time::Millis;
use crate::engine::QUORUM;

/// The range of the delay of a start, in milliseconds: up to a year.
pub const DELAY_MS: RangeInclusive<Millis> = 0..=365 * 24 * 3_600_000;

/// The range of the time of one attempt, in milliseconds: 1 s to 7 days.
pub const TIMEOUT_MS: RangeInclusive<Millis> = 1_000..=7 * 24 * 3_600_000;

/// The range of the number of failed attempts that are retried.
pub const MAX_RETRIES: RangeInclusive<u32> = 0..=100;

/// The range of the part of the SLA time at which to warn, in percent.
pub const THRESHOLD: RangeInclusive<u8> = 1..=100;

/// How many tasks one claim may return at most.
pub const CLAIM: RangeInclusive<u32> = 1..=100;

/// The range of a claim's wait, in milliseconds: 0 to 60 s.
pub const WAIT_MS: RangeInclusive<Millis> = 0..=60_000;

/// The range of the wait before a retry that an agent may choose, in milliseconds: up to 7 days.
pub const RETRY_AFTER_MS: RangeInclusive<Millis> = 0..=7 * 24 * 3_600_000;

/// The range of the time until an approval expires, in milliseconds: 1 s to 1 year.
pub const EXPIRES_MS: RangeInclusive<Millis> = 1_000..=365 * 24 * 3_600_000;

/// The range of a lease, in milliseconds: 1 s to 1 h.
pub const LEASE_MS: RangeInclusive<Millis> = 1_000..=3_600_000;

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
pub const REASON: Bound = Bound { chars: 1_000, bytes: 4_096 };

/// The bound of the error of a failed attempt.
pub const ERROR: Bound = Bound { chars: 8_192, bytes: 8_192 };

/// The bound of the message of a heartbeat.
pub const MESSAGE: Bound = Bound { chars: 500, bytes: 2_048 };

/// The bound of an SLA target in the client's words.
pub const TARGET: Bound = Bound { chars: 64, bytes: 256 };

/// The bound of the source of an event.
pub const SOURCE: Bound = Bound { chars: MAX_NAME, bytes: 4 * MAX_NAME };

/// The bound of the name of an approval rule.
pub const RULE: Bound = Bound { chars: 256, bytes: 1_024 };

/// The bound of a word from a closed list, whose longest is `in_progress`.
pub const WORD: Bound = Bound { chars: 11, bytes: 11 };

/// The bound of a lease, which has 22 characters.
pub const LEASE: Bound = Bound { chars: 64, bytes: 64 };

/// The bound of a SHA-256 digest in hexadecimal.
pub const DIGEST: Bound = Bound { chars: 64, bytes: 64 };

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
