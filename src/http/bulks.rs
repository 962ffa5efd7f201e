//! The calls on bulks: start one, read how far it is, abort it.

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::BulkId;
use crate::domain::submission::Idempotency;
use crate::engine::StartedBulk;

use super::Shared;
use super::answer::Json;
use super::auth::{Caller, TasksRead, TasksWrite};
use super::error::Refusal;
use super::json_body::{Body, OptionalBody};
use super::openapi::Tag;
use super::request::{BulkRequest, Empty, IdempotencyHeader};
use super::view::BulkView;

/// The calls on bulks.
pub struct Bulks(pub(super) Shared);

/// The answer to a request for a bulk.
#[derive(ApiResponse)]
pub enum BulkResponse {
    /// The bulk runs.
    #[oai(status = 202)]
    Accepted(
        Json<BulkView>,
        /// The path of the bulk.
        #[oai(header = "Location")]
        String,
    ),
    /// The bulk was started before with this key; this is its current state.
    #[oai(status = 200)]
    Replayed(
        Json<BulkView>,
        /// The path of the bulk.
        #[oai(header = "Location")]
        String,
        /// Always true: this answer repeats no work.
        #[oai(header = "Idempotency-Replayed")]
        bool,
    ),
}

impl From<StartedBulk> for BulkResponse {
    fn from(started: StartedBulk) -> Self {
        let location = format!("/bulk/{}", started.bulk.id);
        let bulk = Json(started.bulk.into());
        if started.is_replay {
            Self::Replayed(bulk, location, true)
        } else {
            Self::Accepted(bulk, location)
        }
    }
}

#[OpenApi(tag = "Tag::Tasks")]
impl Bulks {
    /// Retry, cancel or raise many tasks
    ///
    /// Worker processes apply the action, in the caller's name and role, to every task that matches
    /// the filter at the moment of `created_at`, each at most once. Later tasks never match. With
    /// `retry`, or with `status`, `assigned_to` or `updated_after` in the filter, a task whose
    /// status changes after that moment is left alone; `priority` counts when its turn comes. All
    /// rules of the call for one task hold for each. With a `dry_run` no task changes.
    #[oai(path = "/tasks/bulk", method = "post", operation_id = "start_bulk")]
    async fn start(
        &self,
        caller: Caller<TasksWrite>,
        /// The key that makes it safe to repeat this request: 1 to 255 visible ASCII characters.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyHeader,
        body: Body<BulkRequest>,
    ) -> Result<BulkResponse, Refusal> {
        let digest = body.digest();
        let order = body.read(BulkRequest::into_order)?;
        let idempotency = key.0.map(|key| Idempotency { key, digest: digest() });
        Ok(self.0.engine.start_bulk(&caller, &order, idempotency).await?.into())
    }

    /// Get a bulk
    ///
    /// How far it is. A bulk that has ended is kept as long as a final task.
    #[oai(path = "/bulk/:id", method = "get", operation_id = "get_bulk")]
    async fn get(
        &self,
        caller: Caller<TasksRead>,
        /// The bulk.
        id: Path<BulkId>,
    ) -> Result<Json<BulkView>, Refusal> {
        Ok(Json(self.0.engine.bulk_for(&caller, id.0).await?.into()))
    }

    /// Abort a bulk
    ///
    /// It ends before its next task; what it has done stays. A bulk that has ended stays as it is.
    #[oai(path = "/bulk/:id/abort", method = "post", operation_id = "abort_bulk")]
    async fn abort(
        &self,
        caller: Caller<TasksWrite>,
        /// The bulk.
        id: Path<BulkId>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<BulkView>, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(Json(self.0.engine.abort_bulk(&caller, id.0).await?.into()))
    }
}
