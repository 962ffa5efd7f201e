//! Events as the document describes them. No code builds these types: an event leaves as its stored
//! bytes.

use poem_openapi::Object;
use uuid::Uuid;

use crate::domain::event::EventPriority;
use crate::domain::ids::TaskId;
use crate::domain::name::Name;

use super::super::json::RawObject;
use super::super::text::EventType;
use super::At;

/// An event of the log.
#[derive(Object)]
#[oai(rename = "Event")]
pub struct EventView {
    /// The id of the event, which never changes.
    event_id: Uuid,
    /// When the log accepted the event.
    timestamp: At,
    event_type: EventType,
    /// How urgent the event is.
    priority: EventPriority,
    /// The source of the event: an agent, a client or `orchestrator`.
    source_agent: String,
    /// The id that joins the event with the client's traces.
    trace_id: Option<String>,
    /// The task that the event is about.
    task_id: Option<TaskId>,
    /// The tenant of the task, agent or client; absent if it has none.
    tenant: Option<Name>,
    /// The facts of the event; its type says which members there are.
    payload: RawObject,
    /// More information for subscribers; `external` is true if a client published the event.
    metadata: RawObject,
}

/// A page of the event log.
#[derive(Object)]
#[oai(rename = "EventPage")]
pub struct EventPageView {
    /// The events of the page, oldest first.
    items: Vec<EventView>,
    /// The `after` of the next page, now or later: the log never ends.
    next_cursor: String,
    /// Whether the log has more events after this page now. A page may be short, even empty, and
    /// still have more.
    has_more: bool,
    /// Whether events after the requested cursor were trimmed from the log.
    has_gap: bool,
}
