//! Claims: how agents request tasks.

use std::ops::RangeInclusive;
use std::time::Duration;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::name::{Name, Worker};
use crate::domain::time::Millis;
use crate::engine::Claim;

use super::super::bounds::{LEASE_MS, Number};
use super::super::field::{Faults, Field};

/// How many tasks one claim may return at most.
const CLAIM: RangeInclusive<u32> = 1..=100;

/// The range of a claim's wait, in milliseconds: 0 to 60 s.
const WAIT_MS: RangeInclusive<Millis> = 0..=60_000;

/// The bounds of numbers in these bodies.
pub const NUMBERS: &[Number] = &[
    ("ClaimRequest", "max", *CLAIM.start() as u64, *CLAIM.end() as u64),
    ("ClaimRequest", "wait_ms", *WAIT_MS.start(), *WAIT_MS.end()),
    ("ClaimRequest", "lease_ms", *LEASE_MS.start(), *LEASE_MS.end()),
];

/// An agent's request for tasks of its subject.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct ClaimRequest {
    /// The name of the agent's process, which its sessions show.
    worker: Field<Worker>,
    /// The most tasks to return, 1 to 100; 1 if left out.
    max: Field<Option<u32>>,
    /// How long to wait for the first task, in milliseconds, at most 60,000; 0 if left out.
    wait_ms: Field<Option<u64>>,
    /// How long each lease lasts without a heartbeat, in milliseconds, 1 s to 1 h; as configured
    /// if left out.
    lease_ms: Field<Option<u64>>,
}

impl ClaimRequest {
    /// Returns the claim that `agent` makes with this body.
    pub fn into_claim(self, faults: &mut Faults, agent: Name) -> Option<Claim> {
        let worker = faults.required("worker", self.worker);
        let max = faults.within("max", self.max, CLAIM).unwrap_or(1);
        let wait_ms = faults.within("wait_ms", self.wait_ms, WAIT_MS).unwrap_or(0);
        let lease_ms = faults.within("lease_ms", self.lease_ms, LEASE_MS);
        Some(Claim {
            agent,
            worker: worker?,
            max,
            wait: Duration::from_millis(wait_ms),
            lease_ms,
            room: None,
        })
    }
}
