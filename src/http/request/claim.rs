//! Claims of agents.

use std::ops::RangeInclusive;
use std::time::Duration;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::name::{Name, Worker};
use crate::domain::task::Millis;
use crate::engine::Claim;

use super::super::error::Refusal;
use super::super::field::{Faults, Field};
use super::super::text::Text;
use super::super::unknown::{Unknown, requests};
use super::dispatch::LEASE_MS;

/// How many tasks one claim may hand out.
pub(super) const CLAIM: RangeInclusive<u32> = 1..=100;

/// How long a claim may wait, in milliseconds.
pub(super) const WAIT_MS: RangeInclusive<Millis> = 0..=60_000;

/// An agent asks for work.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct ClaimRequest {
    /// What this process of the agent calls itself.
    worker: Field<Text<Worker>>,
    /// The most tasks to hand out, 1 to 100; 1 if left out.
    max: Field<Option<u32>>,
    /// How long to wait for the first, in milliseconds, at most 60,000; 0 if left out.
    wait_ms: Field<Option<u64>>,
    /// How long the agent may stay silent, in milliseconds, 1 s to 1 h; as configured if left out.
    lease_ms: Field<Option<u64>>,
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(ClaimRequest);

impl ClaimRequest {
    /// The claim of `agent`.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_claim(mut self, agent: Name) -> Result<Claim, Refusal> {
        let mut faults = std::mem::take(&mut self.unknown).into_faults();
        let claim = self.read(&mut faults, agent);
        faults.finish(claim)
    }

    /// Reads the claim as a part of a body; every fault is noted.
    pub(super) fn read(self, faults: &mut Faults, agent: Name) -> Option<Claim> {
        let worker = faults.required("worker", self.worker);
        let max = faults.optional("max", self.max);
        let max = faults.within("max", max, CLAIM).unwrap_or(1);
        let wait_ms = faults.optional("wait_ms", self.wait_ms);
        let wait_ms = faults.within("wait_ms", wait_ms, WAIT_MS).unwrap_or(0);
        let lease_ms = faults.optional("lease_ms", self.lease_ms);
        let lease_ms = faults.within("lease_ms", lease_ms, LEASE_MS);
        Some(Claim {
            agent,
            worker: worker?.0,
            max,
            wait: Duration::from_millis(wait_ms),
            lease_ms,
            room: None,
        })
    }
}
