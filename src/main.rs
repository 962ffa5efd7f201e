//! `orchestrator`: arguments → settings → app, and the exit code.

fn main() {}
