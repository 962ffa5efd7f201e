//! Events: following them, and publishing.

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
use crate::engine::{Engine, EventFilter};

use super::accept::Accepted;
use super::auth::{Caller, EventsPublish, EventsRead};
use super::error::Refusal;
use super::json::{Body, Json};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{Limits, PublishRequest};
use super::stream::EventsResponse;
use super::tasks::DEFAULT_PAGE;
use super::text::{EventSource, PageLimit, Text, TypePatterns};

/// The header by which a stream is resumed.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// The calls on events.
pub struct Events {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
    /// After how much silence a stream says something.
    pub heartbeat: Duration,
}

/// What a request carries as `Last-Event-ID`; empty is the same as none.
///
/// The framework's own header parameter passes over a value that is not ASCII, and the client would miss events.
#[derive(Debug)]
pub struct LastEventId(Option<String>);

impl<'a> ApiExtractor<'a> for LastEventId {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = false;

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
        let unreadable = |_| Refusal::parameter("Last-Event-ID", "must be ASCII");
        Ok(Self(
            header
                .map(|header| header.to_str())
                .transpose()
                .map_err(unreadable)?
                .map(str::to_owned),
        ))
    }
}

/// An event that is on its way.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "PublishedEvent")]
pub struct Published {
    /// Its name for ever, which subscribers see too.
    pub event_id: Uuid,
    /// What happened.
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
    /// As `text/event-stream`, which is also the default: all events from now on, or after the given place, for
    /// ever. Each has its type as `event`, itself as `data` (one line for each of its lines, which a reader joins by line
    /// feeds), and as `id` the place after it: a client that sends the last one as `Last-Event-ID`, as an EventSource does by itself, misses none and gets none twice.
    /// Silence is broken by heartbeat comments. Four names are not types of events: `gap` (events after your place
    /// were trimmed from the log, or it is not a place of this log), and before the stream ends `cut-off` (you read too slowly), `stopping` (this
    /// process stops) and `error` (the log cannot be read).
    ///
    /// As `application/json`: a page of the log, from its start or after the given place.
    ///
    /// With `application/cloudevents+json` in `Accept` every event is a CloudEvent 1.0 in structured mode, whose `data`
    /// is the event: in a stream if `text/event-stream` is in `Accept` too, else in a page.
    #[oai(path = "/events", method = "get", operation_id = "read_events")]
    #[allow(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn read(
        &self,
        _caller: Caller<EventsRead>,
        peer: Peer,
        accepted: Accepted,
        /// Only events of these types: types, families such as `deploy.*`, or `*`, at most 64, joined by commas.
        types: Query<Option<Text<TypePatterns>>>,
        /// Only events about this task.
        task_id: Query<Option<Text<TaskId>>>,
        /// Only events from this source agent.
        source: Query<Option<Text<EventSource>>>,
        /// Only events after this place: the `id` of a stream, the `next_cursor` of a page, or an event's id. With
        /// several partitions (`store.partitions`) those of the others after an event's id may come twice.
        after: Query<Option<String>>,
        /// The most items of a page; 50 if left out. A stream has no end.
        limit: Query<Option<Text<PageLimit>>>,
        /// As `after`, which it wins over.
        #[oai(name = "Last-Event-ID")]
        last_event_id: LastEventId,
    ) -> Result<EventsResponse, Refusal> {
        let filter = EventFilter {
            types: types.0.map(|word| word.0.0).unwrap_or_default(),
            task_id: task_id.0.map(|word| word.0),
            source_agent: source.0.map(|word| word.0.0),
        };
        let last_id = last_event_id.0;
        let name = if last_id.is_some() { "Last-Event-ID" } else { "after" };
        let refused = |error| Refusal::of_parameter(name, error);
        match accepted {
            Accepted::Stream(form) => {
                let reader = (peer.clone(), peer.wait()?);
                let feed = match last_id {
                    Some(last_id) => self.engine.feed_from_last_id(filter, &last_id).await,
                    None => self.engine.feed(filter, after.0.as_deref()).await,
                };
                let feed = Box::new(feed.map_err(refused)?);
                Ok(EventsResponse::Stream { feed, form, heartbeat: self.heartbeat, reader })
            }
            Accepted::Page(form) => {
                let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0.0);
                let page = self
                    .engine
                    .event_page(&filter, last_id.or(after.0).as_deref(), limit)
                    .await
                    .map_err(refused)?;
                Ok(EventsResponse::Page { page, form })
            }
        }
    }

    /// Publish an event
    ///
    /// It comes from you: `source_agent` may not be somebody else's name. An event of one of our own types,
    /// such as `task.completed`, changes nothing and is marked as external.
    #[oai(path = "/events/publish", method = "post", operation_id = "publish_event")]
    async fn publish(
        &self,
        caller: Caller<EventsPublish>,
        body: Body<PublishRequest>,
    ) -> Result<PublishResponse, Refusal> {
        let event = body.value.into_event(&self.limits)?;
        let event_type = event.event_type.clone();
        let event_id = self.engine.publish(&caller, event).await?;
        Ok(PublishResponse::Accepted(Json(Published { event_id, event_type })))
    }
}
