//! Events that clients publish.

use poem_openapi::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::event::{EventPriority, NewEvent};
use crate::domain::ids::TaskId;
use crate::domain::principal::MAX_NAME;
use crate::domain::text::Bound;

use super::super::bounds::Text;
use super::super::field::{Faults, Field};
use super::super::json::RawObject;
use super::super::text::{EventType, TraceId};
use super::Limits;

/// The bound of the source of an event.
const SOURCE: Bound = Bound { chars: MAX_NAME, bytes: 4 * MAX_NAME };

/// The bounds of texts in these bodies.
pub const TEXTS: &[Text] = &[("PublishRequest", "source_agent", SOURCE)];

/// An event to publish.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
pub struct PublishRequest {
    event_type: Field<EventType>,
    /// The source of the event: the caller's own name, which is also the default. `orchestrator` is
    /// reserved.
    source_agent: Field<Option<String>>,
    /// A JSON object, nested at most 64 deep, passed on byte for byte, except that line breaks
    /// between tokens become line feeds. Together with the metadata at most 65,536 bytes, unless
    /// configured otherwise.
    payload: Field<RawObject>,
    /// The task that the event is about.
    task_id: Field<Option<TaskId>>,
    /// The id that joins the event with your traces.
    trace_id: Field<Option<TraceId>>,
    /// How urgent the event is; medium if left out.
    priority: Field<Option<EventPriority>>,
    /// More information for subscribers: a JSON object, nested at most 64 deep. `external` is set
    /// to true.
    metadata: Field<Option<RawObject>>,
}

impl PublishRequest {
    /// Returns the event to publish.
    pub fn into_event(self, faults: &mut Faults, limits: &Limits) -> Option<NewEvent> {
        let event_type = faults.required("event_type", self.event_type);
        let source_agent = faults.short("source_agent", self.source_agent, SOURCE);
        let payload = faults.required("payload", self.payload).map(|object| object.0);
        let task_id = faults.optional("task_id", self.task_id);
        let trace_id = faults.optional("trace_id", self.trace_id).map(|id| id.0);
        let priority = faults.optional("priority", self.priority).unwrap_or(EventPriority::Medium);
        let metadata = faults.optional("metadata", self.metadata).map(|object| object.0);
        let found = bytes(payload.as_deref()) + bytes(metadata.as_deref());
        let most = limits.max_event_bytes;
        if found > most {
            let detail =
                format!("has {found} bytes with the metadata; at most {most} are accepted");
            faults.add("payload", detail);
        }
        Some(NewEvent {
            event_type: event_type?.0,
            source_agent,
            payload: payload?,
            task_id,
            trace_id,
            priority,
            metadata,
        })
    }
}

fn bytes(json: Option<&RawValue>) -> usize {
    json.map_or(0, |json| json.get().len())
}
