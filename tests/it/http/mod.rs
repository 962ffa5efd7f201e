//! What clients of the HTTP API are promised, over a real gateway on loopback.

mod answers;
mod approvals;
mod audit;
mod budgets;
mod connections;
mod credentials;
mod events;
mod events_flow;
mod events_forms;
mod every_byte;
mod fences;
mod half_closed;
mod hostile;
mod hostile_requests;
mod metrics;
mod names;
mod operations;
mod people;
mod predecessor;
mod reading;
mod refusals;
mod reopening;
mod service;
mod site;
mod sizes;
mod submitting;
mod times;
mod understood;
mod waiting;
mod why_waiting;
mod working;

use site::{Block, Site};
