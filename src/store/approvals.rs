//! Reading and deciding approvals.

use std::collections::HashMap;
use std::str::FromStr;

use crate::domain::approval::{Approval, ApprovalStatus, Decision};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::principal::Principal;
use crate::domain::task::Millis;

use super::{Error, Store, args, codec, keys, script};

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Done,
    /// There is no such approval.
    Unknown,
    /// The caller submitted the task himself.
    Own,
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
    /// Decides on an approval.
    pub async fn decide(&self, id: ApprovalId, caller: &Principal, decision: &Decision) -> Result<Decided, Error> {
        let (mut args, actor) = (args(), caller.to_string());
        args.arg(id.to_string());
        let script = match decision {
            Decision::Approve { comment } => {
                args.arg(comment.as_deref().map(codec::quote).unwrap_or_default());
                &script::APPROVE
            }
            Decision::Reject { reason } => {
                let error = match reason {
                    Some(reason) => format!("rejected by {actor}: {reason}"),
                    None => format!("rejected by {actor}"),
                };
                args.arg(reason.as_deref().map(codec::quote).unwrap_or_default()).arg(codec::quote(&error));
                &script::REJECT
            }
        };
        let answer: String = self.commit_audited(script, id.partition(), caller, args).await?;
        read(&answer, &actor)
    }

    /// The approvals among `ids` (of one partition) that exist, in order.
    pub async fn read_approvals(&self, ids: &[ApprovalId]) -> Result<Vec<Approval>, Error> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(keys::approval(*id));
        }
        let hashes: Vec<HashMap<String, String>> = self.query_all("read approvals", &pipe).await?;
        let found = ids.iter().zip(hashes).filter(|(_, hash)| !hash.is_empty());
        found.map(|(id, hash)| approval(*id, &hash)).collect()
    }

    /// Ids of approvals of a status, newest first, from `cursor` on: see [`Store::newest`].
    pub(super) fn approval_set(partition: Partition, status: ApprovalStatus) -> String {
        keys::approvals(partition, status)
    }
}

/// Reads `OK`, `UNKNOWN`, `OWN`, `ILLEGAL <state>` or `DECIDED <status> <when> <by>`.
fn read(answer: &str, actor: &str) -> Result<Decided, Error> {
    let unreadable = || Error::corrupt(format!("a decision was answered with {answer:?} for {actor}"));
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    match word {
        "OK" => Ok(Decided::Done),
        "UNKNOWN" => Ok(Decided::Unknown),
        "OWN" => Ok(Decided::Own),
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

fn approval(id: ApprovalId, hash: &HashMap<String, String>) -> Result<Approval, Error> {
    let unreadable = |field: &str| Error::corrupt(format!("field {field} of approval {id}"));
    let get = |field: &str| hash.get(field).filter(|value| !value.is_empty());
    let text = |field: &str| get(field).cloned().ok_or_else(|| unreadable(field));
    let millis =
        |field: &str| get(field).map(|value| Millis::from_str(value)).transpose().map_err(|_| unreadable(field));
    let quoted = |field: &str| {
        let text = get(field).map(|value| serde_json::from_str::<String>(value)).transpose();
        text.map_err(|_| unreadable(field))
    };
    Ok(Approval {
        id,
        task: TaskId::from_str(&text("task")?).map_err(|_| unreadable("task"))?,
        status: text("status")?.parse().map_err(|_| unreadable("status"))?,
        rule: quoted("rule")?.unwrap_or_default(),
        requested_by: text("by")?,
        requested_at: millis("requested_at")?.ok_or_else(|| unreadable("requested_at"))?,
        expires_at: millis("expires_at")?,
        decided_by: get("decided_by").cloned(),
        decided_at: millis("decided_at")?,
        comment: quoted("comment")?,
    })
}
