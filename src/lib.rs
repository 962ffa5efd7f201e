//! The MorningAI Orchestrator.
pub mod app;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod workers;
