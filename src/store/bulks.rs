//! Bulks: accepting, reading and aborting them, the turns of worker processes, and the changes that
//! they make to single tasks.

use std::collections::HashMap;

use redis::Value;

use crate::domain::bulk::BulkStatus;
use crate::domain::ids::{BulkId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::principal::{Origin, Principal, Role, Subject};
use crate::domain::priority::Priority;
use crate::domain::task::Task;
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::tasks::joined;
use super::{Answer, Error, Gate, ORCHESTRATOR, Store, args, script};

/// The partition of all bulks.
const HOME: Partition = Partition(0);

/// A bulk to accept.
#[derive(Clone, Debug)]
pub struct NewBulk<'b> {
    /// The id of the new bulk.
    pub id: BulkId,
    /// What is ordered, as JSON that the store does not look into.
    pub order: &'b str,
    /// How far it is, as JSON that the store does not look into.
    pub progress: &'b str,
    /// What it does, for the audit log.
    pub summary: &'b str,
    /// The hash of the idempotency key and its owner, and the digest of the request. `None` if
    /// repeating the request starts a second bulk.
    pub once: Option<(String, String)>,
    /// How long to keep the key, in milliseconds.
    pub remember_ms: Millis,
    /// How many bulks may run at once.
    pub most: u32,
}

/// The result of a request for a bulk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkAnswer {
    /// The bulk runs.
    Started,
    /// An earlier request with the same idempotency key started this bulk.
    Replay(BulkId),
    /// The idempotency key was used with another body.
    Mismatch,
    /// As many bulks run as may: these.
    Full(Vec<BulkId>),
}

/// A bulk as the store has it.
#[derive(Clone, Debug)]
pub struct BulkRow {
    /// The id of the bulk.
    pub id: BulkId,
    /// What is ordered, as JSON.
    pub order: String,
    /// How far it is, as JSON.
    pub progress: String,
    /// Its status.
    pub status: BulkStatus,
    /// The caller in whose name it acts.
    pub by: Principal,
    /// When it was accepted, in milliseconds since 1970.
    pub at: Millis,
    /// When it ended, in milliseconds since 1970. `None` if it runs.
    pub ended: Option<Millis>,
    /// The caller that aborted it. `None` if none did.
    pub aborted_by: Option<String>,
}

/// What a worker process does next about bulks.
#[derive(Clone, Debug)]
pub enum BulkTurn {
    /// Make a step of this bulk.
    Step(Box<BulkRow>),
    /// Call again in so many milliseconds. `None` if no bulk runs.
    Wait(Option<Millis>),
}

/// The end of a bulk.
#[derive(Clone, Debug)]
pub struct BulkEnd<'b> {
    /// The status in which it ends.
    pub status: BulkStatus,
    /// How long to keep it from now on, in milliseconds.
    pub kept_ms: Millis,
    /// The type of the event about it.
    pub event_type: &'b str,
    /// The JSON of the event, from `"event_type"` to the closing brace.
    pub event: &'b str,
}

/// What a bulk demands of a change that it makes to one task.
#[derive(Clone, Copy, Debug)]
pub struct InBulk<'b> {
    /// The bulk, which changes each task at most once.
    pub id: BulkId,
    /// The time in milliseconds since 1970 after which the state of the task must not have changed.
    /// `None` if it may.
    pub unchanged_since: Option<Millis>,
    /// The reason of the change, which begins with [`InBulk::mark`].
    pub reason: &'b str,
}

impl InBulk<'_> {
    /// Returns the beginning of the reasons of all changes by a bulk.
    pub fn mark(id: BulkId) -> String {
        format!("bulk {id}")
    }

    /// Returns the argument for `barred` of `rules.lua`.
    fn argument(&self) -> String {
        let moment = self.unchanged_since.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        format!("{} {moment}", self.id)
    }
}

impl Store {
    /// Accepts a bulk in the name of `caller`.
    pub async fn start_bulk(
        &self,
        bulk: NewBulk<'_>,
        caller: &Principal,
    ) -> Result<BulkAnswer, Error> {
        let (key, digest) = bulk.once.unwrap_or_default();
        let mut args = args();
        args.arg(bulk.id.to_string()).arg(bulk.order).arg(bulk.progress).arg(bulk.most);
        args.arg(key).arg(digest).arg(bulk.remember_ms).arg(bulk.summary);
        let answer: String = self.commit_audited(&script::BULK_START, HOME, caller, args).await?;
        read_answer(&answer).ok_or_else(|| Error::corrupt(format!("unknown answer {answer:?}")))
    }

    /// Returns a bulk. `None` if there is none with this id.
    pub async fn bulk(&self, id: BulkId) -> Result<Option<BulkRow>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let fields: HashMap<String, String> =
            self.query("bulk", HOME, cmd.arg(self.keys().bulk(id))).await?;
        if fields.is_empty() { Ok(None) } else { read_row(id, fields).map(Some) }
    }

    /// Aborts a bulk that runs. Returns whether there is a bulk with this id.
    pub async fn abort_bulk(&self, id: BulkId, caller: &Principal) -> Result<bool, Error> {
        let mut args = args();
        args.arg(id.to_string());
        self.commit_audited(&script::BULK_ABORT, HOME, caller, args).await
    }

    /// Takes the bulk whose turn it is for the next `hold_ms` milliseconds.
    ///
    /// * `holder`: the name of this worker process.
    pub async fn take_bulk(&self, holder: &str, hold_ms: Millis) -> Result<BulkTurn, Error> {
        let mut args = args();
        args.arg(holder).arg(hold_ms);
        let answer: Vec<Value> = self.run(&script::BULK_TURN, HOME, ORCHESTRATOR, args).await?;
        let mut parts = answer.into_iter();
        let first = parts.next().unwrap_or(Value::Nil);
        let Some(fields) = parts.next() else {
            let wait: i64 = super::codec::value("bulk_turn", first)?;
            return Ok(BulkTurn::Wait(u64::try_from(wait).ok()));
        };
        let id: String = super::codec::value("bulk_turn", first)?;
        let id = id.parse().map_err(|_| Error::corrupt(format!("member {id:?} of bulks")))?;
        let row = read_row(id, super::codec::value("bulk_turn", fields)?)?;
        Ok(BulkTurn::Step(Box::new(row)))
    }

    /// Records what a step of a bulk did. Returns whether `holder` still had the bulk.
    pub async fn note_bulk(
        &self,
        id: BulkId,
        holder: &str,
        progress: &str,
        end: Option<BulkEnd<'_>>,
    ) -> Result<bool, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(holder).arg(progress);
        match end {
            Some(end) => {
                args.arg(end.status.as_str()).arg(end.kept_ms).arg(end.event_type).arg(end.event)
            }
            None => args.arg("").arg(0).arg("").arg(""),
        };
        self.commit(&script::BULK_NOTE, HOME, ORCHESTRATOR, args).await
    }

    /// Cancels a task in a bulk. Returns `None` if its state has changed too late; see [`InBulk`].
    pub async fn cancel_in_bulk(
        &self,
        id: TaskId,
        caller: &Principal,
        bulk: InBulk<'_>,
    ) -> Result<Option<Answer>, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(quoted(bulk.reason)).arg(bulk.argument());
        let answer: String =
            self.commit_audited(&script::CANCEL, id.partition(), caller, args).await?;
        read_change(&answer, State::Cancelled)
    }

    /// Requeues a task as [`Store::requeue`] does, in a bulk. Returns `None` if it has changed
    /// since `seen` was read, or its state has changed too late.
    pub async fn requeue_in_bulk(
        &self,
        seen: &Task,
        caller: &Principal,
        head_starts_ms: [Millis; 4],
        (gate, bounds): (Option<&Gate>, &str),
        bulk: InBulk<'_>,
    ) -> Result<Option<Answer>, Error> {
        let mut args = super::tasks::requeue_args(seen, head_starts_ms, gate, bounds)?;
        args.arg(quoted(bulk.reason)).arg(bulk.argument());
        let answer: String =
            self.commit_audited(&script::REQUEUE, seen.id.partition(), caller, args).await?;
        read_change(&answer, State::Pending)
    }

    /// Raises the priority of a waiting task in a bulk. Returns `None` if it has changed since
    /// `seen` was read, or its state has changed too late.
    pub async fn raise_in_bulk(
        &self,
        seen: &Task,
        to: Priority,
        caller: &Principal,
        head_starts_ms: [Millis; 4],
        bulk: InBulk<'_>,
    ) -> Result<Option<Answer>, Error> {
        let mut args = args();
        args.arg(seen.id.to_string()).arg(joined(head_starts_ms)).arg(to.as_str());
        args.arg(format!("{} {}", seen.spec.priority, seen.version));
        args.arg(quoted(bulk.reason)).arg(bulk.argument());
        let answer: String =
            self.commit_audited(&script::RAISE, seen.id.partition(), caller, args).await?;
        read_change(&answer, seen.state)
    }
}

fn read_change(answer: &str, done: State) -> Result<Option<Answer>, Error> {
    if answer == "CHANGED" {
        return Ok(None);
    }
    Answer::read(answer, done).map(Some)
}

/// Reads `OK`, `REPLAY <id>`, `MISMATCH` or `FULL <ids>`.
fn read_answer(answer: &str) -> Option<BulkAnswer> {
    let mut words = answer.split(' ');
    Some(match words.next()? {
        "OK" => BulkAnswer::Started,
        "REPLAY" => BulkAnswer::Replay(words.next()?.parse().ok()?),
        "MISMATCH" => BulkAnswer::Mismatch,
        "FULL" => BulkAnswer::Full(words.map(|word| word.parse().ok()).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// Reads the hash of a bulk.
fn read_row(id: BulkId, fields: HashMap<String, String>) -> Result<BulkRow, Error> {
    parse_row(id, fields).ok_or_else(|| Error::corrupt(format!("the hash of bulk {id}")))
}

fn parse_row(id: BulkId, mut fields: HashMap<String, String>) -> Option<BulkRow> {
    let role = Role::of_rank(fields.get("role")?.parse().ok()?)?;
    let by = Principal::new(Subject::of_actor(fields.get("by")?)?, role).ok()?;
    let origin = fields.get("origin").and_then(|text| Origin::read(text));
    Some(BulkRow {
        id,
        status: fields.get("status")?.parse().ok()?,
        by: by.at(origin),
        at: fields.get("at")?.parse().ok()?,
        ended: fields.get("ended").map(|text| text.parse().ok()).unwrap_or_default(),
        aborted_by: fields.remove("aborted_by"),
        order: fields.remove("order")?,
        progress: fields.remove("progress")?,
    })
}
