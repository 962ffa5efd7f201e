//! What the tests stand on: a private Redis, a fleet over it, its people, and the one way to wait.

mod agents;
mod answers;
mod build;
mod events;
mod fleet;
mod gateway;
mod itself;
mod limit;
mod meter;
mod nats;
mod people;
mod processes;
mod proxy;
mod redis;
mod reports;
mod sentinel;
mod stream;
mod trial;
mod wait;
mod wire;

pub use agents::failed;
pub use answers::{Answer, Call};
pub use build::{Builder, engine_over};
pub use events::Seen;
pub use fleet::Fleet;
pub use gateway::{JWT_SECRET, KEYS, Site, key_of};
pub use limit::may_take;
pub use meter::{Costs, Meter};
pub use nats::{Message, Nats, NatsCaller, STREAM, jetstream_in};
pub use people::People;
pub use processes::{Client, Process, Program, resident_kb};
pub use proxy::{Fate, LossyProxy};
pub use redis::{Redis, follows_closely, used_memory};
pub use reports::{report_of, report_on};
pub use sentinel::Sentinel;
pub use stream::{Block, number};
pub use trial::Trial;
pub use wait::{BOUND, eventually, late, striking, within};
pub use wire::Wire;

use std::str::FromStr;

use orchestrator::domain::event::{EventPriority, NewEvent};
use orchestrator::domain::name::Name;
use orchestrator::domain::submission::{Idempotency, NewTask, Spec};
use serde_json::value::RawValue;

/// Asserts that a call was refused in this very way, and shows what came instead.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected the refusal {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;

/// A name that is known to be one.
pub fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

/// JSON, byte for byte.
pub fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// A plain submission: P2, from `user`, now.
pub fn new_task(kind: &str) -> NewTask {
    let spec = Spec::new(name(kind), name("user"), json("{}"));
    Spec { max_retries: 3, ..spec }.into()
}

/// An idempotency key and what stands for the digest of the body that came with it.
pub fn idempotency(key: &str, body: &str) -> Option<Idempotency> {
    Some(Idempotency { key: key.to_owned(), digest: format!("digest-of-{body}") })
}

/// An event from outside, about nothing in particular.
pub fn new_event(event_type: &str) -> NewEvent {
    NewEvent {
        event_type: event_type.to_owned(),
        source_agent: None,
        payload: json(r#"{"n":1}"#),
        task_id: None,
        trace_id: None,
        priority: EventPriority::Medium,
        metadata: None,
    }
}

/// The digest of the store's script of this name, by which it is called.
pub fn digest_of(script: &str) -> &'static str {
    &orchestrator::store::script::ALL.iter().find(|known| known.name == script).unwrap().digest
}
