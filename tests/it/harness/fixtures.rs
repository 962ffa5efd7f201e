//! What tests submit, publish and set up, where it does not matter what it is.

use std::str::FromStr;
use std::time::Duration;

use data_encoding::BASE64;
use orchestrator::domain::approval::{Level, OnRejection};
use orchestrator::domain::bulk::BulkAction;
use orchestrator::domain::event::{EventPriority, NewEvent};
use orchestrator::domain::name::Name;
use orchestrator::domain::rules::{Action, Condition, SlaRule};
use orchestrator::domain::sla::{Sla, Threshold};
use orchestrator::domain::submission::{Idempotency, NewTask, Spec};
use orchestrator::engine::{BulkOrder, Question, TaskFilter};
use orchestrator::runtime::secret::Secret;
use orchestrator::store;
use serde_json::value::RawValue;
use serde_json::{Value, json as value};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const DAY: Duration = Duration::from_secs(86_400);

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

/// The same as a client of the API sends it.
pub fn new_body(kind: &str) -> Value {
    value!({"type": kind, "payload": {}})
}

/// A plain submission of type `faq` with an [`idempotency`] key.
pub fn keyed(key: &str, body: &str) -> NewTask {
    NewTask { idempotency: idempotency(key, body), ..new_task("faq") }
}

/// The settings of an encryption with the key `current`, that can read texts of the keys `ids`.
pub fn encryption(current: &str, ids: &[&str]) -> store::Encryption {
    let key = |id: &&str| {
        let bytes: Vec<u8> = id.bytes().cycle().take(32).collect();
        ((*id).to_owned(), Secret::new(BASE64.encode(&bytes)))
    };
    store::Encryption { key: current.to_owned(), keys: ids.iter().map(key).collect() }
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

/// What an agent asks a human, who calls the task off by a no.
pub fn question() -> Question {
    let on_rejection = OnRejection::Cancel;
    Question { reason: "may I?".to_owned(), action: None, on_rejection, expires_after_ms: None }
}

/// A promise to finish within so many ms, warned of after half of them.
pub fn finish_within(ms: u64) -> Sla {
    Sla {
        target: None,
        deadline: None,
        within_ms: Some(ms),
        start_deadline: None,
        start_within_ms: None,
        alert_threshold: 50,
    }
}

/// A bulk about every task to which the action applies.
pub fn bulk_of(action: BulkAction) -> BulkOrder {
    let filter = TaskFilter::default();
    BulkOrder { action, filter, priority: None, reason: None, is_dry_run: false }
}

/// A rule about every task; whom it notifies, if it does, is `oncall`.
pub fn sla_rule(on: Threshold, action: Action) -> SlaRule {
    let to = (action == Action::Notify).then(|| name("oncall"));
    SlaRule { on, clock: None, when: Condition::default(), action, to }
}

/// A level of an escalation at which everyone may decide, for so long.
pub fn open_level(expires_after_ms: u64) -> Level {
    Level { roles: Vec::new(), groups: Vec::new(), expires_after_ms }
}
