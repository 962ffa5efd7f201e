//! Reading tasks, calling them off, putting them back, and the status calls of callers that never claimed.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::TaskId;
use crate::domain::lease::Proof;
use crate::domain::lifecycle::Verb;
use crate::domain::principal::Principal;
use crate::domain::task::Task;
use crate::store::lists::Place;
use crate::store::{Answer, Row};

use super::{Engine, Error, Fault, PAGE_BYTES, Page, StatusChange, TaskFilter};

/// How many tasks one page looks at before it comes back short: a rare match in a large store must not hold the
/// call for long.
pub(super) const LOOKED_AT: usize = 2_000;

/// A page with less room than this, in bytes, is full.
pub(super) const LEAST_ROOM: usize = 16 << 10;

impl Engine {
    /// The task as it is now.
    pub async fn task(&self, id: TaskId) -> Result<Task, Error> {
        if !self.store.has(id.partition()) {
            return Err(Error::UnknownTask(id));
        }
        self.store.read(id).await?.ok_or(Error::UnknownTask(id))
    }

    /// The task once it is terminal, or as it is when `wait` (at most 60 s) is over or the process stops.
    pub async fn task_when_finished(&self, id: TaskId, wait: Duration) -> Result<Task, Error> {
        let deadline = Instant::now() + wait;
        let bell = self.store.bells().task(id);
        loop {
            // Listen before looking: an end that comes while we look must not be missed.
            let rung = bell.bell().notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let task = self.task(id).await?;
            if task.state.is_terminal() || Instant::now() >= deadline || self.stop.is_cancelled() {
                return Ok(task);
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(deadline.min(self.slow_poll())) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// A page of tasks, newest first; with a state, newest in that state first.
    ///
    /// * `limit`: 1 to 200. A page may be short though more follow: `next_cursor` tells. It has at most [`PAGE_BYTES`] and
    ///   one task.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not one of ours.
    pub async fn tasks(
        &self,
        filter: &TaskFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Task>, Error> {
        let list = filter.list();
        let mut from = cursor.map(|text| read_cursor(&list, text)).transpose()?;
        let mut items = Vec::new();
        let mut looked_at = 0;
        let mut room = PAGE_BYTES;
        if filter.parent.is_some_and(|parent| !self.store.has(parent.partition())) {
            return Ok(Page { items, next_cursor: None });
        }
        loop {
            let which = (filter.state, filter.agent.as_ref(), filter.parent);
            let listed = self.store.list(which, from.as_ref(), limit, (filter.parts, room)).await?;
            let is_last = listed.rows.len() < limit && !listed.is_cut;
            looked_at += listed.rows.len();
            for (place, task) in listed.rows {
                if items.len() == limit {
                    return Ok(Page {
                        items,
                        next_cursor: from.as_ref().map(|place| write_cursor(&list, place)),
                    });
                }
                from = Some(place);
                if let Some(task) = task.filter(|task| filter.matches(task)) {
                    room = room.saturating_sub(task.bytes());
                    items.push(task);
                }
            }
            if is_last {
                return Ok(Page { items, next_cursor: None });
            }
            // What was cut once would be cut again, to ever less.
            let is_full = room < LEAST_ROOM || (listed.is_cut && !items.is_empty());
            if items.len() == limit || looked_at >= LOOKED_AT || is_full {
                return Ok(Page {
                    items,
                    next_cursor: from.as_ref().map(|place| write_cursor(&list, place)),
                });
            }
        }
    }

    /// Calls the task off, wherever it is; final at once.
    pub async fn cancel(
        &self,
        caller: &Principal,
        id: TaskId,
        reason: Option<String>,
    ) -> Result<Task, Error> {
        self.known(id)?;
        let answer = self.store.cancel(id, caller, reason.as_deref()).await?;
        self.accepted(id, Verb::Cancel, answer).await
    }

    /// Puts a failed or cancelled task back, its counters at zero. An approval serves one run: a task that needs one, or
    /// had one, is blocked again, under the rules of today, since those of its submission may name people who are gone.
    ///
    /// # Errors
    ///
    /// [`Error::EndedByHuman`] if a human of a higher role ended it; [`Error::AsksExhausted`] or
    /// [`Error::AskedTooSoon`] if an agent has humans asked again and again.
    pub async fn requeue(&self, caller: &Principal, id: TaskId) -> Result<Task, Error> {
        self.known(id)?;
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

    /// What `PATCH /tasks/{id}/status` does for callers that never claimed.
    ///
    /// `in_progress` leases the very task to the caller; its outcome is then the caller's alone to report.
    pub async fn change_status(
        &self,
        caller: &Principal,
        id: TaskId,
        change: StatusChange,
    ) -> Result<Task, Error> {
        self.known(id)?;
        let actor = caller.to_string();
        match change {
            StatusChange::InProgress => {
                let answer =
                    self.store.take(id, &actor, self.settings.agents.patch_lease_ms).await?;
                self.accepted(id, Verb::Take, answer).await
            }
            StatusChange::Ended(outcome) => {
                let (verb, row) =
                    (outcome.verb(), Row { id, proof: Proof::Caller, outcome: &outcome });
                let answers = self
                    .store
                    .report(id.partition(), &actor, verb, &[row], (&self.waits(), caller.role()))
                    .await?;
                self.accepted(id, verb, single(answers)?).await
            }
            StatusChange::Cancelled { reason } => self.cancel(caller, id, reason).await,
        }
    }

    /// Refuses an id that names a partition that there is not.
    pub(super) fn known(&self, id: TaskId) -> Result<(), Error> {
        if self.store.has(id.partition()) { Ok(()) } else { Err(Error::UnknownTask(id)) }
    }

    /// The task after an accepted verb, or the refusal.
    async fn accepted(&self, id: TaskId, verb: Verb, answer: Answer) -> Result<Task, Error> {
        refuse(id, verb, 0, answer)?;
        self.task(id).await
    }
}

/// The only answer of a call that carried one task.
fn single(answers: Vec<Answer>) -> Result<Answer, Error> {
    answers.into_iter().next().ok_or_else(|| Error::Corrupt("a script gave no answer".into()))
}

/// The state that an accepted verb led to, or the refusal.
pub(super) fn refuse(
    id: TaskId,
    verb: Verb,
    attempt: crate::domain::task::Attempt,
    answer: Answer,
) -> Result<crate::domain::lifecycle::State, Error> {
    match answer {
        Answer::Done(state) | Answer::Repeated(state) => Ok(state),
        Answer::Unknown => Err(Error::UnknownTask(id)),
        Answer::Illegal(state) => Err(Error::Illegal { id, state, verb }),
        Answer::Lease(held) => Err(Error::LeaseLost { id, attempt, held }),
        Answer::Holder(holder) => Err(Error::NotHolder { id, holder }),
        Answer::Cancelled => Err(Error::TaskCancelled(id)),
        Answer::Mismatch => Err(Error::ResultMismatch { id }),
        Answer::OfHuman(role) => Err(Error::EndedByHuman { id, role }),
        Answer::Asks(asks) => Err(Error::AsksExhausted { id, asks }),
        Answer::Soon(wait_ms) => Err(Error::AskedTooSoon { id, wait_ms }),
        Answer::Uncleared => Err(Error::Uncleared(id)),
    }
}

impl TaskFilter {
    /// Which list of the store is read: a place in one says nothing of another.
    fn list(&self) -> String {
        match (self.parent, self.state, &self.agent) {
            (Some(parent), _, _) => format!("children-{parent}"),
            (None, None, _) => "tasks".to_owned(),
            (None, Some(state), Some(agent)) => format!("{state}-{agent}"),
            (None, Some(state), None) => state.to_string(),
        }
    }

    fn matches(&self, task: &Task) -> bool {
        self.state.is_none_or(|state| task.state == state)
            && self.kind.as_ref().is_none_or(|kind| task.kind == *kind)
            && self.agent.as_ref().is_none_or(|agent| task.assigned_to() == Some(agent))
            && self.priority.is_none_or(|priority| task.priority == priority)
            && self.parent.is_none_or(|parent| task.parent == Some(parent))
    }
}

/// `<list>_<score>_<member>`: opaque to clients.
pub(super) fn write_cursor(list: &str, place: &Place) -> String {
    format!("{list}_{}_{}", place.score, place.member)
}

/// The place in this very list.
pub(super) fn read_cursor(list: &str, text: &str) -> Result<Place, Error> {
    let invalid = || {
        Error::Invalid(vec![Fault::new("cursor", "is not a cursor that a page of this list gave")])
    };
    let mut words = text.rsplitn(3, '_');
    let mut word = || words.next().ok_or_else(invalid);
    let (member, score, of) = (word()?, word()?, word()?);
    let score: f64 = score.parse().map_err(|_| invalid())?;
    let is_ours = of == list && score.is_finite() && member.parse::<uuid::Uuid>().is_ok();
    is_ours.then(|| Place { score, member: member.to_owned() }).ok_or_else(invalid)
}
