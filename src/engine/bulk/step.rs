//! The steps of bulks. A step changes the tasks that the step before found, and finds the next
//! ones.
//!
//! A worker process may be killed at any moment, and another one may already have its bulk. Still,
//! each task is changed at most once, because the script that changes it finds the bulk in its
//! timeline; and each is counted once, because the bulk holds the tasks in hand until a step has
//! recorded what became of all of them.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::domain::bulk::{BulkAction, BulkRefusal, BulkStatus, Found};
use crate::domain::ids::{BulkId, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::priority::Priority;
use crate::domain::rules;
use crate::domain::task::Task;
use crate::domain::time::Millis;
use crate::store::{self, Answer, BulkEnd, BulkTurn, InBulk};

use super::super::events::Body;
use super::super::{Engine, Error, SweepResult, TaskFilter};
use super::{Bulk, Progress, json, read};

/// How many tasks a step finds, and the next one changes.
const BATCH: usize = 100;

/// How many tasks a step changes at the same time. More would slow other calls down.
const AT_ONCE: usize = 8;

/// For how long a worker process has a bulk, in milliseconds. A step takes far less; another one
/// takes over that much after a worker process was killed.
const HOLD_MS: Millis = 5_000;

/// The payload of the event that a bulk ended.
#[derive(Serialize)]
struct Ended {
    bulk_id: BulkId,
    action: BulkAction,
    dry_run: bool,
    status: BulkStatus,
    by: String,
    matched: u64,
    done: u64,
    refused: u64,
}

impl Engine {
    /// Makes one step of the bulk whose turn it is.
    pub async fn run_bulks(&self) -> Result<SweepResult, Error> {
        let row = match self.store.take_bulk(&self.process, HOLD_MS).await? {
            BulkTurn::Step(row) => *row,
            BulkTurn::Wait(wait) => {
                let next_in = wait.map(Duration::from_millis);
                return Ok(SweepResult { next_in, ..SweepResult::default() });
            }
        };
        let (bulk, mut progress) = read(row)?;
        self.change_tasks(&bulk, &mut progress).await?;
        if bulk.status == BulkStatus::Running {
            self.find_tasks(&bulk, &mut progress).await?;
        }
        self.note_step(bulk, progress).await?;
        Ok(SweepResult { moved: 1, is_more: true, next_in: None })
    }

    /// Changes the tasks in hand, and counts what becomes of each.
    async fn change_tasks(&self, bulk: &Bulk, progress: &mut Progress) -> Result<(), Error> {
        let ids = std::mem::take(&mut progress.in_hand);
        let changes = ids.into_iter().map(async |id| {
            let refusal = self.change_task(bulk, id).await?;
            Ok::<_, Error>((id, refusal))
        });
        let results: Vec<_> = stream::iter(changes).buffered(AT_ONCE).try_collect().await?;
        for (id, refusal) in results {
            match refusal {
                None => progress.tally.done += 1,
                Some(reason) => progress.tally.refuse(id, reason),
            }
        }
        Ok(())
    }

    /// Changes one task. Returns why it did not; `None` if the bulk has changed it, now or before.
    async fn change_task(&self, bulk: &Bulk, id: TaskId) -> Result<Option<BulkRefusal>, Error> {
        loop {
            let task = match self.store.read(id).await {
                Ok(Some(task)) => task,
                Ok(None) => return Ok(Some(BulkRefusal::Changed)),
                Err(store::Error::Undecryptable { .. }) => {
                    return Ok(Some(BulkRefusal::Undecryptable));
                }
                Err(error) => return Err(error.into()),
            };
            if bulk.has_changed(&task) {
                return Ok(None);
            }
            if bulk.status != BulkStatus::Running {
                return Ok(Some(BulkRefusal::Aborted));
            }
            if !bulk.wants(&task) {
                return Ok(Some(BulkRefusal::Changed));
            }
            // Without an answer the task has changed since it was read.
            if let Some(answer) = self.apply(bulk, &task).await? {
                return Ok(answer);
            }
        }
    }

    /// Applies the action to a task. Returns why that was refused. `None` if the task has changed
    /// since it was read.
    async fn apply(&self, bulk: &Bulk, task: &Task) -> Result<Option<Option<BulkRefusal>>, Error> {
        let reason = bulk.reason();
        let within =
            InBulk { id: bulk.id, unchanged_since: bulk.unchanged_since(), reason: &reason };
        let head_starts = self.settings.queue.head_start_ms.all();
        let answer = match (bulk.order.action, bulk.order.priority) {
            (BulkAction::Cancel, _) => self.store.cancel_in_bulk(task.id, &bulk.by, within).await?,
            (BulkAction::Raise, Some(to)) => {
                if let Some(refusal) = self.bar_raise(task, to) {
                    return Ok(Some(Some(refusal)));
                }
                self.store.raise_in_bulk(task, to, &bulk.by, head_starts, within).await?
            }
            (BulkAction::Retry | BulkAction::Raise, _) => {
                let gate = self.gate_of_today(task);
                let bounds = self.settings.approvals.ask_bounds();
                let terms = (gate.as_ref(), bounds.as_str());
                self.store.requeue_in_bulk(task, &bulk.by, head_starts, terms, within).await?
            }
        };
        Ok(answer.map(refusal_of))
    }

    /// Returns why the priority of the task may not be raised to `to`.
    fn bar_raise(&self, task: &Task, to: Priority) -> Option<BulkRefusal> {
        if task.spec.priority <= to {
            return Some(BulkRefusal::NotRaised);
        }
        let highest = rules::highest_priority(&self.settings.approvals.rules, &task.spec);
        (to < highest).then_some(BulkRefusal::NeedsApproval)
    }

    /// Finds the tasks of the next step.
    async fn find_tasks(&self, bulk: &Bulk, progress: &mut Progress) -> Result<(), Error> {
        if progress.is_walked {
            return Ok(());
        }
        let page = self.tasks(&bulk.walk(), BATCH, progress.cursor.as_deref()).await?;
        for task in page.items.into_iter().filter(|task| bulk.wants(task)) {
            if !bulk.order.is_dry_run {
                progress.in_hand.push(task.id);
            }
            let Task { id, spec, .. } = task;
            progress.tally.find(Found { id, kind: spec.kind, title: spec.title });
        }
        progress.is_walked = page.next_cursor.is_none();
        progress.cursor = page.next_cursor;
        Ok(())
    }

    /// Records the step, and ends the bulk if it was the last.
    async fn note_step(&self, bulk: Bulk, progress: Progress) -> Result<(), Error> {
        let text = json(&progress)?;
        let is_done = progress.is_walked && progress.in_hand.is_empty();
        let status = match bulk.status {
            BulkStatus::Running if !is_done => {
                self.store.note_bulk(bulk.id, &self.process, &text, None).await?;
                return Ok(());
            }
            BulkStatus::Running => BulkStatus::Completed,
            BulkStatus::Aborting | BulkStatus::Aborted | BulkStatus::Completed => {
                BulkStatus::Aborted
            }
        };
        let tally = progress.tally;
        let ended = Ended {
            bulk_id: bulk.id,
            action: bulk.order.action,
            dry_run: bulk.order.is_dry_run,
            status,
            by: bulk.by.to_string(),
            matched: tally.matched,
            done: tally.done,
            refused: tally.refusals(),
        };
        let event_type = format!("bulk.{status}");
        let tenant = bulk.order.filter.tenant.as_ref();
        let event = Body::of_ours(&event_type, tenant, &json(&ended)?)?;
        let kept_ms = self.settings.retention.finished_ms;
        let end = BulkEnd { status, kept_ms, event_type: &event_type, event: &event };
        if self.store.note_bulk(bulk.id, &self.process, &text, Some(end)).await? {
            tracing::info!(
                bulk.id = %bulk.id,
                bulk.action = %ended.action,
                bulk.status = %status,
                matched = ended.matched,
                done = ended.done,
                refused = ended.refused,
                "bulk ended"
            );
        }
        Ok(())
    }
}

impl Bulk {
    /// Returns the filter of the list in which every task that matches is found: one in which no
    /// task moves ahead of the cursor.
    fn walk(&self) -> TaskFilter {
        let filter = self.order.filter.clone();
        let end = self.at + 1;
        let created_before = Some(filter.created_before.map_or(end, |before| before.min(end)));
        // Each extension of a lease moves a task in the list of those in progress.
        let state = filter.state.filter(|state| *state != State::InProgress);
        TaskFilter { state, created_before, ..filter }
    }

    /// Whether the task matches, and the action applies to its state.
    fn wants(&self, task: &Task) -> bool {
        let is_allowed = self.order.action.verb().rule().from.contains(&task.state);
        let is_unchanged = self.unchanged_since().is_none_or(|at| task.since <= at);
        let is_there = task.created_at <= self.at;
        is_there && is_allowed && is_unchanged && self.order.filter.matches(task)
    }

    /// Whether the bulk has changed the task.
    fn has_changed(&self, task: &Task) -> bool {
        let mark = InBulk::mark(self.id);
        let reasons = task.timeline.iter().filter_map(|entry| entry.reason.as_ref());
        reasons.into_iter().any(|reason| reason.starts_with(&mark))
    }

    fn unchanged_since(&self) -> Option<Millis> {
        self.order.is_of_unchanged().then_some(self.at)
    }

    /// Returns the reason of each change.
    fn reason(&self) -> String {
        let mark = InBulk::mark(self.id);
        match &self.order.reason {
            Some(reason) => format!("{mark}: {reason}"),
            None => mark,
        }
    }
}

/// Returns why a change was refused. `None` if it is done.
fn refusal_of(answer: Answer) -> Option<BulkRefusal> {
    match answer {
        Answer::Done(_) | Answer::Repeated(_) => None,
        Answer::Unknown => Some(BulkRefusal::Changed),
        Answer::OfHuman(_) => Some(BulkRefusal::EndedByHuman),
        Answer::Asks(_) => Some(BulkRefusal::AsksExhausted),
        Answer::Soon(_) => Some(BulkRefusal::AskedTooSoon),
        Answer::Illegal(_)
        | Answer::Lease(_)
        | Answer::Holder(_)
        | Answer::Mismatch
        | Answer::Cancelled
        | Answer::Uncleared => Some(BulkRefusal::Illegal),
    }
}
