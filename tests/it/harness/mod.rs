//! What the tests stand on: a private Redis, a fleet over it, its people, and the one way to wait.

mod agents;
mod answers;
mod build;
mod client;
mod cluster;
mod deployment;
mod events;
mod fixtures;
mod fleet;
mod gateway;
mod itself;
mod keys;
mod limit;
mod meter;
mod metrics;
mod nats;
mod oidc;
mod people;
mod processes;
mod proxy;
mod redis;
mod reports;
mod sentinel;
mod stream;
mod terminal;
mod tls;
mod trial;
mod wait;
mod wire;

pub use agents::failed;
pub use answers::{Answer, Call, head, json_of, request};
pub use build::{Builder, defaults, engine_over, engine_told};
pub use client::{Client, connections};
pub use cluster::Cluster;
pub use deployment::Deployment;
pub use events::Seen;
pub use fixtures::{
    DAY, HOUR, MINUTE, bulk_of, encryption, finish_within, idempotency, json, keyed, name,
    new_body, new_event, new_task, open_level, question, sla_rule,
};
pub use fleet::Fleet;
pub use gateway::{JWT_SECRET, KEYS, Site, auth, bearer, key_of, token};
pub use keys::{
    FIELDS, GRANTS, LAYOUT, LEAVE_INDEX, LOSE_TIMER, STATE_LETTERS, approval_key, channel_of, key,
    key_in, key_under, place_in, with_all_words,
};
pub use limit::may_take;
pub use meter::{Costs, Meter};
pub use nats::{Message, Nats, NatsCaller, STREAM, jetstream_in};
pub use oidc::OpenId;
pub use people::People;
pub use processes::{Process, Program, free_port, resident_kb};
pub use proxy::{Fate, LossyProxy};
pub use redis::{Redis, follows_closely, used_memory};
pub use reports::{approval_of, id_of, report_of, report_on};
pub use sentinel::Sentinel;
pub use stream::{Block, number};
pub use tls::Tls;
pub use trial::Trial;
pub use wait::{BOUND, eventually, late, looking_on, striking, within};
pub use wire::Wire;

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

/// The digest of the store's script of this name, by which it is called.
pub fn digest_of(script: &str) -> &'static str {
    &orchestrator::store::script::ALL.iter().find(|known| known.name == script).unwrap().digest
}
