//! Events: what happens to tasks, approvals and agents, and what clients publish.

use std::borrow::Cow;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ids::{EventId, TaskId};
use super::json::sole_member;
use super::name::Name;
use super::priority::Priority;
use super::text::{percent_encoded, quoted};
use super::trace::{is_traceparent, is_tracestate};
use super::word::words;

/// The event types that the product knows. Clients may publish other types of the same form.
pub const KNOWN_TYPES: &[&str] = &[
    "task.created",
    "task.assigned",
    "task.started",
    "task.progress",
    "task.retrying",
    "task.lost",
    "task.completed",
    "task.failed",
    "task.cancelled",
    "task.requeued",
    "task.released",
    "task.promoted",
    "task.blocked",
    "task.reprioritized",
    "approval.requested",
    "approval.approved",
    "approval.rejected",
    "approval.expired",
    "approval.voted",
    "approval.changed",
    "approval.escalated",
    "approval.retargeted",
    "approval.reminder",
    "approval.mismatch",
    "bulk.completed",
    "bulk.aborted",
    "sla.warning",
    "sla.violation",
    "sla.notification",
    "deploy.started",
    "deploy.succeeded",
    "deploy.failed",
    "alert.triggered",
    "alert.ack",
    "alert.resolved",
    "pr.opened",
    "pr.merged",
    "kb.updated",
    "kb.gap_detected",
    "agent.online",
    "agent.offline",
    "agent.paused",
    "agent.resumed",
];

/// The regular expression of event types, which error messages and the API document show.
pub const TYPE_PATTERN: &str = "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$";

/// The longest event type, in bytes. It is part of the names of channels and NATS subjects.
pub const MAX_TYPE_BYTES: usize = 128;

/// Returns whether `text` is an event type: at least two words of `a-z 0-9 _`, joined by dots.
pub fn is_event_type(text: &str) -> bool {
    text.len() <= MAX_TYPE_BYTES && text.contains('.') && text.split('.').all(is_type_word)
}

/// Whether `word` is a part of an event type: a lower-case letter, then any of `a-z 0-9 _`.
fn is_type_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The event types that a subscriber receives: one such as `deploy.succeeded`, a family with
/// `deploy.*`, or all with `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypePattern {
    /// Every type.
    All,
    /// Every type that begins with this text, which ends with a dot.
    Family(String),
    /// Exactly this type, and no other.
    One(String),
}

/// The error of reading a text that is not a [`TypePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an event type such as `deploy.succeeded`, a family such as `deploy.*`, or `*`")]
pub struct NotAPattern;

impl FromStr for TypePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            // A family is the beginning of a type, cut after one of its dots.
            Some(family) if family.ends_with('.') && is_event_type(&format!("{family}x")) => {
                Ok(Self::Family(family.to_owned()))
            }
            None if is_event_type(text) => Ok(Self::One(text.to_owned())),
            Some(_) | None => Err(NotAPattern),
        }
    }
}

impl TypePattern {
    /// Returns whether the pattern includes events of the type `event_type`.
    pub fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::Family(family) => event_type.starts_with(family.as_str()),
            Self::One(one) => event_type == one,
        }
    }
}

/// An event as it was read from the log of its partition.
#[derive(Clone, Debug)]
pub struct Event {
    /// The identifier, which is also the cursor of the event in the log.
    pub id: EventId,
    /// What happened: a type that satisfies [`is_event_type`].
    pub event_type: String,
    /// The agent or caller that caused or published the event.
    pub source_agent: String,
    /// The task that the event is about. `None` if it concerns no task.
    pub task_id: Option<TaskId>,
    /// The tenant of the task, agent or caller that the event is about. `None` if it has none.
    pub tenant: Option<Name>,
    /// The W3C trace context of the task's submission. `None` if it had none.
    pub traceparent: Option<String>,
    /// The `tracestate` beside it. `None` if the submission had none.
    pub tracestate: Option<String>,
    /// The whole event as JSON, in the form that HTTP, SSE and NATS deliver.
    pub json: String,
}

impl Event {
    /// Reads the event at `id` of the log from the rest of its JSON: from `"event_type"` to the
    /// closing brace. The id and the time are added.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not the rest of an event.
    pub fn read(id: EventId, tail: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head<'t> {
            #[serde(borrow)]
            event_type: Cow<'t, str>,
            #[serde(borrow)]
            source_agent: Cow<'t, str>,
            task_id: Option<TaskId>,
            #[serde(default)]
            tenant: Option<Name>,
            // The reader that accepted the client's metadata also skips it here.
            #[serde(borrow, default)]
            metadata: Option<&'t RawValue>,
        }

        let json = format!(r#"{{"event_id":"{id}","timestamp":"{}",{tail}"#, id.timestamp());
        let head: Head<'_> = serde_json::from_str(&json)?;
        // A client's metadata may contain any value under this name.
        let text = |name: &str| {
            let member = head.metadata.and_then(|metadata| sole_member(metadata, name))?;
            serde_json::from_str::<String>(member.get()).ok()
        };
        let (traceparent, tracestate) = (text("traceparent"), text("tracestate"));
        let event_type = head.event_type.into_owned();
        let source_agent = head.source_agent.into_owned();
        let Head { task_id, tenant, .. } = head;
        Ok(Self { id, event_type, source_agent, task_id, tenant, traceparent, tracestate, json })
    }

    /// Returns the event as a CloudEvent 1.0 in structured mode, whose `data` is the whole event.
    ///
    /// * `fleet`: see [`Event::cloud_source`].
    pub fn to_cloud_event(&self, fleet: &str) -> String {
        let subject = self.task_id.map(|id| format!(r#","subject":"{id}""#)).unwrap_or_default();
        let trace = self.trace_context().into_iter();
        let trace: String =
            trace.map(|(name, text)| format!(",\"{name}\":{}", quoted(text))).collect();
        let id = self.id;
        let source = serde_json::Value::from(self.cloud_source(fleet));
        let event_type = &self.event_type;
        let time = self.id.timestamp();
        let head = format!(r#""specversion":"1.0","id":"{id}","source":{source}"#);
        let kind = format!(r#""type":"{event_type}","time":"{time}""#);
        let data = &self.json;
        let data = format!(r#""datacontenttype":"application/json"{subject}{trace},"data":{data}"#);
        format!("{{{head},{kind},{data}}}")
    }

    /// Returns the parts of the trace context by their names, as far as they are valid. A client's
    /// metadata may contain any text under these names.
    pub fn trace_context(&self) -> Vec<(&'static str, &str)> {
        let parent = self.traceparent.as_deref().filter(|text| is_traceparent(text));
        let Some(parent) = parent else { return Vec::new() };
        let state = self.tracestate.as_deref().filter(|text| is_tracestate(text));
        let state = state.map(|state| ("tracestate", state));
        [("traceparent", parent)].into_iter().chain(state).collect()
    }

    /// Returns the CloudEvents attribute `source`: a URI reference that names the source agent.
    ///
    /// * `fleet`: what it begins with, by which the events of two fleets differ; see
    ///   [`super::source::is_fleet_source`].
    pub fn cloud_source(&self, fleet: &str) -> String {
        // The bytes that a segment of a URI path may contain. An admin may publish for any source.
        let source = percent_encoded(&self.source_agent, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
        });
        format!("{fleet}/{source}")
    }
}

words! {
    /// How urgent an event is. An event about a task takes it from the task's priority.
    pub enum EventPriority {
        /// Of a P0 task.
        Critical = "critical",
        /// Of a P1 task.
        High = "high",
        /// Of a P2 task; the default.
        Medium = "medium",
        /// Of a P3 task.
        Low = "low",
    }
}

impl From<Priority> for EventPriority {
    fn from(priority: Priority) -> Self {
        // Both lists are in the same order.
        Self::ALL[priority as usize]
    }
}

/// An event that a client publishes.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened: a type that satisfies [`is_event_type`].
    pub event_type: String,
    /// The source of the event. `None` means the caller; another caller's name is refused.
    pub source_agent: Option<String>,
    /// The content of the event: a JSON object, kept byte for byte.
    pub payload: Box<RawValue>,
    /// The task that the event is about. `None` if it concerns no task.
    pub task_id: Option<TaskId>,
    /// The client's own trace id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub trace_id: Option<String>,
    /// How urgent the event is; `medium` if the client does not say.
    pub priority: EventPriority,
    /// A JSON object, kept byte for byte except for `external`. That member is shown as true,
    /// because no transition of a task made the event.
    pub metadata: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::super::ids::Partition;
    use super::*;

    #[test]
    fn the_documentation_lists_every_type_of_ours() {
        let page = include_str!("../../docs/events.md");
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains(", `."));
        let mut listed = Vec::new();
        for row in rows {
            let mut family = "";
            for word in row.split('`').skip(1).step_by(2) {
                family = word.split('.').next().filter(|word| !word.is_empty()).unwrap_or(family);
                listed.push(format!("{family}.{}", word.rsplit('.').next().unwrap_or_default()));
            }
        }
        listed.sort();
        let ours = ["task.", "approval.", "bulk.", "sla.", "agent."];
        let known = KNOWN_TYPES.iter().filter(|known| ours.iter().any(|of| known.starts_with(of)));
        let mut known: Vec<_> = known.map(|known| (*known).to_owned()).collect();
        known.sort();
        assert_eq!(listed, known);
    }

    #[test]
    fn the_known_types_are_types() {
        assert!(KNOWN_TYPES.iter().all(|text| is_event_type(text)));
        for bad in [
            "task",
            "task.",
            ".task",
            "task..x",
            "Task.x",
            "task.*",
            "task.x y",
            "task.1",
            &"a.b".repeat(50),
        ] {
            assert!(!is_event_type(bad), "{bad}");
        }
    }

    #[test]
    fn a_pattern_wants_a_type_a_family_or_all() {
        let wants = |pattern: &str, event_type: &str| {
            TypePattern::from_str(pattern).map(|p| p.matches(event_type))
        };

        assert_eq!(wants("*", "deploy.started"), Ok(true));
        assert_eq!(wants("deploy.*", "deploy.started"), Ok(true));
        assert_eq!(wants("deploy.*", "deployment.started"), Ok(false));
        assert_eq!(wants("deploy.started", "deploy.succeeded"), Ok(false));
        for bad in ["", "deploy", "deploy*", "*.started", "deploy..*", "Deploy.*", ".*"] {
            assert!(TypePattern::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_client_metadata_makes_an_event_unreadable() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (metadata, expected) in [
            (r#"{"traceparent":1e400}"#.to_owned(), None),
            (r#"{"\ud800":1,"traceparent":"\udc00"}"#.to_owned(), None),
            (r#"{"traceparent":"a","traceparent":"b"}"#.to_owned(), None),
            (format!(r#"{{"\ud800":1e999,"tracep\u0061rent":"{trace}"}}"#), Some(trace)),
        ] {
            let tail = format!(
                r#""event_type":"pr.merged","source_agent":"x","task_id":null,"payload":{{}},"metadata":{metadata}}}"#
            );

            let event = Event::read(EventId::first(Partition(0)), &tail).unwrap();

            assert_eq!(event.traceparent.as_deref(), expected, "{metadata}");
            assert!(event.json.ends_with(&tail));
        }
    }

    #[test]
    fn any_source_makes_a_uri_reference() {
        let id = EventId::first(Partition(0));
        let of = |source: &str| {
            Event::read(
                id,
                &format!(r#""event_type":"pr.merged","source_agent":"{source}","task_id":null}}"#),
            )
            .unwrap()
        };

        let source = of("alice@example.com").cloud_source("/orchestrator");
        assert_eq!(source, "/orchestrator/alice@example.com");
        let source = of("my agent/1%é").cloud_source("urn:fleet:eu");
        assert_eq!(source, "urn:fleet:eu/my%20agent%2F1%25%C3%A9");
    }

    #[test]
    fn an_event_has_its_id_and_time() {
        let id =
            EventId { at_ms: 1_764_000_000_123, sequence: 0, index: 2, partition: Partition(0) };
        let tail = r#""event_type":"pr.merged","source_agent":"dev","task_id":null,"payload":{"n":1e400},"metadata":{}}"#;

        let event = Event::read(id, tail).unwrap();

        assert_eq!(event.event_type, "pr.merged");
        assert!(
            event.json.contains(r#""timestamp":"2025-11-24T16:00:00.123Z","#),
            "{}",
            event.json
        );
        assert!(event.to_cloud_event("/eu").contains(r#""source":"/eu/dev","type":"pr.merged""#));
    }
}
