//! Bulks: one action on every task that matches a filter, in the name of the caller. Worker
//! processes do them in bounded steps; see [`step`].

mod step;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::bulk::{BulkAction, BulkStatus, Tally};
use crate::domain::ids::{BulkId, Partition, TaskId};
use crate::domain::principal::Principal;
use crate::domain::priority::Priority;
use crate::domain::submission::Idempotency;
use crate::domain::text::hex;
use crate::domain::time::Millis;
use crate::store::{BulkAnswer, BulkRow, NewBulk};

use super::submit::owner_of_keys;
use super::{Engine, Error, TaskFilter};

/// What a bulk is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BulkOrder {
    /// What to do to each task.
    pub action: BulkAction,
    /// Which tasks: those that match at the moment at which the bulk is accepted.
    pub filter: TaskFilter,
    /// The priority to raise to. `None` unless the action is [`BulkAction::Raise`].
    pub priority: Option<Priority>,
    /// Why, in at most 1,000 characters. `None` if the caller gave no reason.
    pub reason: Option<String>,
    /// Whether to count the tasks that match, and to change none.
    pub is_dry_run: bool,
}

/// A bulk as it is now.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The identifier. It never changes and is never used again.
    pub id: BulkId,
    /// What it is to do.
    pub order: BulkOrder,
    /// Its status.
    pub status: BulkStatus,
    /// The caller in whose name, and with whose role, it acts.
    pub by: Principal,
    /// When it was accepted, in milliseconds since 1970: the moment at which its tasks match.
    pub at: Millis,
    /// When it ended, in milliseconds since 1970. `None` if it runs.
    pub ended: Option<Millis>,
    /// The caller that aborted it. `None` if none did.
    pub aborted_by: Option<String>,
    /// How many tasks it has found, and what became of them.
    pub tally: Tally,
}

/// An accepted bulk.
#[derive(Clone, Debug)]
pub struct StartedBulk {
    /// The bulk as it is now.
    pub bulk: Bulk,
    /// Whether an earlier request with the same idempotency key started it.
    pub is_replay: bool,
}

/// How far a bulk is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// Where to look for more tasks. `None` before the first.
    cursor: Option<String>,
    /// Whether all tasks were looked at.
    is_walked: bool,
    /// The tasks that were found by the last step, to change by the next one. A worker process that
    /// takes over begins with them, so that each task is counted.
    in_hand: Vec<TaskId>,
    tally: Tally,
}

impl Engine {
    /// Starts a bulk in the name of `caller`, on tasks that it sees. With an idempotency key the call
    /// can be repeated.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyBulks`] if as many run as the settings allow; [`Error::IdempotencyMismatch`]
    /// if the key was used with another body.
    pub async fn start_bulk(
        &self,
        caller: &Principal,
        order: &BulkOrder,
        idempotency: Option<Idempotency>,
    ) -> Result<StartedBulk, Error> {
        let id = BulkId::new(Partition(0));
        let tenant = caller.tenant().cloned();
        let order =
            &BulkOrder { filter: TaskFilter { tenant, ..order.filter.clone() }, ..order.clone() };
        let key = idempotency.as_ref().map(|once| once.key.clone()).unwrap_or_default();
        let once = idempotency.map(|once| {
            // A word of its own, so that a submission may have the same key.
            let owner = owner_of_keys(caller);
            let hash = Sha256::digest(format!("bulk\n{owner}\n{}", once.key));
            (hex(&hash[..16]), once.digest)
        });
        let bulk = NewBulk {
            id,
            order: &json(order)?,
            progress: &json(&Progress::default())?,
            summary: &order.summary(),
            once,
            remember_ms: self.settings.tasks.idempotency_ms,
            most: self.settings.tasks.max_bulks,
        };
        match self.store.start_bulk(bulk, caller).await? {
            BulkAnswer::Started => Ok(StartedBulk { bulk: self.bulk(id).await?, is_replay: false }),
            BulkAnswer::Replay(id) => {
                Ok(StartedBulk { bulk: self.bulk(id).await?, is_replay: true })
            }
            BulkAnswer::Mismatch => Err(Error::IdempotencyMismatch(key)),
            BulkAnswer::Full(all) => {
                let mut running = Vec::new();
                for id in &all {
                    running.extend(self.bulk_for(caller, *id).await.is_ok().then_some(*id));
                }
                Err(Error::TooManyBulks { count: all.len(), running })
            }
        }
    }

    /// Returns the bulk as it is now.
    pub async fn bulk(&self, id: BulkId) -> Result<Bulk, Error> {
        let row = self.store.bulk(id).await?.ok_or(Error::UnknownBulk(id))?;
        Ok(read(row)?.0)
    }

    /// Aborts a bulk: it ends before its next task, and what it has done stays. A bulk that has
    /// ended stays as it is.
    pub async fn abort_bulk(&self, caller: &Principal, id: BulkId) -> Result<Bulk, Error> {
        if caller.tenant().is_some() {
            self.bulk_for(caller, id).await?;
        }
        if !self.store.abort_bulk(id, caller).await? {
            return Err(Error::UnknownBulk(id));
        }
        self.bulk(id).await
    }
}

impl BulkOrder {
    /// Returns the order as a text for the audit log.
    fn summary(&self) -> String {
        // The members of an order can all be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the state of a task must not have changed since the bulk was accepted. Otherwise a
    /// task that comes to match would be changed too, or a retried task would be retried again.
    fn is_of_unchanged(&self) -> bool {
        let TaskFilter { state, agent, updated_after, .. } = &self.filter;
        let is_about_state = state.is_some() || agent.is_some() || updated_after.is_some();
        self.action == BulkAction::Retry || is_about_state
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(error.into()))
}

fn read(row: BulkRow) -> Result<(Bulk, Progress), Error> {
    let corrupt = |error: serde_json::Error| Error::Corrupt(error.into());
    let progress: Progress = serde_json::from_str(&row.progress).map_err(corrupt)?;
    let bulk = Bulk {
        id: row.id,
        order: serde_json::from_str(&row.order).map_err(corrupt)?,
        status: row.status,
        by: row.by,
        at: row.at,
        ended: row.ended,
        aborted_by: row.aborted_by,
        tally: progress.tally.clone(),
    };
    Ok((bulk, progress))
}
