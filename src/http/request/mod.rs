//! What clients send, and how it becomes domain values: every fault of a body is found at once.

mod approval;
mod dispatch;
mod event;
mod idempotency;
mod status;
mod submission;

pub use approval::{Approve, Reject};
pub use dispatch::{ClaimRequest, Completion, Failure, Heartbeat, OutcomeItem, Outcomes, Release};
pub use event::PublishRequest;
pub use idempotency::IdempotencyHeader;
pub use status::{Cancellation, StatusRequest};
pub use submission::{Batch, Submission, Trace};

use crate::engine;

/// What a body is measured against: the parts of the engine's settings that reading one needs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest payload, metadata or result, in bytes.
    pub max_json_bytes: usize,
    /// How many failed attempts are followed by another, where the submission does not say.
    pub max_retries: u32,
    /// After how much of the time to warn, in percent, where the submission does not say.
    pub warn_at_percent: u8,
}

impl From<&engine::Settings> for Limits {
    fn from(settings: &engine::Settings) -> Self {
        Self {
            max_json_bytes: settings.tasks.max_payload_bytes,
            max_retries: settings.tasks.max_retries,
            warn_at_percent: settings.sla.warn_at_percent,
        }
    }
}
