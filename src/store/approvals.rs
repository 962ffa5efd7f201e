//! Reading and deciding approvals.

use std::collections::HashMap;

use redis::Value;
use serde_json::value::RawValue;

use crate::domain::approval::{Approval, ApprovalStatus, Decision, OnRejection, Verdict};
use crate::domain::decision::payload_digest;
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lease::Proof;
use crate::domain::lifecycle::State;
use crate::domain::principal::Principal;
use crate::domain::task::Task;
use crate::domain::text::quoted;
use crate::domain::time::Millis;

use super::claims::proof;
use super::codec::approval::read_approval;
use super::codec::cipher::Place;
use super::{Answer, Error, Gate, Store, args, codec, script};

/// The content that an approver puts in place of a task's payload.
#[derive(Clone, Copy, Debug)]
pub struct NewContent<'c> {
    /// The task as the approver saw it.
    pub task: &'c Task,
    /// The new payload, which the agent gets.
    pub payload: &'c RawValue,
    /// The digest of the content with the new payload; see
    /// [`crate::domain::content::Content::digest`].
    pub digest: &'c str,
    /// The payload as it was submitted, byte for byte.
    pub original: &'c RawValue,
    /// The differences between `original` and `payload`, as JSON.
    pub changes: &'c str,
}

/// The result of a decision on an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The decision is final and recorded.
    Done,
    /// No approval has this id.
    Unknown,
    /// The approval is recorded, but the quorum needs more of them.
    Voted,
    /// The approval has changed since the caller read it. Read it again.
    Stale,
    /// The task is not blocked but in this state.
    Illegal(State),
    /// Another decision came first.
    Already {
        /// The status that the first decision led to.
        status: ApprovalStatus,
        /// When it was decided, in milliseconds since 1970.
        at: Millis,
        /// The actor of the first decision.
        by: String,
    },
}

impl Store {
    /// Decides on an approval if its revision is still that of `approval`.
    ///
    /// * `edit`: the content that the approver puts in place of the payload. `None` keeps the
    ///   payload.
    pub async fn decide(
        &self,
        approval: &Approval,
        caller: &Principal,
        decision: &Decision,
        edit: Option<&NewContent<'_>>,
    ) -> Result<Decided, Error> {
        let actor = caller.to_string();
        let mut args = args();
        args.arg(approval.id.to_string())
            .arg(approval.revision)
            .arg(decision.comment.as_deref().map(quoted).unwrap_or_default());
        let script = match &decision.verdict {
            Verdict::Approve { .. } => {
                match edit {
                    Some(edit) => {
                        let metadata = edit.task.spec.metadata.as_deref();
                        let spec = codec::write_json(edit.payload, metadata)?;
                        let (cipher, id) = (&self.shared.cipher, edit.task.id);
                        args.arg(cipher.seal(Place::Spec(id), &spec)?).arg(edit.digest);
                        args.arg(cipher.seal(Place::Original(id), edit.original.get())?);
                        args.arg(cipher.seal(Place::Changes(id), edit.changes)?);
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
                args.arg(quoted(&error));
                &script::REJECT
            }
        };
        let answer: String =
            self.commit_audited(script, approval.id.partition(), caller, args).await?;
        read(&answer, &actor)
    }

    /// Asks other approvers to decide if the revision is still that of `approval`.
    ///
    /// * `gate`: the new terms. Its id and digest are those of the approval.
    pub async fn retarget(
        &self,
        approval: &Approval,
        caller: &Principal,
        gate: &Gate,
        reason: Option<&str>,
    ) -> Result<Decided, Error> {
        let mut args = args();
        args.arg(approval.id.to_string()).arg(approval.revision).arg(gate.lines()?);
        args.arg(reason.map(quoted).unwrap_or_default());
        let partition = approval.id.partition();
        let answer: String =
            self.commit_audited(&script::RETARGET, partition, caller, args).await?;
        read(&answer, &caller.to_string())
    }

    /// Requests an approval for the agent that holds the task. The lease ends and the task is
    /// blocked.
    ///
    /// * `report`: the digest of the request, 12 characters.
    /// * `bounds`: how often and how soon an agent may ask again; see `barred_ask` in
    ///   `decide.lua`.
    pub async fn ask(
        &self,
        id: TaskId,
        actor: &str,
        (given, report): (Proof<'_>, &str),
        gate: &Gate,
        (reason, action, on_rejection): (&str, Option<&str>, OnRejection),
        bounds: &str,
    ) -> Result<Answer, Error> {
        let cipher = &self.shared.cipher;
        let action = cipher.seal(Place::Action(gate.id), action.unwrap_or_default())?;
        let mut args = args();
        args.arg(id.to_string()).arg(proof(given, actor));
        args.arg(format!("?{}", cipher.report(report)));
        args.arg(gate.id.to_string()).arg(&gate.digest).arg(gate.lines()?);
        args.arg(quoted(reason)).arg(action).arg(on_rejection.as_str());
        args.arg(bounds);
        let answer: String = self.commit(&script::ASK, id.partition(), actor, args).await?;
        Answer::read(&answer, State::Blocked)
    }

    /// Returns the approval with all its parts. `None` if no approval has this id.
    pub async fn read_approval(&self, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.keys().approval(id));
        let hash: HashMap<String, String> =
            self.query("read an approval", id.partition(), &cmd).await?;
        (!hash.is_empty()).then(|| read_approval(&self.shared.cipher, id, &hash)).transpose()
    }

    /// Returns how many of the `ids`, which belong to one partition, were read, and the approvals
    /// that exist among them, in order. Reads over the pool and stops when `budget` bytes are
    /// reached, but not before the first approval.
    ///
    /// * `has_all`: whether to read the parts with payloads, which are empty otherwise.
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
        let mut rows = answer.into_iter();
        let looked_at = codec::value("read_approvals", rows.next().unwrap_or(Value::Nil))?;
        let approvals = rows.map(|row| {
            let (id, hash): (String, HashMap<String, String>) =
                codec::value("read_approvals", row)?;
            let id = id.parse().map_err(|_| Error::corrupt(format!("approval id {id:?}")))?;
            read_approval(&self.shared.cipher, id, &hash)
        });
        Ok((looked_at, approvals.collect::<Result<_, _>>()?))
    }
}

/// Reads the answer of `approve.lua`, `reject.lua` and `retarget.lua`.
fn read(answer: &str, actor: &str) -> Result<Decided, Error> {
    read_decided(answer).ok_or_else(|| {
        Error::corrupt(format!("unknown answer {answer:?} to the decision of {actor}"))
    })
}

fn read_decided(answer: &str) -> Option<Decided> {
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    Some(match word {
        "OK" => Decided::Done,
        "UNKNOWN" => Decided::Unknown,
        "VOTED" => Decided::Voted,
        "STALE" => Decided::Stale,
        "ILLEGAL" => Decided::Illegal(rest.parse().ok()?),
        "DECIDED" => {
            let mut words = rest.splitn(3, ' ');
            Decided::Already {
                status: words.next()?.parse().ok()?,
                at: words.next()?.parse().ok()?,
                by: words.next()?.to_owned(),
            }
        }
        _ => return None,
    })
}
