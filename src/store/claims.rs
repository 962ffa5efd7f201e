//! Leasing tasks to agents, and hearing how the attempts went.

use std::collections::HashMap;

use redis::Value;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lease::{Lease, Proof};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::{Name, Worker};
use crate::domain::principal::Role;
use crate::domain::task::{Attempt, Claimed, Millis, Outcome, Progress};

use super::codec::{self, Beside};
use super::{Error, ORCHESTRATOR, Store, args, script};

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
    /// Another one holds the task: the caller that took it itself, or none if it was claimed.
    Holder(Option<String>),
    /// Another report has ended the attempt.
    Mismatch,
    /// A human of this role ended the task, and the caller's role is lower.
    OfHuman(Role),
    /// The task has made humans decide so often, which is as often as it may.
    Asks(u32),
    /// The task made humans decide a moment ago; it may again after so long, ms.
    Soon(Millis),
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
            "HOLDER" => Ok(Self::Holder(Some(rest).filter(|who| *who != "-").map(str::to_owned))),
            "MISMATCH" => Ok(Self::Mismatch),
            "HUMAN" => {
                let role = rest.parse().ok().and_then(Role::of_rank);
                Ok(Self::OfHuman(role.ok_or_else(unreadable)?))
            }
            "ASKS" => Ok(Self::Asks(rest.parse().map_err(|_| unreadable())?)),
            "SOON" => Ok(Self::Soon(rest.parse().map_err(|_| unreadable())?)),
            "CANCELLED" => Ok(Self::Cancelled),
            "UNCLEARED" => Ok(Self::Uncleared),
            _ => Err(unreadable()),
        }
    }
}

/// A report on one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    /// Which task.
    pub id: TaskId,
    /// What shows that the caller holds it.
    pub proof: Proof<'r>,
    /// How the attempt ended.
    pub outcome: &'r Outcome,
}

/// What is remembered of the processes of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// How long after its last call a session counts as live.
    pub live_ms: Millis,
    /// How many are remembered: those that called last.
    pub most: u32,
    /// How many agents the roster may have for the agent to be new in it; none: it has a place.
    pub most_agents: Option<u32>,
}

/// How many bytes tasks may have in the answer to a claim.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// All that are claimed in one partition.
    pub left: usize,
    /// One: a larger one stays where it is, and those behind it go first.
    pub whole: usize,
}

/// What a claim got in one partition.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The tasks, best first.
    pub tasks: Vec<Claimed>,
    /// How many bytes they have in an answer at the most.
    pub bytes: usize,
    /// Whether the next one was left for want of room.
    pub is_full: bool,
    /// A task that is too large, and its bytes.
    pub too_large: Option<(TaskId, usize)>,
    /// Whether the call was sent again, so that the first one may have leased tasks too.
    pub is_again: bool,
}

impl Store {
    /// Leases up to `max` (1 to 100) tasks of the agent's subject in one partition, best first, as many as have room.
    ///
    /// Each is in progress afterwards and its attempt is one higher than before. Empty: nothing waits that has
    /// room, or the agent is paused. `None`: the roster has no place for the agent.
    ///
    /// * `lease`: fresh for this call.
    pub async fn claim(
        &self,
        partition: Partition,
        actor: &str,
        (agent, worker): (&Name, &Worker),
        (max, room): (u32, Room),
        (lease_ms, lease): (Millis, &Lease),
        sessions: &Sessions,
    ) -> Result<Option<Taken>, Error> {
        let mut args = args();
        args.arg(agent.as_str()).arg(worker.as_str()).arg(max).arg(lease_ms);
        args.arg(lease.seal(actor)).arg(sessions.live_ms).arg(sessions.most);
        args.arg(sessions.most_agents.map(|most| most.to_string()).unwrap_or_default());
        args.arg(room.left).arg(room.whole);
        let _room = self.room_for("claim", room.left).await?;
        let answer: Vec<Value> = self.run(&script::CLAIM, partition, actor, args).await?;
        let unreadable = |error| Error::corrupt(format!("the answer of claim: {error}"));
        let mut rows = answer.into_iter();
        let head = rows.by_ref().take(5).collect();
        let (now, bytes, is_full, too_large, is_again): (i64, usize, bool, String, bool) =
            redis::from_redis_value(Value::Array(head)).map_err(unreadable)?;
        let Ok(now) = Millis::try_from(now) else { return Ok(None) };
        let too_large = too_large.split_once(' ').and_then(|(id, bytes)| {
            // Not there: none is.
            Some((id.parse().ok()?, bytes.parse().ok()?))
        });
        let tasks = rows.map(|row| {
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
            Ok(Claimed { task, lease_until, lease: lease.clone() })
        });
        let tasks = tasks.collect::<Result<_, _>>()?;
        Ok(Some(Taken { tasks, bytes, is_full, too_large, is_again }))
    }

    /// Takes back what claims of the agent leased in one partition whose answers did not come, now and if Redis runs
    /// them later; returns how many tasks went back. They count as no lost lease.
    ///
    /// * `seals`: the leases as the store keeps them, up to a few hundred.
    /// * `kept`: tasks of these leases that an answer named after all.
    pub async fn give_back(
        &self,
        partition: Partition,
        agent: &Name,
        seals: &[&str],
        kept: &[TaskId],
    ) -> Result<usize, Error> {
        let (mut from, mut seen, mut all) = ("-inf".to_owned(), 0, 0);
        while !from.is_empty() {
            let mut args = args();
            args.arg(agent.as_str()).arg(&from).arg(seen).arg(seals.len()).arg(seals);
            for id in kept {
                args.arg(id.to_string());
            }
            let call = self.run(&script::GIVE_BACK, partition, ORCHESTRATOR, args);
            let (count, next, seen_there): (usize, String, usize) = call.await?;
            all += count;
            (from, seen) = (next, seen_there);
        }
        Ok(all)
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
        proof: Proof<'_>,
        lease_ms: Millis,
        progress: Option<&Progress>,
    ) -> Result<Result<Millis, Answer>, Error> {
        let progress = progress.map(serde_json::to_string).transpose();
        let progress = progress.map_err(|error| Error::corrupt(format!("progress: {error}")))?;
        let mut args = args();
        args.arg(id.to_string());
        prove(&mut args, proof, actor);
        args.arg(lease_ms).arg(progress.unwrap_or_default());
        let answer: String = self.run(&script::EXTEND, id.partition(), actor, args).await?;
        match answer.strip_prefix("OK ").and_then(|until| until.parse().ok()) {
            Some(until) => Ok(Ok(until)),
            None => Answer::read(&answer, State::InProgress).map(Err),
        }
    }

    /// Ends attempts of one partition whose outcomes have the same verb; one answer each, in order.
    ///
    /// * `waits_ms`: the back-off after each number of failures, from 1; only failures need it.
    /// * `role`: of the caller: what a human fails for good, no agent reopens.
    pub async fn report(
        &self,
        partition: Partition,
        actor: &str,
        verb: Verb,
        rows: &[Row<'_>],
        (waits_ms, role): (&str, Role),
    ) -> Result<Vec<Answer>, Error> {
        let mut args = args();
        let script = match verb {
            Verb::Fail => {
                args.arg(waits_ms).arg(role.rank());
                &script::FAIL
            }
            Verb::Release => &script::RELEASE,
            _ => &script::COMPLETE,
        };
        for row in rows {
            args.arg(row.id.to_string());
            prove(&mut args, row.proof, actor);
            args.arg(row.outcome.digest());
            match row.outcome {
                Outcome::Completed { result } => {
                    args.arg(result.as_ref().map_or("", |result| result.get()));
                }
                Outcome::Failed { error, is_retryable, retry_after_ms, result } => {
                    args.arg(codec::quote(error)).arg(u8::from(*is_retryable));
                    args.arg(retry_after_ms.map(|ms| ms.to_string()).unwrap_or_default());
                    args.arg(result.as_ref().map_or("", |result| result.get()));
                }
                Outcome::Released => {}
            }
        }
        let answers: Vec<String> = self.commit(script, partition, actor, args).await?;
        answers.iter().map(|answer| Answer::read(answer, State::Completed)).collect()
    }
}

/// Appends the attempt and the holder, as `barred_report` of `prelude.lua` compares them.
pub(super) fn prove(args: &mut redis::Cmd, proof: Proof<'_>, actor: &str) {
    match proof {
        Proof::Lease(attempt, lease) => args.arg(attempt).arg(lease.seal(actor)),
        Proof::Caller => args.arg("").arg(actor),
    };
}
