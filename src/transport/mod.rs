//! NATS: the only module that names `async_nats`.
//!
//! Outwards, the events of the log become messages on `<prefix>.events.<type>`, in a JetStream
//! stream if the server has JetStream. Inwards, agents and other systems call by request and reply.
//! Each request is passed, as it is, to the handler that answers HTTP, so that both have the same
//! JSON, the same checks and the same credentials.
//!
//! This module does not know where events come from or how requests are answered.

mod client;
mod echo;
pub mod fuzz;
mod publisher;
mod request;
mod servers;
mod service;
mod settings;
mod signature;

pub use client::{Error, connect};
pub use publisher::Publisher;
pub use request::{Call, TaskVerb};
pub use servers::fault_of_url;
pub use service::{Answer, Handler, Service, room_of};
pub use settings::{Credentials, Settings};

/// The connection to NATS; it is cheap to clone.
pub use async_nats::Client;
