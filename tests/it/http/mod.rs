//! What clients of the HTTP API are promised, over a real gateway on loopback.

mod approvals;
mod credentials;
mod hostile;
mod hostile_requests;
mod operations;
mod predecessor;
mod reading;
mod refusals;
mod service;
mod submitting;
mod waiting;
mod working;
