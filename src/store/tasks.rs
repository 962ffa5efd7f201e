//! Taking tasks in, reading, cancelling and requeueing them.

use std::collections::HashMap;

use redis::Value;

use crate::domain::approval::{OnExpiry, Terms};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::principal::Principal;
use crate::domain::sla::{Reached, Sla};
use crate::domain::task::{Millis, NewTask, Start, Task};

use super::codec::{self, Beside};
use super::{Answer, Error, ORCHESTRATOR, Store, args, script};

/// A submission with everything that was decided about it.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// Its id, which names its partition.
    pub id: TaskId,
    /// What was handed in.
    pub new: NewTask,
    /// By whom.
    pub by: String,
    /// Who will do it.
    pub agent: Name,
    /// How much earlier than submitted it counts as.
    pub head_start_ms: Millis,
    /// The approval that it waits for.
    pub gate: Option<Gate>,
    /// Whether its clocks stand still while it waits for a human.
    pub stands_while_blocked: bool,
    /// What is done when its thresholds pass; see [`crate::domain::sla::actions`].
    pub actions: String,
    /// Where its parent stands, where that lives in another partition than the task: as it was just now.
    pub parent_elsewhere: Option<ParentState>,
    /// The hash of the idempotency key and its owner, which names a key of the store.
    pub key_hash: Option<String>,
}

/// Where a parent stands; none: there is no such task.
pub type ParentState = Option<State>;
/// The parts of a task that may be large, and are only read where somebody asks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The payload, and of its approval the action, the payload as it was, and what differs.
    pub payload: bool,
    /// The metadata.
    pub metadata: bool,
    /// The result.
    pub result: bool,
}

impl Parts {
    /// Everything.
    pub const ALL: Self = Self { payload: true, metadata: true, result: true };
}

/// About how many bytes a task has that is read alone; most have less, few much more.
const READ_BYTES: usize = 2 << 20;

/// An approval to be asked for.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Its id, in the partition of the task.
    pub id: ApprovalId,
    /// Of the content; see [`crate::domain::content::Content::digest`].
    pub digest: String,
    /// What asks for it, as approvers are shown.
    pub rule: String,
    /// How it is decided.
    pub terms: Terms,
}

impl Gate {
    /// What scripts are given of it, apart from id and digest; `approval.lua` says what stands where.
    ///
    /// # Errors
    ///
    /// If the terms cannot be written as JSON.
    pub fn lines(&self) -> Result<String, Error> {
        let Terms { levels, quorum, four_eyes, on_expiry, remind_every_ms } = &self.terms;
        let silence = if *on_expiry == OnExpiry::Hold { "hold" } else { "reject" };
        let remind = remind_every_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let times: Vec<_> = levels.iter().map(|level| level.expires_after_ms.to_string()).collect();
        let terms = serde_json::to_string(&self.terms)
            .map_err(|error| Error::corrupt(format!("terms: {error}")))?;
        let (four_eyes, times, rule) =
            (u8::from(*four_eyes), times.join(","), codec::quote(&self.rule));
        Ok(format!("{quorum}\n{four_eyes}\n{silence}\n{remind}\n{times}\n{terms}\n{rule}"))
    }
}

/// What became of one submission.
#[derive(Clone, Debug)]
pub enum SubmitAnswer {
    /// It is stored.
    Created(Box<Task>),
    /// Its idempotency key belongs to a task that was accepted before.
    Replay(TaskId),
    /// Its idempotency key came with another body.
    Mismatch,
    /// Its parent has ended in this state; none: there is no such task.
    NoParent(Option<State>),
}

impl Store {
    /// Stores submissions of one partition, at most a hundred or so at once; one answer each, in order.
    ///
    /// * `remember_ms`: how long idempotency keys are kept.
    pub async fn submit(
        &self,
        partition: Partition,
        records: Vec<NewRecord>,
        remember_ms: Millis,
    ) -> Result<Vec<SubmitAnswer>, Error> {
        let mut args = args();
        args.arg(remember_ms);
        for record in &records {
            push(&mut args, record)?;
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

    /// The task, with all that there is of it.
    pub async fn read(&self, id: TaskId) -> Result<Option<Task>, Error> {
        let args = read_args(&[id], Parts::ALL, usize::MAX);
        let _room = self.room_for("read", READ_BYTES).await?;
        let answer = self.run(&script::READ, id.partition(), ORCHESTRATOR, args).await?;
        Ok(decode(answer)?.1.pop())
    }

    /// Those of the first of `ids` (of one partition) that exist, in order, over the pool of long reads; and how many of
    /// `ids` that were. As many as have `budget` bytes, at least one.
    ///
    /// What `parts` leaves out is empty.
    pub(super) async fn read_cold(
        &self,
        partition: Partition,
        ids: &[TaskId],
        parts: Parts,
        budget: usize,
    ) -> Result<(usize, Vec<Task>), Error> {
        let args = read_args(ids, parts, budget);
        decode(self.run_cold(&script::READ, partition, args).await?)
    }

    /// Calls a task off.
    pub async fn cancel(
        &self,
        id: TaskId,
        caller: &Principal,
        reason: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(reason.map(codec::quote).unwrap_or_default());
        let answer: String =
            self.commit_audited(&script::CANCEL, id.partition(), caller, args).await?;
        Answer::read(&answer, State::Cancelled)
    }

    /// Puts a failed or cancelled task back; none: it has changed since `seen` was read.
    ///
    /// * `gate`: the request that it waits for; none: it needs none.
    /// * `bounds`: how often, and how soon again, agents may have humans asked.
    pub async fn requeue(
        &self,
        seen: &Task,
        caller: &Principal,
        head_starts_ms: [Millis; 4],
        gate: Option<&Gate>,
        bounds: &str,
    ) -> Result<Option<Answer>, Error> {
        let (mut args, id) = (args(), seen.id);
        args.arg(id.to_string()).arg(joined(head_starts_ms));
        args.arg(optional(gate.map(|gate| gate.id)));
        args.arg(gate.map(|gate| gate.digest.as_str()).unwrap_or_default());
        args.arg(gate.map(Gate::lines).transpose()?.unwrap_or_default());
        let approval = seen.approval.map_or_else(|| "-".to_owned(), |id| id.to_string());
        args.arg(format!("{approval} {}", seen.version)).arg(bounds);
        let answer: String =
            self.commit_audited(&script::REQUEUE, id.partition(), caller, args).await?;
        if answer == "CHANGED" {
            return Ok(None);
        }
        Answer::read(&answer, State::Pending).map(Some)
    }
}

/// The head starts of P0 to P3 as scripts read them.
pub(super) fn joined(head_starts_ms: [Millis; 4]) -> String {
    head_starts_ms.map(|ms| ms.to_string()).join(",")
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Appends the 10 arguments of one task, in the order that `submit.lua` lists.
fn push(args: &mut redis::Cmd, record: &NewRecord) -> Result<(), Error> {
    let new = &record.new;
    let spec = codec::write_spec(&new.payload, new.metadata.as_deref())?;
    args.arg(record.id.to_string()).arg(facts(record, spec.len())).arg(spec);
    args.arg(&record.by).arg(record.head_start_ms);
    args.arg(match new.start {
        Start::Now => "+0".to_owned(),
        Start::After(delay) => format!("+{delay}"),
        Start::At(at) => at.to_string(),
    });
    args.arg(promise(record));
    let digest = new.idempotency.as_ref().map_or("-", |idempotency| idempotency.digest.as_str());
    args.arg(record.key_hash.as_ref().map_or_else(String::new, |hash| format!("{hash} {digest}")));
    args.arg(match &record.gate {
        None => String::new(),
        Some(gate) => format!("{} {}\n{}", gate.id, gate.digest, gate.lines()?),
    });
    args.arg(match (new.parent, record.parent_elsewhere) {
        (None, _) => "",
        (Some(_), None) => "here",
        (Some(_), Some(None)) => "gone",
        (Some(_), Some(Some(state))) => state.as_str(),
    });
    Ok(())
}

/// The second line of a task's record; `prelude.lua` says what stands where.
fn facts(record: &NewRecord, bytes: usize) -> String {
    let new = &record.new;
    let trace_id = new.trace_id.as_deref().unwrap_or("-");
    let traceparent = new.traceparent.as_deref().unwrap_or("-");
    let timeout = new.timeout_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    let parent = new.parent.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let cascade = new.parent.map_or("-", |_| new.on_parent_cancel.as_str());
    let (agent, kind, priority) = (&record.agent, &new.kind, new.priority.as_str());
    let (max_retries, source) = (new.max_retries, &new.source);
    format!(
        "{agent} {kind} {priority} {trace_id} {traceparent} {bytes} {max_retries} {timeout} {parent} \
         {source} {cascade}"
    )
}

/// What is promised of a task in time, as `submit.lua` reads it.
fn promise(record: &NewRecord) -> String {
    let stands = u8::from(record.stands_while_blocked);
    let Some(sla) = &record.new.sla else { return format!("- - - - {stands} -") };
    let deadline = |at: Option<Millis>, within: Option<Millis>| match (at, within) {
        (Some(at), _) => at.to_string(),
        (None, Some(within)) => format!("+{within}"),
        (None, None) => "-".to_owned(),
    };
    let actions = if record.actions.is_empty() { "-" } else { &record.actions };
    let start = deadline(sla.start_deadline, sla.start_within_ms);
    let finish = deadline(sla.deadline, sla.within_ms);
    let (percent, target) = (sla.alert_threshold, codec::word(sla.target.as_deref()));
    format!("{actions} {start} {finish} {percent} {stands} {target}")
}

/// Reads `CREATED <state> <now> <due>`, `REPLAY <id>`, `MISMATCH` or `PARENT <state, or gone>`.
fn read_answer(record: NewRecord, answer: &str) -> Result<SubmitAnswer, Error> {
    let mut words = answer.split(' ');
    let unreadable = || Error::corrupt(format!("submit answered {answer:?}"));
    match words.next() {
        Some("CREATED") => {
            let state = words.next().and_then(State::from_word).ok_or_else(unreadable)?;
            let now = words.next().and_then(|word| word.parse().ok()).ok_or_else(unreadable)?;
            let due = words.next().and_then(|word| word.parse().ok());
            Ok(SubmitAnswer::Created(Box::new(created(record, state, now, due))))
        }
        Some("REPLAY") => {
            let id = words.next().and_then(|word| word.parse().ok()).ok_or_else(unreadable)?;
            Ok(SubmitAnswer::Replay(id))
        }
        Some("MISMATCH") => Ok(SubmitAnswer::Mismatch),
        Some("PARENT") => Ok(SubmitAnswer::NoParent(words.next().and_then(State::from_word))),
        Some(_) | None => Err(unreadable()),
    }
}

/// The task as the script has just stored it.
fn created(record: NewRecord, state: State, now: Millis, due: Option<Millis>) -> Task {
    let new = record.new;
    let clocks_since = due.unwrap_or(now);
    let sla = new.sla.map(|sla| {
        let deadline = sla.deadline.or(sla.within_ms.map(|within| clocks_since + within));
        let start_deadline =
            sla.start_deadline.or(sla.start_within_ms.map(|within| clocks_since + within));
        Sla { deadline, within_ms: None, start_deadline, start_within_ms: None, ..sla }
    });
    Task {
        id: record.id,
        kind: new.kind,
        priority: new.priority,
        source: new.source,
        state,
        payload: new.payload,
        metadata: new.metadata,
        sla,
        agent: record.agent,
        parent: new.parent,
        on_parent_cancel: new.on_parent_cancel,
        trace_id: new.trace_id,
        traceparent: new.traceparent,
        submitted_by: record.by.clone(),
        created_at: now,
        scheduled_for: due,
        attempt: 0,
        retry_count: 0,
        max_retries: new.max_retries,
        lost_count: 0,
        timeout_ms: new.timeout_ms,
        holder: None,
        lease_until: None,
        error: None,
        result: None,
        progress: None,
        approval: record.gate.map(|gate| gate.id),
        asked: None,
        timeline: vec![crate::domain::task::Transition {
            at: now,
            verb: Verb::Submit,
            to: state,
            actor: record.by,
            attempt: 0,
            reason: None,
        }],
        version: 1,
        since: now,
        human_ms: 0,
        clocks_since,
        reached: Reached::default(),
        observed_at: now,
    }
}

/// The arguments of `read.lua`.
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

/// Reads what `read.lua` answers: how many ids were looked at, and the tasks among them.
fn decode(answer: Vec<Value>) -> Result<(usize, Vec<Task>), Error> {
    type Row = (String, i64, String, String, String, String, HashMap<String, String>);
    let unreadable = |error| Error::corrupt(format!("the answer of read: {error}"));
    let mut rows = answer.into_iter();
    let now: Millis =
        redis::from_redis_value(rows.next().unwrap_or(Value::Nil)).map_err(unreadable)?;
    let looked_at =
        redis::from_redis_value(rows.next().unwrap_or(Value::Nil)).map_err(unreadable)?;
    let tasks = rows.map(|row| {
        let (id, lease_until, record, spec, result, progress, approval): Row =
            redis::from_redis_value(row).map_err(unreadable)?;
        let id = id.parse().map_err(|_| Error::corrupt(format!("task id {id:?}")))?;
        let progress =
            Some(progress).filter(|text| !text.is_empty()).map(|text| serde_json::from_str(&text));
        let beside = Beside {
            spec: codec::spec(&spec, id)?,
            result: (!result.is_empty()).then(|| codec::raw(result, "a result")).transpose()?,
            progress: progress
                .transpose()
                .map_err(|error| Error::corrupt(format!("progress of task {id}: {error}")))?,
            lease_until: u64::try_from(lease_until).ok(),
            approval,
            now,
        };
        codec::task(id, &record, beside)
    });
    Ok((looked_at, tasks.collect::<Result<_, _>>()?))
}
