//! What clients send, and how it becomes domain values: every fault of a body is found at once.

mod approval;
mod batch;
mod bulk;
mod claim;
mod dispatch;
mod event;
mod idempotency;
mod key;
mod status;
mod submission;
mod trace_state;

pub use approval::{Approve, Ask, Decisions, Reject, Retarget};
pub use batch::Batch;
pub use bulk::BulkRequest;
pub use claim::ClaimRequest;
pub use dispatch::{Completion, Failure, Heartbeat, Outcomes, Release};
pub use event::PublishRequest;
pub use idempotency::IdempotencyHeader;
pub use key::{CreateKey, RotateKey};
pub use status::{Cancellation, StatusRequest};
pub use submission::{Submission, Trace};
pub use trace_state::TraceState;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::name::Name;
use crate::engine;

use super::bounds::{Number, Text};
use super::field::Fields;

/// The bounds of numbers in all bodies.
pub const NUMBERS: [&[Number]; 5] =
    [approval::NUMBERS, claim::NUMBERS, dispatch::NUMBERS, key::NUMBERS, submission::NUMBERS];

/// The bounds of texts in all bodies.
pub const TEXTS: [&[Text]; 7] = [
    approval::TEXTS,
    bulk::TEXTS,
    dispatch::TEXTS,
    event::TEXTS,
    key::TEXTS,
    status::TEXTS,
    submission::TEXTS,
];

/// Lists the objects of request bodies.
macro_rules! objects {
    ($($type:ty)*) => { $(impl Fields for $type {})* };
}

objects! {
    Approve Reject Decisions approval::DecisionItem Ask Retarget
    BulkRequest bulk::FilterRequest
    Submission Batch Cancellation StatusRequest PublishRequest Empty
    ClaimRequest Heartbeat dispatch::ProgressRequest
    Completion Failure Release Outcomes dispatch::OutcomeItem CreateKey RotateKey
}

/// No members: an empty object, which may be left out.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "NoMembers")]
pub struct Empty {}

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

#[cfg(test)]
pub static LIMITS: std::sync::LazyLock<Limits> = std::sync::LazyLock::new(|| Limits {
    types: ["faq", "bugfix", "deploy"].map(|kind| kind.parse().unwrap()).to_vec(),
    max_json_bytes: 100,
    max_event_bytes: 100,
    max_retries: 3,
    warn_at_percent: 80,
});
