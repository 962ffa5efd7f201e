//! What any long-running process needs. These modules know nothing of tasks, agents or the store's
//! content.

pub mod address;
pub mod aside;
pub mod backoff;
pub mod chain;
pub mod panic;
pub mod process;
pub mod receipt;
pub mod redis_server;
pub mod scratch;
pub mod secret;
pub mod session_key;
pub mod signal;
pub mod telemetry;
pub mod tls;
pub mod visible;
