//! Events from outside join the log.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::event::NewEvent;
use crate::domain::ids::TaskId;
use crate::domain::json::{with_line_feeds, with_member};
use crate::domain::principal::{Principal, Role, is_orchestrator};

use super::{Engine, Error};

/// An event's JSON from `event_type` on; id and time are the log's.
#[derive(Serialize)]
struct Body<'e> {
    event_type: &'e str,
    priority: &'static str,
    source_agent: &'e str,
    trace_id: Option<&'e str>,
    task_id: Option<TaskId>,
    payload: &'e RawValue,
    metadata: &'e RawValue,
}

/// What an event has beside its payload and metadata at the most, in bytes.
const EVENT_FRAME: usize = 2_048;

impl Engine {
    /// Publishes an event; returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::ShareUsed`] if the caller has published as much as it may for now, [`Error::ForeignSource`] if it is to come
    /// from another than the caller, who is no admin, or from the orchestrator itself.
    pub async fn publish(&self, caller: &Principal, event: NewEvent) -> Result<Uuid, Error> {
        let source_agent = event.source_agent.as_deref().unwrap_or(caller.name());
        let is_own = source_agent == caller.name() || caller.role() == Role::Admin;
        if !is_own || is_orchestrator(source_agent) {
            let caller = caller.name().to_owned();
            return Err(Error::ForeignSource { source_agent: source_agent.to_owned(), caller });
        }
        let unreadable = |error: serde_json::Error| Error::Corrupt(error.into());
        let raw = |text: String| RawValue::from_string(text).map_err(unreadable);
        // No transition of ours made this event, and a client cannot say otherwise.
        let metadata = event.metadata.map_or_else(|| raw("{}".to_owned()), Ok)?;
        let metadata = raw(with_member(&metadata, "external", "true"))?;
        let body = Body {
            event_type: &event.event_type,
            priority: event.priority.as_str(),
            source_agent,
            trace_id: event.trace_id.as_deref(),
            task_id: event.task_id,
            payload: &raw(with_line_feeds(&event.payload).into_owned())?,
            metadata: &raw(with_line_feeds(&metadata).into_owned())?,
        };
        let json = serde_json::to_string(&body).map_err(unreadable)?;
        let own =
            event.task_id.map(|id| id.partition()).filter(|partition| self.store.has(*partition));
        let partition = own.unwrap_or_else(|| self.store.partition_of(fastrand::u64(..)));
        // The scripts continue an object that they opened with the event's id and time.
        let json = json.strip_prefix('{').unwrap_or(&json);
        let settings = &self.settings.events;
        let all = settings.publish_bytes_per_minute;
        let part = all / self.store.partitions().count().max(1) as u64;
        let share = part.max((settings.max_publish_bytes + EVENT_FRAME) as u64);
        let actor = caller.to_string();
        let id = self.store.publish(partition, &actor, &event.event_type, json, share).await?;
        id.map(|id| id.to_uuid()).map_err(|wait_ms| Error::ShareUsed { wait_ms })
    }
}
