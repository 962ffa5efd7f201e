//! Reading and deciding approvals.

use std::collections::HashMap;
use std::str::FromStr;

use redis::Value;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::approval::{
    Approval, ApprovalStatus, Asked, Decision, Edit, OnRejection, Verdict,
};
use crate::domain::decision::{Author, payload_digest};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lease::Proof;
use crate::domain::lifecycle::State;
use crate::domain::principal::Principal;
use crate::domain::task::{Millis, Task};

use super::claims::prove;
use super::{Answer, Error, Gate, Store, args, codec, script};

/// What an approver puts in place of a payload.
#[derive(Clone, Copy, Debug)]
pub struct NewContent<'c> {
    /// The task as he saw it.
    pub task: &'c Task,
    /// What is to run.
    pub payload: &'c RawValue,
    /// Of that; see [`crate::domain::content::Content::digest`].
    pub digest: &'c str,
    /// The payload as it was submitted.
    pub original: &'c RawValue,
    /// Where `payload` differs from that, JSON.
    pub changes: &'c str,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Done,
    /// There is no such approval.
    Unknown,
    /// It is heard, but more must say yes.
    Voted,
    /// The approval is no longer what the decision was checked against; look at it again.
    Stale,
    /// The task is not waiting.
    Illegal(State),
    /// Somebody else was first.
    Already {
        /// What he decided.
        status: ApprovalStatus,
        /// When.
        at: Millis,
        /// Who.
        by: String,
    },
}

impl Store {
    /// Decides on an approval, provided that it still is as `approval` says.
    ///
    /// * `edit`: what the decider puts in place of the payload, if anything.
    pub async fn decide(
        &self,
        approval: &Approval,
        caller: &Principal,
        decision: &Decision,
        edit: Option<&NewContent<'_>>,
    ) -> Result<Decided, Error> {
        let (mut args, actor) = (args(), caller.to_string());
        args.arg(approval.id.to_string())
            .arg(approval.revision)
            .arg(decision.comment.as_deref().map(codec::quote).unwrap_or_default());
        let script = match &decision.verdict {
            Verdict::Approve { .. } => {
                match edit {
                    Some(edit) => {
                        let metadata = edit.task.metadata.as_deref();
                        args.arg(codec::write_spec(edit.payload, metadata)?);
                        args.arg(edit.digest).arg(edit.original.get()).arg(edit.changes);
                        args.arg(payload_digest(edit.payload))
                    }
                    None => args.arg("").arg("").arg("").arg("").arg(""),
                };
                &script::APPROVE
            }
            Verdict::Reject => {
                let error = match &decision.comment {
                    Some(reason) => format!("rejected by {actor}: {reason}"),
                    None => format!("rejected by {actor}"),
                };
                args.arg(codec::quote(&error));
                &script::REJECT
            }
        };
        let answer: String =
            self.commit_audited(script, approval.id.partition(), caller, args).await?;
        read(&answer, &actor)
    }

    /// Has others decide, provided that the approval still is as `approval` says.
    ///
    /// * `gate`: the new terms; its id and digest are those of the approval.
    pub async fn retarget(
        &self,
        approval: &Approval,
        caller: &Principal,
        gate: &Gate,
        reason: Option<&str>,
    ) -> Result<Decided, Error> {
        let mut args = args();
        args.arg(approval.id.to_string()).arg(approval.revision).arg(gate.lines()?);
        args.arg(reason.map(codec::quote).unwrap_or_default());
        let partition = approval.id.partition();
        let answer: String =
            self.commit_audited(&script::RETARGET, partition, caller, args).await?;
        read(&answer, &caller.to_string())
    }

    /// Has the agent that holds the task ask: the lease ends, the task is blocked.
    ///
    /// * `said`: digest of the question.
    /// * `bounds`: how often, and how soon again; see `barred_ask` in `approval.lua`.
    pub async fn ask(
        &self,
        id: TaskId,
        actor: &str,
        (proof, said): (Proof<'_>, &str),
        gate: &Gate,
        (reason, action, on_rejection): (&str, Option<&str>, OnRejection),
        bounds: &str,
    ) -> Result<Answer, Error> {
        let mut args = args();
        args.arg(id.to_string());
        prove(&mut args, proof, actor);
        args.arg(said).arg(gate.id.to_string()).arg(&gate.digest).arg(gate.lines()?);
        args.arg(codec::quote(reason)).arg(action.unwrap_or_default()).arg(on_rejection.as_str());
        args.arg(bounds);
        let answer: String = self.commit(&script::ASK, id.partition(), actor, args).await?;
        Answer::read(&answer, State::Blocked)
    }

    /// The approval, with all that there is of it.
    pub async fn read_approval(&self, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.keys().approval(id));
        let hash: HashMap<String, String> = self.query("read an approval", &mut cmd).await?;
        (!hash.is_empty()).then(|| read_approval(id, &hash)).transpose()
    }

    /// Those of the first of `ids` (of one partition) that exist, in order, over the pool of long reads; and how many of
    /// `ids` that were. As many as have `budget` bytes, at least one.
    ///
    /// * `has_all`: also what holds payloads, which is empty without.
    pub(super) async fn read_approvals_cold(
        &self,
        partition: Partition,
        ids: &[ApprovalId],
        has_all: bool,
        budget: usize,
    ) -> Result<(usize, Vec<Approval>), Error> {
        let mut args = args();
        args.arg(u8::from(has_all)).arg(budget);
        for id in ids {
            args.arg(id.to_string());
        }
        let answer: Vec<Value> = self.run_cold(&script::READ_APPROVALS, partition, args).await?;
        let unreadable = |error| Error::corrupt(format!("the answer of read_approvals: {error}"));
        let mut rows = answer.into_iter();
        let looked_at =
            redis::from_redis_value(rows.next().unwrap_or(Value::Nil)).map_err(unreadable)?;
        let approvals = rows.map(|row| {
            let (id, hash): (String, HashMap<String, String>) =
                redis::from_redis_value(row).map_err(unreadable)?;
            let id = id.parse().map_err(|_| Error::corrupt(format!("approval id {id:?}")))?;
            read_approval(id, &hash)
        });
        Ok((looked_at, approvals.collect::<Result<_, _>>()?))
    }
}

/// Reads what `approve.lua`, `reject.lua` and `retarget.lua` answer.
fn read(answer: &str, actor: &str) -> Result<Decided, Error> {
    let unreadable =
        || Error::corrupt(format!("a decision was answered with {answer:?} for {actor}"));
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    match word {
        "OK" => Ok(Decided::Done),
        "UNKNOWN" => Ok(Decided::Unknown),
        "VOTED" => Ok(Decided::Voted),
        "STALE" => Ok(Decided::Stale),
        "ILLEGAL" => State::from_word(rest).map(Decided::Illegal).ok_or_else(unreadable),
        "DECIDED" => {
            let mut words = rest.splitn(3, ' ');
            let status = words.next().and_then(|word| word.parse().ok()).ok_or_else(unreadable)?;
            let at = words.next().and_then(|word| word.parse().ok()).ok_or_else(unreadable)?;
            let by = words.next().ok_or_else(unreadable)?.to_owned();
            Ok(Decided::Already { status, at, by })
        }
        _ => Err(unreadable()),
    }
}

/// Reads the hash of an approval.
pub(super) fn read_approval(
    id: ApprovalId,
    hash: &HashMap<String, String>,
) -> Result<Approval, Error> {
    let fields = Fields { id, hash };
    let gate: Vec<&str> = fields.needed("gate")?.split('\n').collect();
    let [.., terms, rule] = gate.as_slice() else { return Err(fields.unreadable("gate")) };
    let edit = fields.get("edited_by").map(|by| {
        let original = fields.raw("original")?.unwrap_or_else(empty);
        let changes = fields.raw("changes")?.unwrap_or_else(empty);
        Ok::<_, Error>(Edit { by: by.to_owned(), original, changes })
    });
    Ok(Approval {
        id,
        task: fields.parse("task")?.ok_or_else(|| fields.unreadable("task"))?,
        asked: match fields.json::<String>("reason")? {
            None => Asked::Gate,
            Some(reason) => Asked::Step {
                reason,
                action: fields.raw("action")?,
                on_rejection: fields.parse("on_rejection")?.unwrap_or_default(),
            },
        },
        status: fields.parse("status")?.ok_or_else(|| fields.unreadable("status"))?,
        rule: serde_json::from_str(rule).map_err(|_| fields.unreadable("gate"))?,
        digest: fields.needed("digest")?.to_owned(),
        terms: serde_json::from_str(terms).map_err(|_| fields.unreadable("gate"))?,
        level: fields.parse("level")?.unwrap_or_default(),
        votes: fields.json("votes")?.unwrap_or_default(),
        edit: edit.transpose()?,
        authors: authors(fields.get("authors").unwrap_or_default()),
        revision: fields.parse("revision")?.unwrap_or_default(),
        requested_by: fields.needed("by")?.to_owned(),
        requested_at: fields
            .parse("requested_at")?
            .ok_or_else(|| fields.unreadable("requested_at"))?,
        expires_at: fields.parse("expires_at")?,
        decided_by: fields.get("decided_by").map(str::to_owned),
        decided_at: fields.parse("decided_at")?,
        comment: fields.json("comment")?,
        previous: fields.parse("previous")?,
    })
}

/// Reads a line for each payload and author; see `approval.lua`.
fn authors(lines: &str) -> Vec<Author> {
    let author = |(payload, by): (&str, &str)| Author { payload: payload.into(), by: by.into() };
    lines.lines().filter_map(|line| line.split_once(' ')).map(author).collect()
}

/// What stands for JSON that was not read.
fn empty() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// The hash of an approval; an empty field is none.
struct Fields<'h> {
    id: ApprovalId,
    hash: &'h HashMap<String, String>,
}

impl<'h> Fields<'h> {
    fn unreadable(&self, field: &str) -> Error {
        Error::corrupt(format!("field {field} of approval {}", self.id))
    }

    fn get(&self, field: &str) -> Option<&'h str> {
        self.hash.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn needed(&self, field: &str) -> Result<&'h str, Error> {
        self.get(field).ok_or_else(|| self.unreadable(field))
    }

    fn parse<T: FromStr>(&self, field: &str) -> Result<Option<T>, Error> {
        self.get(field).map(str::parse).transpose().map_err(|_| self.unreadable(field))
    }

    fn json<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, Error> {
        self.get(field).map(serde_json::from_str).transpose().map_err(|_| self.unreadable(field))
    }

    fn raw(&self, field: &str) -> Result<Option<Box<RawValue>>, Error> {
        self.json(field)
    }
}
