//! Tasks as clients see them: submit, find, follow, call off.

use std::time::Duration;

use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::TaskId;
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::task::{Idempotency, NewTask, Priority};
use crate::engine::{Engine, Fault, Submitted, TaskFilter};

use super::auth::{self, Caller, TasksRead, TasksWrite};
use super::error::Refusal;
use super::json::{Body, Json, OptionalBody};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{
    Batch, Cancellation, Empty, IdempotencyHeader, Limits, StatusRequest, Submission, Trace,
};
use super::text::{PageLimit, TaskParts, Text, WaitMs};
use super::view::{BatchItemResult, BatchResult, StatusChanged, TaskPage, TaskView, TimelinePage};

/// The items of a page that does not say how many it wants.
pub const DEFAULT_PAGE: usize = 50;

/// What a task has in the answer to its submission or its claim beside payload and metadata at the most, bytes.
const TASK_FRAME: usize = 16 << 10;

/// The calls on tasks.
pub struct Tasks {
    /// Does the work.
    pub engine: Engine,
    /// What bodies are measured against.
    pub limits: Limits,
}

/// The answer to a submission.
#[derive(ApiResponse)]
pub enum SubmitResponse {
    /// The task is stored.
    #[oai(status = 201)]
    Created(
        Json<TaskView>,
        /// Where the task is.
        #[oai(header = "Location")]
        String,
    ),
    /// The same was submitted before; this is the task as it is now.
    #[oai(status = 200)]
    Replayed(
        Json<TaskView>,
        /// Where the task is.
        #[oai(header = "Location")]
        String,
        /// Always true.
        #[oai(header = "Idempotency-Replayed")]
        bool,
    ),
}

impl From<Submitted> for SubmitResponse {
    fn from(submitted: Submitted) -> Self {
        let location = format!("/tasks/{}", submitted.task.id);
        let task = Json(submitted.task.into());
        if submitted.is_replay {
            Self::Replayed(task, location, true)
        } else {
            Self::Created(task, location)
        }
    }
}

#[OpenApi(tag = "Tag::Tasks")]
impl Tasks {
    /// Submit a task
    ///
    /// Accepted means stored. Send an `Idempotency-Key` and repeat the request as often as you like: the
    /// task is created once, and a repetition is answered with what has become of it. The same key with another body is
    /// refused; the order of members, space and the spelling of texts and numbers make no other body.
    #[oai(path = "/tasks", method = "post", operation_id = "submit_task")]
    async fn submit(
        &self,
        caller: Caller<TasksWrite>,
        /// Makes it safe to send this again: 1 to 255 visible ASCII characters.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyHeader,
        /// The W3C trace context; one that is not valid is ignored.
        traceparent: Header<Option<String>>,
        peer: Peer,
        body: Body<Submission>,
    ) -> Result<SubmitResponse, Refusal> {
        let (submission, digest) = body.into_parts();
        let idempotency = |own: Option<String>| {
            let key = key.0.or(own)?;
            Some(Idempotency { key, digest: digest() })
        };
        let task = submission.into_task(&self.limits, Trace::of(traceparent.0), idempotency)?;
        fits(&task, &peer)?;
        let submitted = self.engine.submit(&caller, vec![task]).await?;
        let submitted = submitted.into_iter().next().ok_or_else(Refusal::internal)??;
        Ok(submitted.into())
    }

    /// Submit up to 1,000 tasks
    ///
    /// Each is accepted or refused for itself; the results are in the order of the tasks, which they show without payload
    /// and metadata. An item may carry an `idempotency_key`.
    #[oai(path = "/tasks/batch", method = "post", operation_id = "submit_tasks")]
    async fn submit_batch(
        &self,
        caller: Caller<TasksWrite>,
        /// The W3C trace context; one that is not valid is ignored.
        traceparent: Header<Option<String>>,
        body: Body<Batch>,
    ) -> Result<Json<BatchResult>, Refusal> {
        let items = body.value.into_tasks(&self.limits, &Trace::of(traceparent.0))?;
        let (tasks, places): (Vec<NewTask>, Vec<Option<Refusal>>) = split(items);
        let submitted = self.engine.submit(&caller, tasks).await?;
        let mut submitted = submitted.into_iter();
        let mut next = || {
            submitted
                .next()
                .map_or_else(|| Err(Refusal::internal()), |one| one.map_err(Refusal::from))
        };
        let results = places.into_iter().enumerate().map(|(index, refused)| {
            let result = refused.map_or_else(&mut next, Err);
            result.map_or_else(
                |refusal| BatchItemResult::refused(refusal, &format!("/tasks/{index}")),
                BatchItemResult::from,
            )
        });
        Ok(Json(BatchResult::new(results.collect())))
    }

    /// List tasks
    ///
    /// Newest first. A page may be short though more follow: go by `next_cursor`. It has at most 1 MiB and one task.
    #[oai(path = "/tasks", method = "get", operation_id = "list_tasks")]
    #[allow(clippy::too_many_arguments, reason = "one argument a query parameter")]
    async fn list(
        &self,
        _caller: Caller<TasksRead>,
        /// Only tasks in this status.
        status: Query<Option<Text<State>>>,
        /// Only tasks of this type.
        #[oai(name = "type")]
        kind: Query<Option<Text<Name>>>,
        /// Only tasks for this agent.
        assigned_to: Query<Option<Text<Name>>>,
        /// Only tasks of this priority.
        priority: Query<Option<Text<Priority>>>,
        /// Only parts of this task.
        parent_task_id: Query<Option<Text<TaskId>>>,
        /// What the tasks carry besides: payload, metadata, result, joined by commas. Left out, these members are absent,
        /// as are `action`, `original_payload` and `changes` of their approvals, which go with the payload.
        include: Query<Option<Text<TaskParts>>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<Text<PageLimit>>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<TaskPage>, Refusal> {
        let parts = include.0.map(|word| word.0.0).unwrap_or_default();
        let filter = TaskFilter {
            state: status.0.map(|word| word.0),
            kind: kind.0.map(|word| word.0),
            agent: assigned_to.0.map(|word| word.0),
            priority: priority.0.map(|word| word.0),
            parent: parent_task_id.0.map(|word| word.0),
            parts,
        };
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0.0);
        let refused = |error| Refusal::of_parameter("cursor", error);
        let page = self.engine.tasks(&filter, limit, cursor.0.as_deref()).await.map_err(refused)?;
        Ok(Json(TaskPage::new(page, parts)))
    }

    /// Get a task
    ///
    /// An open task says what it waits for: `why_waiting`. With `wait_ms` the answer comes when the task is completed, failed or cancelled, or when the
    /// time is over, whichever is first.
    #[oai(path = "/tasks/:id", method = "get", operation_id = "get_task")]
    async fn get(
        &self,
        _caller: Caller<TasksRead>,
        peer: Peer,
        /// The task.
        id: Path<Text<TaskId>>,
        /// How long to wait for its end, in milliseconds.
        wait_ms: Query<Option<Text<WaitMs>>>,
    ) -> Result<Json<TaskView>, Refusal> {
        let wait =
            wait_ms.0.map(|wait| Duration::from_millis(wait.0.0)).filter(|wait| !wait.is_zero());
        if let Some(wait) = wait {
            let _place = peer.wait()?;
            self.engine.task_when_finished(id.0.0, wait).await?;
        }
        Ok(Json(self.engine.task_explained(id.0.0).await?.into()))
    }

    /// Get a task's timeline
    ///
    /// Every transition, who made it, when and why; the newest 128, oldest first.
    #[oai(path = "/tasks/:id/events", method = "get", operation_id = "get_task_timeline")]
    async fn timeline(
        &self,
        _caller: Caller<TasksRead>,
        /// The task.
        id: Path<Text<TaskId>>,
    ) -> Result<Json<TimelinePage>, Refusal> {
        Ok(Json(self.engine.task(id.0.0).await?.into()))
    }

    /// Change a task's status
    ///
    /// For callers that do not claim: `in_progress` takes a pending or assigned task under a long lease;
    /// `completed` and `failed` need no attempt from the same caller; `failed` is final; `cancelled` is
    /// the same as cancel. `status` and `error` may be query parameters instead.
    #[oai(path = "/tasks/:id/status", method = "patch", operation_id = "change_task_status")]
    async fn change_status(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<Text<TaskId>>,
        /// The status, if the body does not say.
        status: Query<Option<String>>,
        /// Why it failed, if the body does not say.
        error: Query<Option<String>>,
        body: OptionalBody<StatusRequest>,
    ) -> Result<Json<StatusChanged>, Refusal> {
        let change = body.0.into_change(status.0, error.0, &self.limits)?;
        Ok(Json(self.engine.change_status(&caller, id.0.0, change).await?.into()))
    }

    /// Cancel a task
    ///
    /// Final at once. An agent that works on it is told by its next call, which is refused with
    /// `task-cancelled`.
    #[oai(path = "/tasks/:id/cancel", method = "post", operation_id = "cancel_task")]
    async fn cancel(
        &self,
        caller: Caller<TasksWrite>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: OptionalBody<Cancellation>,
    ) -> Result<Json<TaskView>, Refusal> {
        let reason = body.0.into_reason()?;
        Ok(Json(self.engine.cancel(&caller, id.0.0, reason).await?.into()))
    }

    /// Retry a failed or cancelled task
    ///
    /// It is queued again with its counters at zero; if it needs an approval that it never got, it waits
    /// for that again.
    #[oai(path = "/tasks/:id/retry", method = "post", operation_id = "retry_task")]
    async fn retry(
        &self,
        caller: Caller<TasksWrite>,
        /// The task.
        id: Path<Text<TaskId>>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<TaskView>, Refusal> {
        body.0.check()?;
        Ok(Json(self.engine.requeue(&caller, id.0.0).await?.into()))
    }
}

/// Refuses a task that no answer to its client's calls and claims would have room for.
fn fits(task: &NewTask, peer: &Peer) -> Result<(), Refusal> {
    let Some(room) = peer.room() else { return Ok(()) };
    let metadata = task.metadata.as_ref().map_or(0, |metadata| metadata.get().len());
    let (found, most) = (task.payload.get().len() + metadata, room.saturating_sub(TASK_FRAME));
    if found <= most {
        return Ok(());
    }
    let detail = format!("has {found} bytes with the metadata; at most {most} are taken over NATS");
    Err(Refusal::invalid(vec![Fault::new("/payload", detail)]))
}

/// The tasks of a batch, and for each of its places the refusal if it has no task.
fn split(items: Vec<Result<NewTask, Refusal>>) -> (Vec<NewTask>, Vec<Option<Refusal>>) {
    let mut tasks = Vec::with_capacity(items.len());
    let place = |item| match item {
        Ok(task) => {
            tasks.push(task);
            None
        }
        Err(refusal) => Some(refusal),
    };
    let places = items.into_iter().map(place).collect();
    (tasks, places)
}
