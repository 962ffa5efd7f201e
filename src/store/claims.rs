//! Leases tasks to agents and records the outcomes of attempts.

use std::collections::HashMap;

use redis::Value;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lease::{Attempt, Lease, Proof};
use crate::domain::lifecycle::State;
use crate::domain::name::{Name, Worker};
use crate::domain::principal::Role;
use crate::domain::report::Outcome;
use crate::domain::task::{Claimed, Progress, Task};
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::codec::cipher::{Cipher, Place};
use super::codec::{self, Beside};
use super::{Error, ORCHESTRATOR, Store, args, script};

/// The answer of a script about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The change is done. The task is in this state now.
    Done(State),
    /// The same caller had done it before. The task is in this state.
    Repeated(State),
    /// No task has this id.
    Unknown,
    /// The task is in this state, which the verb may not start from.
    Illegal(State),
    /// The attempt does not hold the lease. This is the number of the newest attempt.
    Lease(Attempt),
    /// The caller does not hold the task. Names the caller that took it. `None` if a worker claimed
    /// it.
    Holder(Option<String>),
    /// Another report, which differs from this one, has ended the attempt.
    Mismatch,
    /// A human of this role ended the task, and the caller's role has a lower rank.
    OfHuman(Role),
    /// Agents requested this many approvals for the task, which is the limit.
    Asks(u32),
    /// An agent requested an approval a moment ago. The next request is allowed in this many
    /// milliseconds.
    Soon(Millis),
    /// The task was cancelled while the agent worked on it.
    Cancelled,
    /// The content of the task differs from what was approved.
    Uncleared,
}

impl Answer {
    /// Reads an answer. An `OK` without a state means the state `done`.
    pub(super) fn read(text: &str, done: State) -> Result<Self, Error> {
        let answer = Self::parse(text, done);
        answer.ok_or_else(|| Error::corrupt(format!("unknown answer {text:?} of a script")))
    }

    fn parse(text: &str, done: State) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            "OK" if rest.is_empty() => Self::Done(done),
            "OK" => Self::Done(rest.parse().ok()?),
            "REPEATED" => Self::Repeated(rest.parse().ok()?),
            "UNKNOWN" => Self::Unknown,
            "ILLEGAL" => Self::Illegal(rest.parse().ok()?),
            "LEASE" => Self::Lease(rest.parse().ok()?),
            "HOLDER" => Self::Holder(Some(rest).filter(|who| *who != "-").map(str::to_owned)),
            "MISMATCH" => Self::Mismatch,
            "HUMAN" => Self::OfHuman(Role::of_rank(rest.parse().ok()?)?),
            "ASKS" => Self::Asks(rest.parse().ok()?),
            "SOON" => Self::Soon(rest.parse().ok()?),
            "CANCELLED" => Self::Cancelled,
            "UNCLEARED" => Self::Uncleared,
            _ => return None,
        })
    }
}

/// A report about the outcome of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    /// The task that the attempt belongs to.
    pub id: TaskId,
    /// The proof that the caller holds the task.
    pub proof: Proof<'r>,
    /// The outcome of the attempt.
    pub outcome: &'r Outcome,
}

/// Which sessions of an agent the store keeps.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// How long a session stays live after its last call, in milliseconds.
    pub live_ms: Millis,
    /// How many sessions to keep: those with the latest calls.
    pub most: u32,
    /// The largest roster that still admits a new agent. `None` if the agent is always admitted.
    pub most_agents: Option<u32>,
}

/// How many bytes the tasks in the answer to a claim may have.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The limit of all tasks of one partition together.
    pub left: usize,
    /// The limit of one task. A larger task stays in the subject, and the tasks behind it go first.
    pub whole: usize,
}

/// The result of a claim in one partition.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The leased tasks, in the order of the subject.
    pub tasks: Vec<Claimed>,
    /// The largest size of the tasks in an answer, in bytes.
    pub bytes: usize,
    /// Whether the next task was left in the subject because it did not fit.
    pub is_full: bool,
    /// A task that is too large for any answer of this claim, and its size in bytes. `None` if
    /// there is none.
    pub too_large: Option<(TaskId, usize)>,
    /// Whether the call was sent again, so that the first one may have leased tasks too.
    pub is_again: bool,
}

impl Taken {
    /// Returns whether nothing is left in the partition for a claim of `most` tasks.
    pub fn is_last(&self, most: u32) -> bool {
        // An answer to a call that was sent again may be empty for another reason.
        !self.is_full
            && !self.is_again
            && self.too_large.is_none()
            && self.tasks.len() < most as usize
    }
}

impl Store {
    /// Leases up to `max` (1 to 100) tasks of the agent's subject in one partition, in the order of
    /// the subject, as many as fit into `room`.
    ///
    /// Each task is in progress afterwards, and its attempt number is one higher. The result is
    /// empty if no task fits or the agent is paused, and `None` if the roster does not admit the
    /// agent.
    ///
    /// * `is_woken`: whether a wake-up is the reason for the call: then an empty subject costs little,
    ///   and the call does not count as one of the session.
    /// * `lease`: a new lease for this call.
    ///
    /// A task whose payload cannot be decrypted fails instead, because an agent cannot work without
    /// it.
    pub async fn claim(
        &self,
        partition: Partition,
        actor: &str,
        who: (&Name, &Worker),
        most: (u32, Room, bool),
        (lease_ms, lease): (Millis, &Lease),
        sessions: &Sessions,
    ) -> Result<Option<Taken>, Error> {
        loop {
            let terms = (lease_ms, lease);
            let taken = self.claim_once(partition, actor, who, most, terms, sessions).await?;
            let Some((taken, lost)) = taken else { return Ok(None) };
            if lost.is_empty() {
                return Ok(Some(taken));
            }
            let rows = lost.iter().map(|(id, attempt, outcome)| Row {
                id: *id,
                proof: Proof::Lease(*attempt, lease),
                outcome,
            });
            let rows: Vec<_> = rows.collect();
            self.report(partition, actor, &rows, ("", Role::Agent)).await?;
            if !taken.tasks.is_empty() {
                // Further tasks may wait in place of those that failed.
                return Ok(Some(Taken { is_full: true, ..taken }));
            }
        }
    }

    /// Leases tasks as [`Self::claim`] does. Returns apart those that cannot be decrypted, each with
    /// its attempt and the outcome of that.
    async fn claim_once(
        &self,
        partition: Partition,
        actor: &str,
        (agent, worker): (&Name, &Worker),
        (max, room, is_woken): (u32, Room, bool),
        (lease_ms, lease): (Millis, &Lease),
        sessions: &Sessions,
    ) -> Result<Option<(Taken, Vec<(TaskId, Attempt, Outcome)>)>, Error> {
        let mut args = args();
        args.arg(agent.as_str()).arg(worker.as_str()).arg(max).arg(lease_ms);
        args.arg(lease.seal(actor)).arg(sessions.live_ms).arg(sessions.most);
        args.arg(sessions.most_agents.map(|most| most.to_string()).unwrap_or_default());
        args.arg(room.left).arg(room.whole).arg(u8::from(is_woken));
        let _room = self.room_for("claim", room.left).await?;
        let answer: Vec<Value> = self.run(&script::CLAIM, partition, actor, args).await?;
        let mut rows = answer.into_iter();
        let head = rows.by_ref().take(5).collect();
        let (now, bytes, is_full, too_large, is_again): (i64, usize, bool, String, bool) =
            codec::value("claim", Value::Array(head))?;
        let Ok(now) = Millis::try_from(now) else { return Ok(None) };
        let too_large = too_large.split_once(' ').and_then(|(id, bytes)| {
            // The text is empty if no task is too large.
            Some((id.parse().ok()?, bytes.parse().ok()?))
        });
        let (mut tasks, mut lost) = (Vec::new(), Vec::new());
        while let Some(id) = rows.next() {
            let mut row = vec![id];
            row.extend(rows.by_ref().take(4));
            let leased = Leased::read(row)?;
            match leased.task(&self.shared.cipher, now) {
                Ok(task) => {
                    let lease_until = leased.lease_until;
                    tasks.push(Claimed { task, lease_until, lease: lease.clone() });
                }
                Err(error @ Error::Undecryptable { .. }) => lost.push(leased.lost(&error, now)?),
                Err(error) => return Err(error),
            }
        }
        Ok(Some((Taken { tasks, bytes, is_full, too_large, is_again }, lost)))
    }

    /// Notes the sessions of these processes of an agent, up to a thousand, in one partition.
    pub async fn note_sessions(
        &self,
        partition: Partition,
        agent: &Name,
        workers: &[Worker],
        sessions: &Sessions,
    ) -> Result<(), Error> {
        let mut args = args();
        args.arg(agent.as_str()).arg(sessions.live_ms).arg(sessions.most);
        for worker in workers {
            args.arg(worker.as_str());
        }
        let _noted: usize = self.run(&script::PRESENT, partition, ORCHESTRATOR, args).await?;
        Ok(())
    }

    /// Releases the tasks that the agent leased in one partition with claims whose answers did not
    /// arrive, now and if Redis runs such a claim later. Returns how many tasks were released. They
    /// do not count as lost leases.
    ///
    /// * `seals`: the leases as the store keeps them, up to a few hundred.
    /// * `kept`: tasks of these leases that an answer did name.
    pub async fn give_back(
        &self,
        partition: Partition,
        agent: &Name,
        seals: &[&str],
        kept: &[TaskId],
    ) -> Result<usize, Error> {
        let mut from = "-inf".to_owned();
        let mut seen = 0;
        let mut all = 0;
        while !from.is_empty() {
            let mut args = args();
            args.arg(agent.as_str()).arg(&from).arg(seen).arg(seals.len()).arg(seals);
            for id in kept {
                args.arg(id.to_string());
            }
            let call = self.run(&script::GIVE_BACK, partition, ORCHESTRATOR, args);
            let (count, next, seen_there): (usize, String, usize) = call.await?;
            all += count;
            from = next;
            seen = seen_there;
        }
        Ok(all)
    }

    /// Leases the task `id` to `actor`.
    pub async fn take(&self, id: TaskId, actor: &str, lease_ms: Millis) -> Result<Answer, Error> {
        let mut args = args();
        args.arg(id.to_string()).arg(lease_ms);
        let answer: String = self.commit(&script::TAKE, id.partition(), actor, args).await?;
        Answer::read(&answer, State::InProgress)
    }

    /// Extends a lease. Returns until when it lasts, in milliseconds since 1970, or why it was not
    /// extended.
    pub async fn extend(
        &self,
        id: TaskId,
        actor: &str,
        given: Proof<'_>,
        lease_ms: Millis,
        progress: Option<&Progress>,
    ) -> Result<Result<Millis, Answer>, Error> {
        let progress = progress.map(serde_json::to_string).transpose();
        let progress = progress.map_err(|error| Error::corrupt(format!("progress: {error}")))?;
        let mut args = args();
        args.arg(id.to_string());
        args.arg(proof(given, actor)).arg(lease_ms).arg(progress.unwrap_or_default());
        let answer: String = self.run(&script::EXTEND, id.partition(), actor, args).await?;
        match answer.strip_prefix("OK ").and_then(|until| until.parse().ok()) {
            Some(until) => Ok(Ok(until)),
            None => Answer::read(&answer, State::InProgress).map(Err),
        }
    }

    /// Ends attempts of one partition. Returns one answer each, in order.
    ///
    /// * `waits_ms`: the back-off after each number of failures, from 1. Only failures need it.
    /// * `role`: the role of the caller. No agent reopens a task that a human failed.
    pub async fn report(
        &self,
        partition: Partition,
        actor: &str,
        rows: &[Row<'_>],
        (waits_ms, role): (&str, Role),
    ) -> Result<Vec<Answer>, Error> {
        let mut args = args();
        args.arg(waits_ms).arg(role.rank());
        for row in rows {
            args.arg(format!("{} {}", row.outcome.verb(), proof(row.proof, actor)));
            let cipher = &self.shared.cipher;
            args.arg(row.id.to_string()).arg(cipher.report(&row.outcome.digest()));
            args.arg(cipher.seal(Place::Result(row.id), row.outcome.result())?);
            if let Outcome::Failed { error, is_retryable, retry_after_ms, .. } = row.outcome {
                args.arg(quoted(error)).arg(u8::from(*is_retryable));
                args.arg(retry_after_ms.map(|ms| ms.to_string()).unwrap_or_default());
            }
        }
        let answers: Vec<String> = self.commit(&script::OUTCOME, partition, actor, args).await?;
        answers.iter().map(|answer| Answer::read(answer, State::Completed)).collect()
    }
}

/// A task in the answer of `claim.lua`.
struct Leased {
    id: TaskId,
    lease_until: Millis,
    record: String,
    spec: String,
    approval: HashMap<String, String>,
}

impl Leased {
    fn read(row: Vec<Value>) -> Result<Self, Error> {
        let (id, lease_until, record, spec, approval): (String, Millis, String, String, Value) =
            codec::value("claim", Value::Array(row))?;
        let id = id.parse().map_err(|_| Error::corrupt(format!("task id {id:?}")))?;
        let approval = codec::pairs("claim", approval)?;
        Ok(Self { id, lease_until, record, spec, approval })
    }

    fn task(&self, cipher: &Cipher, now: Millis) -> Result<Task, Error> {
        let spec = cipher.open(Place::Spec(self.id), self.spec.clone())?;
        self.task_with(cipher, &spec, self.approval.clone(), now)
    }

    fn task_with(
        &self,
        cipher: &Cipher,
        spec: &str,
        approval: HashMap<String, String>,
        now: Millis,
    ) -> Result<Task, Error> {
        // The agent needs neither the result nor the progress of an earlier attempt.
        let beside = Beside {
            cipher,
            json: codec::json(spec, self.id)?,
            result: None,
            progress: None,
            lease_until: Some(self.lease_until),
            approval,
            now,
        };
        codec::task(self.id, &self.record, beside)
    }

    /// Returns the attempt, and its outcome: it failed, because of this error.
    fn lost(&self, error: &Error, now: Millis) -> Result<(TaskId, Attempt, Outcome), Error> {
        let task = self.task_with(&Cipher::default(), "{}", HashMap::new(), now)?;
        let error = error.to_string();
        let outcome =
            Outcome::Failed { error, is_retryable: false, retry_after_ms: None, result: None };
        Ok((self.id, task.attempt, outcome))
    }
}

/// Returns the attempt and the holder, as `barred_report` of `rules.lua` compares them.
pub(super) fn proof(proof: Proof<'_>, actor: &str) -> String {
    match proof {
        Proof::Lease(attempt, lease) => format!("{attempt} {}", lease.seal(actor)),
        Proof::Caller => format!(" {actor}"),
    }
}
