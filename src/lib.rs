//! The MorningAI Orchestrator.
pub mod domain;
pub mod engine;
pub mod http;
