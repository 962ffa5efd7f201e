//! Stories told with real processes over a private Redis: what an operator sees.

mod abuse;
mod agent_run;
mod bridge;
mod bulks;
mod chaos;
mod command_line;
mod command_line_approvals;
mod command_line_audit;
mod command_line_bulks;
mod command_line_contexts;
mod command_line_output;
mod command_line_review;
mod command_line_tasks;
mod deadlines;
mod demo;
mod documented;
mod durability;
mod examples;
mod failover;
mod fleet;
mod killed;
mod outage;
mod revocation;
mod secrets;
mod stopping;
mod strangers;
