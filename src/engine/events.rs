//! Publishing events of clients to the log.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::event::{EventPriority, NewEvent};
use crate::domain::ids::TaskId;
use crate::domain::json::{with_line_feeds, with_member};
use crate::domain::name::Name;
use crate::domain::principal::{ORCHESTRATOR, Principal, Role, is_orchestrator};

use super::{Engine, Error};

/// The JSON of an event from `event_type` on. The log adds the id and the time.
#[derive(Serialize)]
pub(super) struct Body<'e> {
    event_type: &'e str,
    priority: &'static str,
    source_agent: &'e str,
    trace_id: Option<&'e str>,
    task_id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'e Name>,
    payload: &'e RawValue,
    metadata: &'e RawValue,
}

impl Body<'_> {
    /// Returns the JSON of an event that the orchestrator adds by itself, about no single task.
    ///
    /// * `tenant`: the tenant that sees it. `None` if it is of no tenant.
    /// * `payload`: a JSON object.
    pub(super) fn of_ours(
        event_type: &str,
        tenant: Option<&Name>,
        payload: &str,
    ) -> Result<String, Error> {
        let body = Body {
            event_type,
            priority: EventPriority::Medium.as_str(),
            source_agent: ORCHESTRATOR,
            trace_id: None,
            task_id: None,
            tenant,
            payload: &raw(payload.to_owned())?,
            metadata: &raw("{}".to_owned())?,
        };
        body.tail()
    }

    /// Returns the JSON without its opening brace: the scripts continue an object that begins with
    /// the event's id and time.
    fn tail(&self) -> Result<String, Error> {
        let mut json = serde_json::to_string(self).map_err(|error| Error::Corrupt(error.into()))?;
        json.remove(0);
        Ok(json)
    }
}

/// The largest size of an event without its payload and metadata, in bytes.
const EVENT_FRAME: usize = 2_048;

fn raw(text: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::Corrupt(error.into()))
}

impl Engine {
    /// Publishes an event and returns its id.
    ///
    /// # Errors
    ///
    /// [`Error::ShareUsed`] if the caller has reached its limit, [`Error::ForeignSource`] if the
    /// event names another source and the caller is not an admin, or if it names the orchestrator.
    pub async fn publish(&self, caller: &Principal, event: NewEvent) -> Result<Uuid, Error> {
        let source_agent = event.source_agent.as_deref().unwrap_or(caller.name());
        let is_own = source_agent == caller.name() || caller.role() == Role::Admin;
        if !is_own || is_orchestrator(source_agent) {
            let caller = caller.name().to_owned();
            return Err(Error::ForeignSource { source_agent: source_agent.to_owned(), caller });
        }
        // A client's event always says that no transition of a task made it.
        let metadata = event.metadata.map_or_else(|| raw("{}".to_owned()), Ok)?;
        let metadata = raw(with_member(&metadata, "external", "true"))?;
        let body = Body {
            event_type: &event.event_type,
            priority: event.priority.as_str(),
            source_agent,
            trace_id: event.trace_id.as_deref(),
            task_id: event.task_id,
            tenant: caller.tenant(),
            payload: &raw(with_line_feeds(&event.payload).into_owned())?,
            metadata: &raw(with_line_feeds(&metadata).into_owned())?,
        };
        let json = body.tail()?;
        let own =
            event.task_id.map(|id| id.partition()).filter(|partition| self.store.has(*partition));
        let partition = own.unwrap_or_else(|| self.store.partition_of(fastrand::u64(..)));
        let settings = &self.settings.events;
        let all = settings.publish_bytes_per_minute;
        let part = all / self.store.partitions().count().max(1) as u64;
        let share = part.max((settings.max_publish_bytes + EVENT_FRAME) as u64);
        let actor = caller.to_string();
        let id = self.store.publish(partition, &actor, &event.event_type, &json, share).await?;
        id.map(|id| id.to_uuid()).map_err(|wait_ms| Error::ShareUsed { wait_ms })
    }
}
