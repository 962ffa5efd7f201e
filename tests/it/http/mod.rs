//! The gateway over real sockets.

mod events;
mod events_flow;
mod events_forms;
mod site;

use site::{Block, Site};
