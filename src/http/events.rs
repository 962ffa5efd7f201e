//! The calls on events: follow them, read the log, publish.

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

use crate::domain::ids::TaskId;
use crate::engine::EventFilter;

use super::Shared;
use super::accept::Accepted;
use super::answer::Json;
use super::auth::{Caller, EventsPublish, EventsRead};
use super::error::Refusal;
use super::json_body::Body;
use super::openapi::Tag;
use super::peer::Peer;
use super::request::PublishRequest;
use super::stream::EventsResponse;
use super::tasks::DEFAULT_PAGE;
use super::text::{PageLimit, ShortText, TypePatterns};

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

#[OpenApi(tag = "Tag::Events")]
impl Events {
    /// Follow events, or read the log
    ///
    /// As `text/event-stream`, which is also the default: all events from now on, or after the
    /// given cursor, without end. Each has its type as `event`, the event itself as `data` (one
    /// `data` line for each of its lines, which a reader joins by line feeds), and the cursor after
    /// it as `id`. A client that sends the last `id` as `Last-Event-ID`, as an EventSource does,
    /// misses no event and gets none twice. Heartbeat comments break a silence. Four names are not
    /// types of events: `gap` (events after your cursor were trimmed from the log, or it is no
    /// cursor of this log), and before the stream ends `cut-off` (you read too slowly), `stopping`
    /// (this process stops) and `error` (the log cannot be read).
    ///
    /// As `application/json`: a page of the log, from its start or after the given cursor.
    ///
    /// With `application/cloudevents+json` in `Accept` every event is a CloudEvent 1.0 in
    /// structured mode, whose `data` is the event: in a stream if `text/event-stream` is in
    /// `Accept` too, otherwise in a page.
    #[oai(path = "/events", method = "get", operation_id = "read_events")]
    #[allow(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn read(
        &self,
        _caller: Caller<EventsRead>,
        peer: Peer,
        accepted: Accepted,
        /// Only events of these types: types, families such as `deploy.*`, or `*`, at most 64,
        /// joined by commas.
        types: Query<Option<TypePatterns>>,
        /// Only events about this task.
        task_id: Query<Option<TaskId>>,
        /// Only events from this source agent.
        source: Query<Option<ShortText>>,
        /// Only events after this cursor: the `id` of a stream, the `next_cursor` of a page, or an
        /// event's id. With several partitions (`store.partitions`), events of the other partitions
        /// may come twice after an event's id.
        after: Query<Option<String>>,
        /// The most items of a page; 50 if left out. A stream has no end.
        limit: Query<Option<PageLimit>>,
        /// The same as `after`; wins if both are given.
        #[oai(name = "Last-Event-ID")]
        last_event_id: LastEventId,
    ) -> Result<EventsResponse, Refusal> {
        let filter = EventFilter {
            types: types.0.map(|word| word.0).unwrap_or_default(),
            task_id: task_id.0,
            source_agent: source.0.map(|word| word.0),
        };
        let last_id = last_event_id.0;
        let name = if last_id.is_some() { "Last-Event-ID" } else { "after" };
        match accepted {
            Accepted::Stream(form) => {
                let reader = (peer.clone(), peer.wait()?);
                let feed = match last_id {
                    Some(last_id) => self.shared.engine.feed_from_last_id(filter, &last_id).await,
                    None => self.shared.engine.feed(filter, after.0.as_deref()).await,
                };
                let feed =
                    feed.map_err(|error| Refusal::of_parameter(name, error)).map(Box::new)?;
                Ok(EventsResponse::Stream { feed, form, heartbeat: self.heartbeat, reader })
            }
            Accepted::Page(form) => {
                let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
                let page = self
                    .shared
                    .engine
                    .event_page(&filter, last_id.or(after.0).as_deref(), limit)
                    .await
                    .map_err(|error| Refusal::of_parameter(name, error))?;
                Ok(EventsResponse::Page { page, form })
            }
        }
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
        Ok(PublishResponse::Accepted(Json(Published { event_id, event_type })))
    }
}
