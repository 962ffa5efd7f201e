//! The integration tests: one binary that mirrors `src`, over real Redis and NATS servers and no fakes.
//!
//! Every test has a [`harness::Fleet`] of its own with a private Redis, so all of them run in parallel; its
//! `finish` has the doctor look at what the test left behind. Nothing sleeps: waiting is `harness::eventually`.
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http;
#[cfg(test)]
mod store;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod ui;
#[cfg(test)]
mod workers;
