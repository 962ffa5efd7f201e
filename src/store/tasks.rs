//! Submits, reads, cancels and requeues tasks.

use redis::Value;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::principal::Principal;
use crate::domain::task::Task;
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::codec::cipher::{Cipher, Place};
use super::codec::{self, Beside};
use super::new_record::{Gate, NewRecord};
use super::{Answer, Error, ORCHESTRATOR, Store, args, script};

/// The parts of a task that may be large, and are read only if a caller asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Whether to read the payload, and of the approval its action, the original payload and the
    /// differences.
    pub payload: bool,
    /// Whether to read the metadata.
    pub metadata: bool,
    /// Whether to read the result.
    pub result: bool,
}

impl Parts {
    /// Every part, as a call for a single task returns them.
    pub const ALL: Self = Self { payload: true, metadata: true, result: true };
}

/// The size in bytes that is assumed of a single task. Most are smaller, few much larger.
const READ_BYTES: usize = 2 << 20;

/// The result of one submission.
#[derive(Clone, Debug)]
pub enum SubmitAnswer {
    /// The task is stored, as this says.
    Created(Box<Task>),
    /// An earlier submission with the same idempotency key created this task.
    Replay(TaskId),
    /// The idempotency key was used with another body.
    Mismatch,
    /// The parent has ended in this state. `None` if no task has its id.
    NoParent(Option<State>),
    /// The caller has as many open tasks as it may.
    TooManyOpen,
}

impl Store {
    /// Stores submissions of one partition, at most about a hundred at once. Returns one answer
    /// each, in order.
    ///
    /// * `remember_ms`: how long to keep idempotency keys, in milliseconds.
    /// * `most_open`: how many open tasks a caller may have in the partition; 0 for any number.
    pub async fn submit(
        &self,
        partition: Partition,
        records: Vec<NewRecord>,
        remember_ms: Millis,
        most_open: u64,
    ) -> Result<Vec<SubmitAnswer>, Error> {
        let mut args = args();
        args.arg(remember_ms).arg(most_open);
        for record in &records {
            codec::row::push(&mut args, &self.shared.cipher, record)?;
        }
        let answers: Vec<String> =
            self.commit(&script::SUBMIT, partition, ORCHESTRATOR, args).await?;
        if answers.len() != records.len() {
            return Err(Error::corrupt("submit gave another number of answers than tasks"));
        }
        records
            .into_iter()
            .zip(answers)
            .map(|(record, answer)| read_answer(record, &answer))
            .collect()
    }

    /// Returns the task with all its parts. `None` if no task has this id.
    pub async fn read(&self, id: TaskId) -> Result<Option<Task>, Error> {
        let args = read_args(&[id], Parts::ALL, usize::MAX);
        let _room = self.room_for("read", READ_BYTES).await?;
        let answer = self.run(&script::READ, id.partition(), ORCHESTRATOR, args).await?;
        Ok(decode(&self.shared.cipher, answer)?.1.pop())
    }

    /// Returns how many of the `ids`, which belong to one partition, were read, and the tasks that
    /// exist among them, in order. Reads over the pool and stops when `budget` bytes are reached,
    /// but not before the first task. The parts that `parts` leaves out are empty.
    pub(super) async fn read_cold(
        &self,
        partition: Partition,
        ids: &[TaskId],
        parts: Parts,
        budget: usize,
    ) -> Result<(usize, Vec<Task>), Error> {
        let args = read_args(ids, parts, budget);
        decode(&self.shared.cipher, self.run_cold(&script::READ, partition, args).await?)
    }

    /// Cancels a task, for the `reason` if there is one.
    pub async fn cancel(
        &self,
        id: TaskId,
        caller: &Principal,
        reason: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(reason.map(quoted).unwrap_or_default()).arg("");
        let answer: String =
            self.commit_audited(&script::CANCEL, id.partition(), caller, args).await?;
        Answer::read(&answer, State::Cancelled)
    }

    /// Requeues a failed or cancelled task. Returns `None` if the task has changed since `seen` was
    /// read.
    ///
    /// * `gate`: the approval that it waits for. `None` if it needs none.
    /// * `bounds`: how often and how soon an agent may request approvals again.
    pub async fn requeue(
        &self,
        seen: &Task,
        caller: &Principal,
        head_starts_ms: [Millis; 4],
        gate: Option<&Gate>,
        bounds: &str,
    ) -> Result<Option<Answer>, Error> {
        let mut args = requeue_args(seen, head_starts_ms, gate, bounds)?;
        args.arg("").arg("");
        let answer: String =
            self.commit_audited(&script::REQUEUE, seen.id.partition(), caller, args).await?;
        if answer == "CHANGED" {
            return Ok(None);
        }
        Answer::read(&answer, State::Pending).map(Some)
    }
}

/// Returns the arguments of `requeue.lua` up to the reason.
pub(super) fn requeue_args(
    seen: &Task,
    head_starts_ms: [Millis; 4],
    gate: Option<&Gate>,
    bounds: &str,
) -> Result<redis::Cmd, Error> {
    let mut args = args();
    args.arg(seen.id.to_string()).arg(joined(head_starts_ms));
    args.arg(optional(gate.map(|gate| gate.id)));
    args.arg(gate.map(|gate| gate.digest.as_str()).unwrap_or_default());
    args.arg(gate.map(Gate::lines).transpose()?.unwrap_or_default());
    let approval = seen.approval.map_or_else(|| "-".to_owned(), |id| id.to_string());
    args.arg(format!("{approval} {}", seen.version)).arg(bounds);
    Ok(args)
}

/// Returns the head starts of P0 to P3 as scripts read them.
pub(super) fn joined(head_starts_ms: [Millis; 4]) -> String {
    head_starts_ms.map(|ms| ms.to_string()).join(",")
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Reads `CREATED <state> <now> <due>`, `REPLAY <id>`, `MISMATCH`, `PARENT <state, or gone>` or
/// `QUOTA`.
fn read_answer(record: NewRecord, answer: &str) -> Result<SubmitAnswer, Error> {
    parse_answer(record, answer)
        .ok_or_else(|| Error::corrupt(format!("unknown answer {answer:?} of submit")))
}

fn parse_answer(record: NewRecord, answer: &str) -> Option<SubmitAnswer> {
    let mut words = answer.split(' ');
    Some(match words.next()? {
        "CREATED" => {
            let state = words.next()?.parse().ok()?;
            let now = words.next()?.parse().ok()?;
            let due = words.next().and_then(|word| word.parse().ok());
            SubmitAnswer::Created(Box::new(codec::created(record, state, now, due)))
        }
        "REPLAY" => SubmitAnswer::Replay(words.next()?.parse().ok()?),
        "MISMATCH" => SubmitAnswer::Mismatch,
        "QUOTA" => SubmitAnswer::TooManyOpen,
        "PARENT" => SubmitAnswer::NoParent(words.next().and_then(|word| word.parse().ok())),
        _ => return None,
    })
}

/// Returns the arguments of `read.lua`.
fn read_args(ids: &[TaskId], parts: Parts, budget: usize) -> redis::Cmd {
    let mut word = String::new();
    for (is_wanted, letter) in
        [(parts.payload || parts.metadata, 's'), (parts.result, 'r'), (parts.payload, 'a')]
    {
        word.extend(is_wanted.then_some(letter));
    }
    let mut args = args();
    args.arg(word).arg(budget);
    for id in ids {
        args.arg(id.to_string());
    }
    args
}

/// Reads the answer of `read.lua`: how many ids were read, and the tasks among them.
fn decode(cipher: &Cipher, answer: Vec<Value>) -> Result<(usize, Vec<Task>), Error> {
    type Row = (String, i64, String, String, String, String, Value);
    let mut rows = answer.into_iter();
    let now: Millis = codec::value("read", rows.next().unwrap_or(Value::Nil))?;
    let looked_at = codec::value("read", rows.next().unwrap_or(Value::Nil))?;
    let tasks = rows.map(|row| {
        let (id, lease_until, record, spec, result, progress, approval): Row =
            codec::value("read", row)?;
        let id = id.parse().map_err(|_| Error::corrupt(format!("task id {id:?}")))?;
        let progress =
            Some(progress).filter(|text| !text.is_empty()).map(|text| serde_json::from_str(&text));
        let spec = cipher.open(Place::Spec(id), spec)?;
        let result = cipher.open(Place::Result(id), result)?;
        let beside = Beside {
            cipher,
            json: codec::json(&spec, id)?,
            result: (!result.is_empty()).then(|| codec::raw(result, "a result")).transpose()?,
            progress: progress
                .transpose()
                .map_err(|error| Error::corrupt(format!("progress of task {id}: {error}")))?,
            lease_until: u64::try_from(lease_until).ok(),
            approval: codec::pairs("read", approval)?,
            now,
        };
        codec::task(id, &record, beside)
    });
    Ok((looked_at, tasks.collect::<Result<_, _>>()?))
}
