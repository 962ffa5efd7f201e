//! Tasks: reading, listing, cancelling and retrying them, and status changes without a claim.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::ids::TaskId;
use crate::domain::lease::{Attempt, Proof};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::principal::{Principal, Scope};
use crate::domain::priority::Priority;
use crate::domain::report::Outcome;
use crate::domain::task::Task;
use crate::domain::time::Millis;
use crate::store::lists::{Place, Which};
use crate::store::{Answer, Parts, Row};

use super::cursors::{End, read_cursor, write_cursor};
use super::restrictions::check_scope;
use super::{Engine, Error};

/// How many tasks one page looks at before it is returned short, to bound the cost of a rare match.
pub(super) const LOOKED_AT: usize = 2_000;

/// How many matching tasks one call counts before it is returned short, unless matches are rare.
const COUNTED: usize = 4_000;

/// How many items the longest page has.
const LONGEST_PAGE: usize = 200;

/// The remaining room, in bytes, below which a page counts as full.
pub(super) const LEAST_ROOM: usize = 16 << 10;

/// Which tasks to list: those that match every part that is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFilter {
    /// Only tasks in this state. `None` if every state matches.
    pub state: Option<State>,
    /// Only tasks of this type. `None` if every type matches.
    pub kind: Option<Name>,
    /// Only tasks that are or were in this agent's subject. `None` if every agent matches.
    pub agent: Option<Name>,
    /// Only tasks of this priority. `None` if every priority matches.
    pub priority: Option<Priority>,
    /// Only the children of this task. `None` if every task matches.
    pub parent: Option<TaskId>,
    /// Only tasks from this source. `None` if every source matches.
    pub source: Option<Name>,
    /// Only tasks of this tenant. `None` if every task matches.
    pub tenant: Option<Name>,
    /// Only tasks of this trace. `None` if every task matches.
    pub trace_id: Option<String>,
    /// Only tasks accepted at this time or later, in milliseconds since 1970. `None` if all match.
    pub created_after: Option<Millis>,
    /// Only tasks accepted before this time, in milliseconds since 1970. `None` if all match.
    pub created_before: Option<Millis>,
    /// Only tasks whose state changed at this time or later, in milliseconds since 1970. `None` if
    /// all match.
    pub updated_after: Option<Millis>,
    /// The parts to read of each task. The others stay empty.
    #[serde(skip)]
    pub parts: Parts,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items of the page, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page. `None` if this is the last.
    pub next_cursor: Option<String>,
}

/// How many tasks match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many tasks match among those that this call looked at.
    pub tasks: u64,
    /// The cursor from which to count on. `None` if all tasks were looked at.
    pub next_cursor: Option<String>,
}

/// The largest size in bytes of a page without its last item, for any `limit`.
pub const PAGE_BYTES: usize = 1 << 20;

/// A change that a caller requests with `PATCH /tasks/{id}/status`.
#[derive(Clone, Debug)]
pub enum StatusChange {
    /// The caller takes the task under a long lease.
    InProgress,
    /// The caller took the task before, and now reports its outcome.
    Ended(Outcome),
    /// The caller cancels the task, as with `POST /tasks/{id}/cancel`.
    Cancelled {
        /// Why, in at most 1,000 characters. `None` if the caller gave no reason.
        reason: Option<String>,
    },
}

impl Engine {
    /// Returns the task as it is now.
    pub async fn task(&self, id: TaskId) -> Result<Task, Error> {
        self.known(id)?;
        self.store.read(id).await?.ok_or(Error::UnknownTask(id))
    }

    /// Waits until the state of the task is final, and returns it; earlier if `wait` (at most 60 s)
    /// is over or the process stops.
    pub async fn task_when_finished(&self, id: TaskId, wait: Duration) -> Result<Task, Error> {
        let deadline = Instant::now() + wait;
        let wake = self.store.notifier().task(id);
        let is_final = |task: &Task| task.state.is_terminal();
        self.look_until(wake.wake(), deadline, is_final, || self.task(id)).await
    }

    /// Returns a page of tasks, newest first; with a state, the newest in that state first.
    ///
    /// * `limit`: 1 to 200. A page can be shorter although more follow: `next_cursor` tells. It has
    ///   at most [`PAGE_BYTES`] and one task.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not from a page of this list.
    pub async fn tasks(
        &self,
        filter: &TaskFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Task>, Error> {
        let list = filter.list();
        let given = cursor.map(|text| read_cursor(&list, text)).transpose()?;
        let mut end = End::at(given.or_else(|| filter.first_place()));
        let mut items = Vec::new();
        let mut looked_at = 0;
        let mut room = PAGE_BYTES;
        if filter.parent.is_some_and(|parent| !self.store.has(parent.partition())) {
            return Ok(Page { items, next_cursor: None });
        }
        let next_cursor = loop {
            let size = (filter.parts, room);
            let listed = self.store.list(filter.which(), end.last(), limit, size).await?;
            let mut is_last = listed.rows.len() < limit && !listed.is_cut;
            looked_at += listed.rows.len();
            for (place, task) in listed.rows {
                if filter.ends_before(&place) {
                    return Ok(Page { items, next_cursor: None });
                }
                if items.len() == limit {
                    is_last = false;
                    break;
                }
                end.move_to(place, task.as_ref().is_some_and(|task| filter.is_of_tenant(task)));
                if let Some(task) = task.filter(|task| filter.matches(task)) {
                    room = room.saturating_sub(task.bytes());
                    items.push(task);
                }
            }
            if is_last {
                break None;
            }
            // A second cut would leave ever less room.
            let is_full = room < LEAST_ROOM || (listed.is_cut && !items.is_empty());
            if items.len() == limit || looked_at >= LOOKED_AT || is_full {
                let end = end.of(filter.tenant.as_ref());
                break end.map(|place| write_cursor(&list, &place));
            }
        };
        Ok(Page { items, next_cursor })
    }

    /// Counts the tasks that match, as far as one call looks: at least [`COUNTED`] of them. At once
    /// if the filter has no more than a state.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not from a count or page of this list.
    pub async fn count_tasks(
        &self,
        filter: &TaskFilter,
        cursor: Option<&str>,
    ) -> Result<Count, Error> {
        if cursor.is_none() && filter.has_only_state() {
            let stats = self.stats().await?;
            let is_counted = |state| filter.state.is_none_or(|wanted| wanted == state);
            let counted = stats.by_status.iter().filter(|(state, _)| is_counted(*state));
            let tasks = counted.map(|(_, count)| count).sum();
            return Ok(Count { tasks, next_cursor: None });
        }
        let mut next_cursor = cursor.map(str::to_owned);
        let mut tasks = 0;
        for _ in 0..COUNTED / LONGEST_PAGE {
            let page = self.tasks(filter, LONGEST_PAGE, next_cursor.as_deref()).await?;
            tasks += page.items.len() as u64;
            next_cursor = page.next_cursor;
            if next_cursor.is_none() {
                break;
            }
        }
        Ok(Count { tasks, next_cursor })
    }

    /// Cancels the task in any open state. The cancellation is final at once.
    pub async fn cancel(
        &self,
        caller: &Principal,
        id: TaskId,
        reason: Option<String>,
    ) -> Result<Task, Error> {
        self.known(id)?;
        self.check_visible(caller, id).await?;
        let answer = self.store.cancel(id, caller, reason.as_deref()).await?;
        self.accepted(id, Verb::Cancel, answer).await
    }

    /// Requeues a failed or cancelled task with its counters at zero; the API calls this `retry`.
    /// An approval is valid for one run: a task that needs or had one is blocked again, under the
    /// current rules, because the old ones may name people who have left.
    ///
    /// # Errors
    ///
    /// [`Error::EndedByHuman`] if a human of a higher role ended it; [`Error::AsksExhausted`] or
    /// [`Error::AskedTooSoon`] if agents cause too many approvals.
    pub async fn requeue(&self, caller: &Principal, id: TaskId) -> Result<Task, Error> {
        self.known(id)?;
        self.check_visible(caller, id).await?;
        let head_starts = self.settings.queue.head_start_ms.all();
        let bounds = self.settings.approvals.ask_bounds();
        loop {
            let task = self.task(id).await?;
            let gate = self.gate_of_today(&task);
            let requeued = self.store.requeue(&task, caller, head_starts, gate.as_ref(), &bounds);
            if let Some(answer) = requeued.await? {
                return self.accepted(id, Verb::Requeue, answer).await;
            }
        }
    }

    /// Changes the status of a task for `PATCH /tasks/{id}/status`, for callers that never claimed.
    ///
    /// `in_progress` leases this task to the caller. Only this caller can then report its outcome.
    pub async fn change_status(
        &self,
        caller: &Principal,
        id: TaskId,
        change: StatusChange,
    ) -> Result<Task, Error> {
        self.known(id)?;
        self.check_task(caller, id).await?;
        match change {
            StatusChange::InProgress => {
                let lease_ms = self.settings.agents.patch_lease_ms;
                let answer = self.store.take(id, &caller.to_string(), lease_ms).await?;
                self.accepted(id, Verb::Take, answer).await
            }
            StatusChange::Ended(outcome) => {
                let verb = outcome.verb();
                let row = Row { id, proof: Proof::Caller, outcome: &outcome };
                let answers = self.end_attempts(caller, id.partition(), &[row]).await?;
                let answer = answers.into_iter().next();
                let answer =
                    answer.ok_or_else(|| Error::Corrupt("a script gave no answer".into()))?;
                self.accepted(id, verb, answer).await
            }
            StatusChange::Cancelled { reason } => {
                check_scope(caller, Scope::TasksWrite)?;
                self.cancel(caller, id, reason).await
            }
        }
    }

    /// Refuses an id whose partition does not exist.
    pub(super) fn known(&self, id: TaskId) -> Result<(), Error> {
        if self.store.has(id.partition()) { Ok(()) } else { Err(Error::UnknownTask(id)) }
    }

    /// Returns the task after an accepted verb, or the refusal.
    async fn accepted(&self, id: TaskId, verb: Verb, answer: Answer) -> Result<Task, Error> {
        refuse(id, verb, 0, answer)?;
        self.task(id).await
    }
}

/// Returns the state after an accepted verb, or the refusal.
pub(super) fn refuse(
    id: TaskId,
    verb: Verb,
    attempt: Attempt,
    answer: Answer,
) -> Result<State, Error> {
    match answer {
        Answer::Done(state) | Answer::Repeated(state) => Ok(state),
        Answer::Unknown => Err(Error::UnknownTask(id)),
        Answer::Illegal(state) => Err(Error::Illegal { id, state, verb }),
        Answer::Lease(held) => Err(Error::LeaseLost { id, attempt, held }),
        Answer::Holder(holder) => Err(Error::NotHolder { id, holder }),
        Answer::Cancelled => Err(Error::TaskCancelled(id)),
        Answer::Mismatch => Err(Error::ResultMismatch(id)),
        Answer::OfHuman(role) => Err(Error::EndedByHuman { id, role }),
        Answer::Asks(asks) => Err(Error::AsksExhausted { id, asks }),
        Answer::Soon(wait_ms) => Err(Error::AskedTooSoon { id, wait_ms }),
        Answer::Uncleared => Err(Error::Uncleared(id)),
    }
}

impl TaskFilter {
    /// Returns the name of the list that is read. A cursor of one list means nothing in another.
    fn list(&self) -> String {
        match (self.parent, self.state, &self.agent) {
            (Some(parent), _, _) => format!("children-{parent}"),
            (None, None, _) => "tasks".to_owned(),
            (None, Some(state), Some(agent)) => format!("{state}-{agent}"),
            (None, Some(state), None) => state.to_string(),
        }
    }

    /// Returns which list is read.
    fn which(&self) -> Which<'_> {
        let Self { state, parent, .. } = *self;
        Which { parent, state, agent: self.agent.as_ref(), tenant: self.tenant.as_ref() }
    }

    /// Whether the list is that of all tasks, which is in the order of their acceptance.
    fn is_of_all_tasks(&self) -> bool {
        self.parent.is_none() && self.state.is_none()
    }

    /// The place before the first task that can match. `None` if that is the beginning of the list.
    fn first_place(&self) -> Option<Place> {
        let before = self.created_before.filter(|_| self.is_of_all_tasks())?;
        Some(Place::before_acceptance(before))
    }

    /// Whether neither the task at this place nor any after it can match.
    fn ends_before(&self, place: &Place) -> bool {
        self.is_of_all_tasks()
            && self.created_after.is_some_and(|after| place.is_accepted_before(after))
    }

    /// Whether every task of its state matches.
    fn has_only_state(&self) -> bool {
        let others = Self { state: None, parts: Parts::default(), ..self.clone() };
        others == Self::default()
    }

    fn is_of_tenant(&self, task: &Task) -> bool {
        self.tenant.is_none() || self.tenant == task.tenant()
    }

    /// Whether the task matches every part that is given.
    pub(super) fn matches(&self, task: &Task) -> bool {
        let of_agent =
            |agent| task.assigned_to().is_some_and(|subject| subject.is_subject_of(agent));
        self.is_of_tenant(task)
            && self.state.is_none_or(|state| task.state == state)
            && self.kind.as_ref().is_none_or(|kind| task.spec.kind == *kind)
            && self.agent.as_ref().is_none_or(of_agent)
            && self.priority.is_none_or(|priority| task.spec.priority == priority)
            && self.parent.is_none_or(|parent| task.spec.parent == Some(parent))
            && self.source.as_ref().is_none_or(|source| task.spec.source == *source)
            && self.trace_id.as_ref().is_none_or(|id| task.spec.trace_id.as_ref() == Some(id))
            && self.created_after.is_none_or(|after| task.created_at >= after)
            && self.created_before.is_none_or(|before| task.created_at < before)
            && self.updated_after.is_none_or(|after| task.since >= after)
    }
}
