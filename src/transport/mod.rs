//! NATS: the only module that names `async_nats`.
//!
//! Outwards, the events of the log become messages on `<prefix>.events.<type>`, in a JetStream stream where the
//! server has one. Inwards, agents and other systems call by request and reply; a request is handed, as it is, to
//! whoever answers HTTP, so that both have the same JSON, the same checks and the same credentials.
//!
//! Nothing here knows where events come from or who answers.

mod client;
mod echo;
mod publisher;
mod request;
mod servers;
mod service;
mod settings;

pub use client::{Error, connect};
pub use publisher::Publisher;
pub use request::{Call, TaskVerb};
pub use servers::fault_of_url;
pub use service::{Answer, Handler, Service, room_of};
pub use settings::Settings;

/// The connection to NATS; cheap to clone.
pub use async_nats::Client;
