//! Claims: how agents request tasks.

use std::time::Duration;

use poem_openapi::Object;
use serde::Deserialize;

use crate::domain::name::{Name, Worker};
use crate::engine::Claim;

use super::super::bounds::{CLAIM, LEASE_MS, WAIT_MS};
use super::super::error::Refusal;
use super::super::field::{Faults, Field};
use super::super::unknown::{Unknown, requests};

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
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(ClaimRequest);

impl ClaimRequest {
    /// Returns the claim that `agent` makes with this body.
    ///
    /// # Errors
    ///
    /// Every field that is wrong.
    pub fn into_claim(mut self, agent: Name) -> Result<Claim, Refusal> {
        let mut faults = std::mem::take(&mut self.unknown).into_faults();
        let claim = self.read(&mut faults, agent);
        Ok(faults.finish(claim)?)
    }

    /// Reads the claim as a part of a larger body; every fault is noted in `faults`.
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
            worker: worker?,
            max,
            wait: Duration::from_millis(wait_ms),
            lease_ms,
            room: None,
        })
    }
}
