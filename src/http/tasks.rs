//! The calls on tasks: submit, find, follow, cancel, retry.

use std::time::Duration;

use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{ApiResponse, OpenApi};

use crate::domain::ids::TaskId;
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::submission::{Idempotency, NewTask};
use crate::engine::{self, Fault, Parts, Submitted, TaskFilter};

use super::Shared;
use super::answer::Json;
use super::auth::{self, Caller, TasksRead, TasksWrite};
use super::error::Refusal;
use super::json_body::{Body, OptionalBody};
use super::openapi::Tag;
use super::peer::Peer;
use super::request::{
    Batch, Cancellation, Empty, IdempotencyHeader, StatusRequest, Submission, Trace, TraceState,
};
use super::text::{GivenStatus, PageLimit, TaskParts, Time, TraceId, WaitMs};
use super::view::{
    BatchItemResult, BatchResult, StatusChanged, TaskCount, TaskPage, TaskView, TimelinePage,
};

/// How many items a page has if the request does not say.
pub const DEFAULT_PAGE: usize = 50;

/// The most bytes of a task in an answer, beside its payload and metadata.
const TASK_FRAME: usize = 16 << 10;

/// The calls on tasks.
pub struct Tasks(pub(super) Shared);

/// The answer to a submission.
#[derive(ApiResponse)]
pub enum SubmitResponse {
    /// The task is stored.
    #[oai(status = 201)]
    Created(
        Json<TaskView>,
        /// The path of the task.
        #[oai(header = "Location")]
        String,
    ),
    /// The task was submitted before with this key; this is its current state.
    #[oai(status = 200)]
    Replayed(
        Json<TaskView>,
        /// The path of the task.
        #[oai(header = "Location")]
        String,
        /// Always true: this answer repeats no work.
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
    /// An accepted task is stored. With an `Idempotency-Key` the request can be repeated at will:
    /// the task is created once, and a repetition returns its current state. The same key with
    /// another body is refused; the order of members, white space and the spelling of texts and
    /// numbers do not make a body different.
    #[oai(path = "/tasks", method = "post", operation_id = "submit_task")]
    async fn submit(
        &self,
        caller: Caller<TasksWrite>,
        /// The key that makes it safe to repeat this request: 1 to 255 visible ASCII characters.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyHeader,
        /// The W3C trace context; an invalid one is ignored.
        traceparent: Header<Option<String>>,
        /// More of the trace context; an invalid one is ignored.
        tracestate: TraceState,
        peer: Peer,
        body: Body<Submission>,
    ) -> Result<SubmitResponse, Refusal> {
        let digest = body.digest();
        let task = body.read(|submission, faults| {
            submission.into_task(
                faults,
                &self.0.limits,
                Trace::of(traceparent.0, tracestate),
                |own| {
                    let key = key.0.or(own)?;
                    Some(Idempotency { key, digest: digest() })
                },
            )
        })?;
        fits(&task, &peer)?;
        let submitted = self.0.engine.submit(&caller, vec![task]).await?;
        Ok(next_of(&mut submitted.into_iter())?.into())
    }

    /// Submit up to 1,000 tasks
    ///
    /// Each task is accepted or refused on its own; the results are in the order of the tasks,
    /// which they show without payload and metadata. An item may carry an `idempotency_key`.
    #[oai(path = "/tasks/batch", method = "post", operation_id = "submit_tasks")]
    async fn submit_batch(
        &self,
        caller: Caller<TasksWrite>,
        /// The W3C trace context; an invalid one is ignored.
        traceparent: Header<Option<String>>,
        /// More of the trace context; an invalid one is ignored.
        tracestate: TraceState,
        body: Body<Batch>,
    ) -> Result<Json<BatchResult>, Refusal> {
        let trace = Trace::of(traceparent.0, tracestate);
        let items = body.value.into_tasks(body.unknown, &self.0.limits, &trace)?;
        caller.count_items(items.len()).await?;
        let mut tasks = Vec::with_capacity(items.len());
        let places: Vec<_> =
            items.into_iter().map(|item| item.map(|task| tasks.push(task))).collect();
        let mut submitted = self.0.engine.submit(&caller, tasks).await?.into_iter();
        let results = places.into_iter().enumerate().map(|(index, place)| {
            place.and_then(|()| next_of(&mut submitted)).map_or_else(
                |refusal| BatchItemResult::refused(refusal, &format!("/tasks/{index}")),
                BatchItemResult::from,
            )
        });
        Ok(Json(BatchResult::new(results.collect())))
    }

    /// List tasks
    ///
    /// Newest first; with `status`, those that came to it last first. A page may be short, even
    /// empty, and still have a next one: follow `next_cursor`. It has at most 1 MiB and one task.
    /// `status`, `assigned_to` beside it, `parent_task_id`, and without these the times of acceptance
    /// choose which tasks are looked at; the other filters only leave out some of them.
    #[oai(path = "/tasks", method = "get", operation_id = "list_tasks")]
    #[allow(clippy::too_many_arguments, reason = "one argument a query parameter")]
    async fn list(
        &self,
        caller: Caller<TasksRead>,
        /// Only tasks in this status.
        status: Query<Option<State>>,
        /// Only tasks of this type.
        #[oai(name = "type")]
        kind: Query<Option<Name>>,
        /// Only tasks for this agent.
        assigned_to: Query<Option<Name>>,
        /// Only tasks of this priority.
        priority: Query<Option<Priority>>,
        /// Only parts of this task.
        parent_task_id: Query<Option<TaskId>>,
        /// Only tasks from this part of a client's system.
        source: Query<Option<Name>>,
        /// Only tasks of this trace of a client.
        trace_id: Query<Option<TraceId>>,
        /// Only tasks accepted at this time or later.
        created_after: Query<Option<Time>>,
        /// Only tasks accepted before this time.
        created_before: Query<Option<Time>>,
        /// Only tasks whose status changed at this time or later.
        updated_after: Query<Option<Time>>,
        /// The large members of each task to show: payload, metadata, result, joined by commas.
        /// Those left out are absent, as are `action`, `original_payload` and `changes` of their
        /// approvals, which go with the payload.
        include: Query<Option<TaskParts>>,
        /// The most items of the page; 50 if left out.
        limit: Query<Option<PageLimit>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Json<TaskPage>, Refusal> {
        let parts = include.0.map(|word| word.0).unwrap_or_default();
        let filter = TaskFilter {
            state: status.0,
            kind: kind.0,
            agent: assigned_to.0,
            priority: priority.0,
            parent: parent_task_id.0,
            source: source.0,
            tenant: caller.tenant().cloned(),
            trace_id: trace_id.0.map(|id| id.0),
            created_after: created_after.0.map(|time| time.0),
            created_before: created_before.0.map(|time| time.0),
            updated_after: updated_after.0.map(|time| time.0),
            parts,
        };
        let limit = limit.0.map_or(DEFAULT_PAGE, |limit| limit.0);
        let page = self
            .0
            .engine
            .tasks(&filter, limit, cursor.0.as_deref())
            .await
            .map_err(|error| Refusal::of_parameter("cursor", error))?;
        Ok(Json(TaskPage::new(page, parts)))
    }

    /// Count tasks
    ///
    /// How many tasks the list of the same filters has. At once with `status` alone or without a
    /// filter; otherwise a call may count a part: add the counts until `next_cursor` is null.
    #[oai(path = "/tasks/count", method = "get", operation_id = "count_tasks")]
    #[allow(clippy::too_many_arguments, reason = "one argument a query parameter")]
    async fn count(
        &self,
        caller: Caller<TasksRead>,
        /// Only tasks in this status.
        status: Query<Option<State>>,
        /// Only tasks of this type.
        #[oai(name = "type")]
        kind: Query<Option<Name>>,
        /// Only tasks for this agent.
        assigned_to: Query<Option<Name>>,
        /// Only tasks of this priority.
        priority: Query<Option<Priority>>,
        /// Only parts of this task.
        parent_task_id: Query<Option<TaskId>>,
        /// Only tasks from this part of a client's system.
        source: Query<Option<Name>>,
        /// Only tasks of this trace of a client.
        trace_id: Query<Option<TraceId>>,
        /// Only tasks accepted at this time or later.
        created_after: Query<Option<Time>>,
        /// Only tasks accepted before this time.
        created_before: Query<Option<Time>>,
        /// Only tasks whose status changed at this time or later.
        updated_after: Query<Option<Time>>,
        /// The `next_cursor` of the previous count.
        cursor: Query<Option<String>>,
    ) -> Result<Json<TaskCount>, Refusal> {
        let filter = TaskFilter {
            state: status.0,
            kind: kind.0,
            agent: assigned_to.0,
            priority: priority.0,
            parent: parent_task_id.0,
            source: source.0,
            tenant: caller.tenant().cloned(),
            trace_id: trace_id.0.map(|id| id.0),
            created_after: created_after.0.map(|time| time.0),
            created_before: created_before.0.map(|time| time.0),
            updated_after: updated_after.0.map(|time| time.0),
            parts: Parts::default(),
        };
        let count = self.0.engine.count_tasks(&filter, cursor.0.as_deref()).await;
        Ok(Json(count.map_err(|error| Refusal::of_parameter("cursor", error))?.into()))
    }

    /// Get a task
    ///
    /// For an open task, `why_waiting` says what it waits for. With `wait_ms` the answer comes when
    /// the task is completed, failed or cancelled, or when that time is over.
    #[oai(path = "/tasks/:id", method = "get", operation_id = "get_task")]
    async fn get(
        &self,
        caller: Caller<TasksRead>,
        peer: Peer,
        /// The task.
        id: Path<TaskId>,
        /// How long to wait for the task to end, in milliseconds.
        wait_ms: Query<Option<WaitMs>>,
    ) -> Result<Json<TaskView>, Refusal> {
        let wait =
            wait_ms.0.map(|wait| Duration::from_millis(wait.0)).filter(|wait| !wait.is_zero());
        self.0.engine.check_visible(&caller, id.0).await?;
        if let Some(wait) = wait {
            let _place = peer.wait()?;
            self.0.engine.task_when_finished(id.0, wait).await?;
        }
        Ok(Json(self.0.engine.task_explained(id.0).await?.into()))
    }

    /// Get a task's timeline
    ///
    /// Every transition, who made it, when and why: the newest 128, oldest first.
    #[oai(path = "/tasks/:id/events", method = "get", operation_id = "get_task_timeline")]
    async fn timeline(
        &self,
        caller: Caller<TasksRead>,
        /// The task.
        id: Path<TaskId>,
    ) -> Result<Json<TimelinePage>, Refusal> {
        self.0.engine.check_visible(&caller, id.0).await?;
        Ok(Json(self.0.engine.task(id.0).await?.into()))
    }

    /// Change a task's status
    ///
    /// For callers that do not claim: `in_progress` takes a pending or assigned task under a long
    /// lease; `completed` and `failed` need no attempt from the same caller; `failed` is final;
    /// `cancelled` is the same as cancel. `status` and `error` may be query parameters instead.
    #[oai(path = "/tasks/:id/status", method = "patch", operation_id = "change_task_status")]
    async fn change_status(
        &self,
        caller: Caller<auth::Agent>,
        /// The task.
        id: Path<TaskId>,
        /// The status, if the body has none.
        status: Query<Option<GivenStatus>>,
        /// The error, if the body has none.
        error: Query<Option<String>>,
        body: OptionalBody<StatusRequest>,
    ) -> Result<Json<StatusChanged>, Refusal> {
        let change = body
            .read(|change, faults| change.into_change(faults, status.0, error.0, &self.0.limits))?;
        Ok(Json(self.0.engine.change_status(&caller, id.0, change).await?.into()))
    }

    /// Cancel a task
    ///
    /// The task is final at once. The next call of an agent that works on it is refused with
    /// `task-cancelled`.
    #[oai(path = "/tasks/:id/cancel", method = "post", operation_id = "cancel_task")]
    async fn cancel(
        &self,
        caller: Caller<TasksWrite>,
        /// The task.
        id: Path<TaskId>,
        body: OptionalBody<Cancellation>,
    ) -> Result<Json<TaskView>, Refusal> {
        let reason = body.read(|cancellation, faults| Some(cancellation.into_reason(faults)))?;
        Ok(Json(self.0.engine.cancel(&caller, id.0, reason).await?.into()))
    }

    /// Retry a failed or cancelled task
    ///
    /// The task is queued again with its counters at zero. If it requires an approval that it never
    /// got, it waits for one again.
    #[oai(path = "/tasks/:id/retry", method = "post", operation_id = "retry_task")]
    async fn retry(
        &self,
        caller: Caller<TasksWrite>,
        /// The task.
        id: Path<TaskId>,
        body: OptionalBody<Empty>,
    ) -> Result<Json<TaskView>, Refusal> {
        body.read(|Empty {}, _| Some(()))?;
        Ok(Json(self.0.engine.requeue(&caller, id.0).await?.into()))
    }
}

/// Refuses a task that is too large for any answer to its client's calls and claims.
fn fits(task: &NewTask, peer: &Peer) -> Result<(), Refusal> {
    let Some(room) = peer.room() else { return Ok(()) };
    let found = task.bytes();
    let most = room.saturating_sub(TASK_FRAME);
    if found <= most {
        return Ok(());
    }
    let detail =
        format!("has {found} bytes with the metadata; at most {most} are accepted over NATS");
    Err(Refusal::invalid(vec![Fault::new("/payload", detail)]))
}

/// Takes the next result of the engine, which has one for each task.
fn next_of(
    submitted: &mut impl Iterator<Item = Result<Submitted, engine::Error>>,
) -> Result<Submitted, Refusal> {
    Ok(submitted.next().ok_or_else(Refusal::internal)??)
}
