//! The rules of the product, pure: no I/O, no async, no clock.
//!
//! All of it can be tested by plain calls. The table in [`lifecycle`] alone decides how tasks move.

pub mod api_key;
pub mod approval;
pub mod audit;
pub mod bulk;
pub mod call_class;
pub mod content;
pub mod decision;
pub mod event;
pub mod folded;
pub mod ids;
pub mod json;
pub mod lease;
pub mod lifecycle;
pub mod name;
pub mod nearest;
pub mod network;
pub mod parent;
pub mod people;
pub mod principal;
pub mod priority;
pub mod report;
pub mod restrictions;
pub mod retry;
pub mod role;
pub mod rules;
pub mod size;
pub mod sla;
pub mod source;
pub mod strength;
pub mod submission;
pub mod task;
pub mod text;
pub mod time;
pub mod trace;
pub mod word;
