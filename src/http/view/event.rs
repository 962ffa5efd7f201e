//! Events, as the document describes them. They are never built: an event goes out as the bytes that it is kept as.

use poem_openapi::Object;
use uuid::Uuid;

use crate::domain::event::EventPriority;
use crate::domain::ids::TaskId;

use super::super::json::RawObject;
use super::super::text::{EventType, Text};
use super::At;

/// Something that happened.
#[derive(Object)]
#[oai(rename = "Event")]
pub struct EventView {
    /// Its name for ever.
    event_id: Uuid,
    /// When the log took it in.
    timestamp: At,
    /// What happened. Known: task.created .assigned .started .progress .retrying .lost .completed .failed .cancelled
    /// .requeued .released .promoted .reprioritized, approval.requested .approved .rejected .expired, sla.warning .violation .notification,
    /// deploy.started .succeeded .failed, alert.triggered .ack .resolved, pr.opened .merged, kb.updated
    /// .gap_detected, agent.online .offline; others of this form may be published.
    event_type: Text<EventType>,
    /// How urgent it is.
    priority: Text<EventPriority>,
    /// Who said so.
    source_agent: String,
    /// Joins it with the client's traces.
    trace_id: Option<String>,
    /// The task that it is about.
    task_id: Option<Text<TaskId>>,
    /// What is to be said of it.
    payload: RawObject,
    /// What else subscribers should know; `external` is true if a client published it.
    metadata: RawObject,
}

/// An event as a CloudEvent 1.0 in structured mode.
#[derive(Object)]
#[oai(rename = "CloudEvent")]
pub struct CloudEventView {
    /// Always `1.0`.
    specversion: String,
    /// The id of the event.
    id: Uuid,
    /// Who said so, as a path: `/orchestrator/<source agent>`.
    source: String,
    /// What happened.
    #[oai(rename = "type")]
    kind: Text<EventType>,
    /// When the log took it in.
    time: At,
    /// Always `application/json`.
    datacontenttype: String,
    /// The task that it is about; absent: none.
    subject: Option<Text<TaskId>>,
    /// The W3C trace context of the task's submission; absent: none.
    traceparent: Option<String>,
    /// The event itself.
    data: EventView,
}

/// A page of the event log.
#[derive(Object)]
#[oai(rename = "EventPage")]
pub struct EventPageView {
    /// The events, oldest first.
    items: Vec<EventView>,
    /// What to send as `after` for the next page, now or later: the log never ends.
    next_cursor: String,
    /// Whether the log goes on after this page now. A page may be short, even empty, though it does.
    has_more: bool,
    /// Whether events after the place that was asked for were trimmed from the log.
    has_gap: bool,
}

/// A page of the event log with CloudEvents.
#[derive(Object)]
pub struct CloudEventPage {
    /// The events, oldest first.
    items: Vec<CloudEventView>,
    /// What to send as `after` for the next page, now or later: the log never ends.
    next_cursor: String,
    /// Whether the log goes on after this page now. A page may be short, even empty, though it does.
    has_more: bool,
    /// Whether events after the place that was asked for were trimmed from the log.
    has_gap: bool,
}
