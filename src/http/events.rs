//! The calls on events: read the log, follow it, publish.

use std::time::Duration;

use poem::{Request, RequestBody};
use poem_openapi::param::Query;
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef};
use poem_openapi::types::Type;
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::call_class::CallClass;
use crate::domain::ids::TaskId;
use crate::domain::principal::Principal;
use crate::engine::EventFilter;

use super::Shared;
use super::accept::{Accepted, EventWriter, Form, StreamForm};
use super::answer::Json;
use super::auth::{Caller, EventsFollow, EventsPublish, EventsRead};
use super::error::Refusal;
use super::event_page::{Address, EventsAnswer};
use super::json_body::Body;
use super::openapi::Tag;
use super::peer::Peer;
use super::request::PublishRequest;
use super::stream::EventStream;
use super::tasks::DEFAULT_PAGE;
use super::text::{PageLimit, ShortText, TypePatterns, WaitMs};

/// The header with which a client resumes a stream, in lower case.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// The calls on events.
pub struct Events {
    pub(super) shared: Shared,
    /// How long a stream is silent before it sends a heartbeat comment.
    pub heartbeat: Duration,
}

/// The value of `Last-Event-ID`; `None` if the request has none or an empty one.
///
/// The framework's own header parameter ignores a value that is not ASCII, and the client would
/// miss events.
#[derive(Debug)]
pub struct LastEventId(Option<String>);

impl<'a> ApiExtractor<'a> for LastEventId {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = String;
    type ParamRawType = String;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(String::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<String>,
    ) -> poem::Result<Self> {
        let header = request.headers().get(LAST_EVENT_ID).filter(|header| !header.is_empty());
        let id = header.map(|header| header.to_str().map(str::to_owned)).transpose();
        Ok(Self(id.map_err(|_| Refusal::parameter("Last-Event-ID", "must be ASCII"))?))
    }
}

/// A published event, which is stored and on its way to subscribers.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "PublishedEvent")]
pub struct Published {
    /// Always true; the predecessor's clients read it.
    pub success: bool,
    /// The id of the event, which subscribers see too.
    pub event_id: Uuid,
    /// The type of the event.
    pub event_type: String,
}

/// The answer to a publication.
#[derive(ApiResponse)]
pub enum PublishResponse {
    /// The event is stored and on its way to subscribers.
    #[oai(status = 202)]
    Accepted(Json<Published>),
}

/// Returns the filter for these parameters: a caller that is bound to a tenant gets its events only.
fn filter(
    caller: &Principal,
    types: Option<TypePatterns>,
    task_id: Option<TaskId>,
    source: Option<ShortText>,
) -> EventFilter {
    EventFilter {
        types: types.map(|word| word.0).unwrap_or_default(),
        task_id,
        tenant: caller.tenant().cloned(),
        source_agent: source.map(|word| word.0),
    }
}

impl LastEventId {
    /// The name of what gives the cursor.
    fn name(&self) -> &'static str {
        if self.0.is_some() { "Last-Event-ID" } else { "after" }
    }
}

impl Events {
    /// Opens a stream after the last event that the client has, or after the cursor.
    async fn stream(
        &self,
        peer: Peer,
        form: Form,
        filter: EventFilter,
        (last_id, after): (LastEventId, Option<String>),
    ) -> Result<EventStream, Refusal> {
        let reader = (peer.clone(), peer.wait()?);
        let name = last_id.name();
        let engine = &self.shared.engine;
        let feed = match last_id.0 {
            Some(last_id) => engine.feed_from_last_id(filter, &last_id).await,
            None => engine.feed(filter, after.as_deref()).await,
        };
        let feed = feed.map(Box::new).map_err(|error| Refusal::of_parameter(name, error))?;
        Ok(EventStream { feed, writer: self.writer(form), heartbeat: self.heartbeat, reader })
    }

    /// Returns how events are written in this form.
    fn writer(&self, form: Form) -> EventWriter {
        EventWriter { form, fleet: self.shared.engine.settings().events.source.clone() }
    }
}

#[OpenApi(tag = "Tag::Events")]
impl Events {
    /// Read the event log
    ///
    /// A page of the log, oldest first: from its beginning, or after the given cursor. A page may
    /// be short, even empty, and still have more: continue after `next_cursor`, which is also in
    /// the header `Link`. With `wait_ms` an empty page at the end of the log waits for an event.
    ///
    /// With `Accept: application/cloudevents-batch+json` the page is a list of CloudEvents 1.0 in
    /// structured mode: `id`, `type` and `time` are those of the event, `source` is
    /// `/orchestrator/<source agent>` (`events.source` begins it), `subject` the task, `traceparent`
    /// and `tracestate` the trace context of its submission, and `data` the event. With `Accept: text/event-stream` this call is the same as
    /// `GET /events/stream`.
    #[oai(path = "/events", method = "get", operation_id = "read_events")]
    #[allow(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn read(
        &self,
        caller: Caller<EventsRead>,
        peer: Peer,
        accepted: Accepted,
        address: Address,
        /// Only events of these types: types, families such as `deploy.*`, or `*`, at most 64,
        /// joined by commas.
        types: Query<Option<TypePatterns>>,
        /// Only events about this task.
        task_id: Query<Option<TaskId>>,
        /// Only events from this source agent.
        source: Query<Option<ShortText>>,
        /// Only events after this cursor: the `next_cursor` of a page, the `id` of a stream, an
        /// event's id, or `start`, the beginning of the log, which is the default. With several
        /// partitions (`store.partitions`), events of the other partitions may come twice after an
        /// event's id.
        after: Query<Option<String>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<PageLimit>>,
        /// How long to wait for an event if there is none, in milliseconds.
        wait_ms: Query<Option<WaitMs>>,
        /// The same as `after`; wins if both are given.
        #[oai(name = "Last-Event-ID")]
        last_event_id: LastEventId,
    ) -> Result<EventsAnswer, Refusal> {
        let filter = filter(&caller, types.0, task_id.0, source.0);
        let form = match accepted {
            Accepted::Stream(form) => {
                caller.count_in(CallClass::Stream).await?;
                let from = (last_event_id, after.0);
                return Ok(EventsAnswer::Stream(self.stream(peer, form, filter, from).await?));
            }
            Accepted::Page(form) => form,
        };
        let name = last_event_id.name();
        let after = last_event_id.0.or(after.0);
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let wait = Duration::from_millis(wait_ms.0.map_or(0, |wait| wait.0));
        let _place = if wait.is_zero() { None } else { Some(peer.wait()?) };
        let page = self
            .shared
            .engine
            .event_page_when_some(&filter, after.as_deref(), limit, wait)
            .await
            .map_err(|error| Refusal::of_parameter(name, error))?;
        Ok(EventsAnswer::Page { page, writer: self.writer(form), address })
    }

    /// Follow events
    ///
    /// All events from now on, or after the given cursor, without end. Each has its type as
    /// `event`, the event itself as `data` (one `data` line for each of its lines, which a reader
    /// joins by line feeds), and the cursor after it as `id`. A client that sends the last `id` as
    /// `Last-Event-ID`, as an EventSource does, misses no event and gets none twice. Heartbeat
    /// comments break a silence. Five names are not types of events: `gap` (events after your
    /// cursor were trimmed from the log, or it is no cursor of this log), and before the stream
    /// ends `cut-off` (you read too slowly), `stopping` (this process stops), `error` (the log
    /// cannot be read) and `credential-ended` (your key was revoked, or your token expired).
    ///
    /// With `Accept: application/cloudevents+json`, alone or beside `text/event-stream`, each event
    /// is a CloudEvent 1.0, as in a page of `GET /events`.
    #[oai(path = "/events/stream", method = "get", operation_id = "follow_events")]
    #[allow(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn follow(
        &self,
        caller: Caller<EventsFollow>,
        peer: Peer,
        form: StreamForm,
        /// Only events of these types: types, families such as `deploy.*`, or `*`, at most 64,
        /// joined by commas.
        types: Query<Option<TypePatterns>>,
        /// Only events about this task.
        task_id: Query<Option<TaskId>>,
        /// Only events from this source agent.
        source: Query<Option<ShortText>>,
        /// Only events after this cursor: the `id` of a stream, the `next_cursor` of a page, an
        /// event's id, or `start`, the beginning of the log. With several partitions
        /// (`store.partitions`), events of the other partitions may come twice after an event's id.
        after: Query<Option<String>>,
        /// The same as `after`; wins if both are given.
        #[oai(name = "Last-Event-ID")]
        last_event_id: LastEventId,
    ) -> Result<EventStream, Refusal> {
        let filter = filter(&caller, types.0, task_id.0, source.0);
        self.stream(peer, form.0, filter, (last_event_id, after.0)).await
    }

    /// Publish an event
    ///
    /// The event comes from the caller: `source_agent` may not name another. An event of a built-in
    /// type, such as `task.completed`, changes no task and is marked as external.
    #[oai(path = "/events/publish", method = "post", operation_id = "publish_event")]
    async fn publish(
        &self,
        caller: Caller<EventsPublish>,
        body: Body<PublishRequest>,
    ) -> Result<PublishResponse, Refusal> {
        let event = body.read(|event, faults| event.into_event(faults, &self.shared.limits))?;
        let event_type = event.event_type.clone();
        let event_id = self.shared.engine.publish(&caller, event).await?;
        Ok(PublishResponse::Accepted(Json(Published { success: true, event_id, event_type })))
    }
}
