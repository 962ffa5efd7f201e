//! What the store and the engine promise, over a real Redis.

mod approvals;
mod asking;
mod audit;
mod bytes;
mod decision_races;
mod decisions;
mod doctor;
mod events;
mod every_call;
mod idempotency;
mod leases;
mod lists;
mod lost_answers;
mod lost_data;
mod outages;
mod partitions;
mod pause;
mod repair;
mod repair_gate;
mod replicas;
mod retention;
mod schedule;
mod sla;
mod verbs;
mod walk;
mod ward;
