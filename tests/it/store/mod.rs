//! What the store and the engine promise, over a real Redis.

mod approvals;
mod bytes;
mod idempotency;
mod leases;
mod lists;
mod pause;
mod schedule;
mod sla;
mod verbs;
mod walk;
