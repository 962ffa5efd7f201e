//! Events that clients publish.

use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use crate::engine::Engine;

use super::auth::{Caller, EventsPublish};
use super::error::Refusal;
use super::json::{Body, Json};
use super::openapi::Tag;
use super::request::{Limits, PublishRequest};

/// The calls on events.
pub struct Events {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
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
