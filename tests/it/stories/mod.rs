//! Stories told with real processes over a private Redis: what an operator sees.

mod bridge;
mod command_line;
mod demo;
mod fleet;
mod outage;
mod stopping;
