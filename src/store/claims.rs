//! Leasing tasks to agents, and hearing how the attempts went.

use std::collections::HashMap;

use redis::Value;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Worker};
use crate::domain::task::{Attempt, Claimed, Millis, Progress};
use serde_json::value::RawValue;

use super::codec::{self, Beside};
use super::{Error, Store, args, script};

/// What a script answered about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the task is now here.
    Done(State),
    /// It had been done before, by the same caller.
    Repeated(State),
    /// There is no such task.
    Unknown,
    /// The task is somewhere that the verb does not start from.
    Illegal(State),
    /// The lease belongs to another attempt, or to none; this is the newest.
    Lease(Attempt),
    /// The lease belongs to somebody else.
    Holder(String),
    /// The task was cancelled meanwhile.
    Cancelled,
    /// Its content is not what was approved.
    Uncleared,
}

impl Answer {
    /// Reads an answer; `done` is the state that a bare `OK` means.
    pub(super) fn read(text: &str, done: State) -> Result<Self, Error> {
        let unreadable = || Error::corrupt(format!("a script answered {text:?}"));
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let state = || State::from_word(rest).ok_or_else(unreadable);
        match word {
            "OK" if rest.is_empty() => Ok(Self::Done(done)),
            "OK" => Ok(Self::Done(state()?)),
            "REPEATED" => Ok(Self::Repeated(state()?)),
            "UNKNOWN" => Ok(Self::Unknown),
            "ILLEGAL" => Ok(Self::Illegal(state()?)),
            "LEASE" => Ok(Self::Lease(rest.parse().map_err(|_| unreadable())?)),
            "HOLDER" => Ok(Self::Holder(rest.to_owned())),
            "CANCELLED" => Ok(Self::Cancelled),
            "UNCLEARED" => Ok(Self::Uncleared),
            _ => Err(unreadable()),
        }
    }
}

/// An attempt that did not work.
#[derive(Clone, Debug)]
pub struct FailedReport<'r> {
    /// Which task.
    pub id: TaskId,
    /// Which attempt; none: the caller must be the holder.
    pub attempt: Option<Attempt>,
    /// Why.
    pub error: &'r str,
    /// Whether another attempt makes sense.
    pub is_retryable: bool,
    /// How long to wait before it, instead of the usual back-off.
    pub retry_after_ms: Option<Millis>,
    /// What the agent found on the way.
    pub result: Option<&'r RawValue>,
}

impl Store {
    /// Leases up to `max` (1 to 100) tasks of the agent's subject in one partition, best first.
    ///
    /// Each is in progress afterwards and its attempt is one higher than before. Empty: nothing waits, or the
    /// agent is paused.
    pub async fn claim(
        &self,
        partition: Partition,
        actor: &str,
        agent: &Name,
        worker: &Worker,
        max: u32,
        lease_ms: Millis,
    ) -> Result<Vec<Claimed>, Error> {
        let mut args = args();
        args.arg(agent.as_str()).arg(worker.as_str()).arg(max).arg(lease_ms);
        let answer: Vec<Value> = self.run(&script::CLAIM, partition, actor, args).await?;
        let mut rows = answer.into_iter();
        let unreadable = |error| Error::corrupt(format!("the answer of claim: {error}"));
        let now = redis::from_redis_value(rows.next().unwrap_or(Value::Nil)).map_err(unreadable)?;
        rows.map(|row| {
            let (id, lease_until, record, spec, approval): (
                String,
                Millis,
                String,
                String,
                HashMap<String, String>,
            ) = redis::from_redis_value(row).map_err(unreadable)?;
            let id = id.parse().map_err(|_| Error::corrupt(format!("task id {id:?}")))?;
            let spec = codec::spec(&spec, id)?;
            // Neither is kept from an attempt to the next where it matters to the agent.
            let beside = Beside {
                spec,
                result: None,
                progress: None,
                lease_until: Some(lease_until),
                approval,
                now,
            };
            let task = codec::task(id, &record, beside)?;
            Ok(Claimed { task, lease_until })
        })
        .collect()
    }

    /// Leases this very task to `actor`.
    pub async fn take(&self, id: TaskId, actor: &str, lease_ms: Millis) -> Result<Answer, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(lease_ms);
        let answer: String = self.commit(&script::TAKE, id.partition(), actor, args).await?;
        Answer::read(&answer, State::InProgress)
    }

    /// Extends a lease; returns until when it is, or why not.
    pub async fn extend(
        &self,
        id: TaskId,
        actor: &str,
        attempt: Attempt,
        lease_ms: Millis,
        progress: Option<&Progress>,
    ) -> Result<Result<Millis, Answer>, Error> {
        let progress = progress.map(serde_json::to_string).transpose();
        let progress = progress.map_err(|error| Error::corrupt(format!("progress: {error}")))?;
        let mut args = args();
        args.arg(id.to_string()).arg(attempt).arg(lease_ms).arg(progress.unwrap_or_default());
        let answer: String = self.run(&script::EXTEND, id.partition(), actor, args).await?;
        match answer.strip_prefix("OK ").and_then(|until| until.parse().ok()) {
            Some(until) => Ok(Ok(until)),
            None => Answer::read(&answer, State::InProgress).map(Err),
        }
    }

    /// Ends attempts that worked: task, attempt (none: the caller must be the holder), result.
    pub async fn complete(
        &self,
        partition: Partition,
        actor: &str,
        reports: &[(TaskId, Option<Attempt>, Option<&RawValue>)],
    ) -> Result<Vec<Answer>, Error> {
        let mut args = args();
        for (id, attempt, result) in reports {
            args.arg(id.to_string()).arg(token(*attempt)).arg(result.map_or("", RawValue::get));
        }
        let answers: Vec<String> = self.commit(&script::COMPLETE, partition, actor, args).await?;
        answers.iter().map(|answer| Answer::read(answer, State::Completed)).collect()
    }

    /// Ends attempts that did not work. `waits_ms`: the back-off after each number of failures, from 1.
    pub async fn fail(
        &self,
        partition: Partition,
        actor: &str,
        reports: &[FailedReport<'_>],
        waits_ms: &str,
    ) -> Result<Vec<Answer>, Error> {
        let mut args = args();
        args.arg(waits_ms);
        for report in reports {
            args.arg(report.id.to_string())
                .arg(token(report.attempt))
                .arg(codec::quote(report.error));
            args.arg(u8::from(report.is_retryable))
                .arg(report.retry_after_ms.map(|ms| ms.to_string()).unwrap_or_default());
            args.arg(report.result.map_or("", RawValue::get));
        }
        let answers: Vec<String> = self.commit(&script::FAIL, partition, actor, args).await?;
        answers.iter().map(|answer| Answer::read(answer, State::Failed)).collect()
    }

    /// Gives tasks back untouched.
    pub async fn release(
        &self,
        partition: Partition,
        actor: &str,
        reports: &[(TaskId, Attempt)],
    ) -> Result<Vec<Answer>, Error> {
        let mut args = args();
        for (id, attempt) in reports {
            args.arg(id.to_string()).arg(*attempt);
        }
        let answers: Vec<String> = self.commit(&script::RELEASE, partition, actor, args).await?;
        answers.iter().map(|answer| Answer::read(answer, State::Assigned)).collect()
    }
}

fn token(attempt: Option<Attempt>) -> String {
    attempt.map(|attempt| attempt.to_string()).unwrap_or_default()
}
