//! Why a use case could not be carried out.

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::principal::Role;
use crate::domain::task::{Attempt, Millis};
use crate::store;

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON Pointer into the body, such as `/priority`.
    pub pointer: String,
    /// What is wrong and what is expected.
    pub detail: String,
}

impl Fault {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why it was refused or failed. Nothing was changed, except where a variant says that it is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is readable but fields of it are wrong.
    #[error("{} field(s) of the request are wrong", .0.len())]
    Invalid(Vec<Fault>),
    /// No task has this id, or it was pruned.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// No approval has this id, or it was pruned with its task.
    #[error("there is no approval {0}")]
    UnknownApproval(ApprovalId),
    /// No routing rule names this agent and it owns nothing.
    #[error("there is no agent {agent}; known are {}", names(known))]
    UnknownAgent {
        /// What was asked for.
        agent: Name,
        /// What there is.
        known: Vec<Name>,
    },
    /// There are so many agents that another one that no routing rule names has no place.
    #[error("there are {most} agents, and no routing rule names {agent}")]
    TooManyAgents {
        /// What was asked for.
        agent: Name,
        /// How many there may be.
        most: u32,
    },
    /// Nothing came in time but tasks that no answer to the claim has room for. They wait for other claims.
    #[error("task {task} has {bytes} bytes, and an answer here has room for {room}")]
    TaskTooLarge {
        /// One of them.
        task: TaskId,
        /// How many bytes it has in an answer at the most.
        bytes: usize,
        /// How many the answer may have.
        room: usize,
    },
    /// The parent of a submission has ended.
    #[error("the parent task {parent} is {state}")]
    FinalParent {
        /// The parent.
        parent: TaskId,
        /// How it ended.
        state: State,
    },
    /// The task is in a state that this verb may not start from.
    #[error("task {id} is {state}, which {verb} does not start from")]
    Illegal {
        /// The task.
        id: TaskId,
        /// Where it is.
        state: State,
        /// What was wanted.
        verb: Verb,
    },
    /// The caller's attempt no longer holds the lease.
    #[error("attempt {attempt} of task {id} does not hold its lease; the newest attempt is {held}")]
    LeaseLost {
        /// The task.
        id: TaskId,
        /// The caller's attempt.
        attempt: Attempt,
        /// The newest attempt.
        held: Attempt,
    },
    /// The task was cancelled while the agent worked on it.
    #[error("task {0} was cancelled")]
    TaskCancelled(TaskId),
    /// The caller shows no lease, and did not take the task itself.
    #[error("task {id} is held by {}", holder.as_deref().unwrap_or("the worker that claimed it"))]
    NotHolder {
        /// The task.
        id: TaskId,
        /// The caller that took it; none: a worker claimed it.
        holder: Option<String>,
    },
    /// A human ended the task, and the caller's role is lower.
    #[error("task {id} was ended by a caller of role {}", role.as_str())]
    EndedByHuman {
        /// The task.
        id: TaskId,
        /// The human's role.
        role: Role,
    },
    /// Agents have made humans decide about the task as often as they may.
    #[error(
        "humans were asked about task {id} {asks} times, as often as agents may have them asked"
    )]
    AsksExhausted {
        /// The task.
        id: TaskId,
        /// How often.
        asks: u32,
    },
    /// Agents had humans asked about the task a moment ago.
    #[error(
        "humans were asked about task {id} a moment ago; they may be asked again in {wait_ms} ms"
    )]
    AskedTooSoon {
        /// The task.
        id: TaskId,
        /// How long to wait.
        wait_ms: Millis,
    },
    /// The attempt was ended by a report that differs from this one.
    #[error("another report has ended this attempt of task {id}")]
    ResultMismatch {
        /// The task.
        id: TaskId,
    },
    /// The approval has its decision.
    #[error("approval {id} was {} by {by}", status.as_str())]
    AlreadyDecided {
        /// The approval.
        id: ApprovalId,
        /// What came of it.
        status: ApprovalStatus,
        /// Who decided.
        by: String,
        /// When.
        at: Millis,
    },
    /// The task's content is not what its approval is for.
    #[error("the content of task {0} is not what was approved")]
    Uncleared(TaskId),
    /// The caller is none of those who are asked.
    #[error("approval {id} asks {asked}")]
    NotAsked {
        /// The approval.
        id: ApprovalId,
        /// Who is asked, in words.
        asked: String,
    },
    /// Four eyes are wanted, and the caller wrote what there is to approve.
    #[error("the caller wrote the content that approval {0} is for")]
    OwnContent(ApprovalId),
    /// The caller has said yes before, perhaps with another credential; others must.
    #[error("the caller has approved {0} before")]
    AlreadyVoted(ApprovalId),
    /// There is something else to decide than the decision was about.
    #[error("what approval {id} is for was changed; its digest is {digest}")]
    ContentChanged {
        /// The approval.
        id: ApprovalId,
        /// Of what there is to decide.
        digest: String,
    },
    /// Nobody decides on what he submitted himself, or asked for.
    #[error("approval {0} is for the caller's own submission")]
    OwnSubmission(ApprovalId),
    /// An event may not be published in somebody else's name.
    #[error("the caller is {caller} and may not publish as {source_agent}")]
    ForeignSource {
        /// Who it was to come from.
        source_agent: String,
        /// Who called.
        caller: String,
    },
    /// The caller has published as many bytes of events as it may for now.
    #[error("the caller has published as much as it may within a minute")]
    ShareUsed {
        /// When it may again.
        wait_ms: Millis,
    },
    /// The idempotency key was used for another body.
    #[error("idempotency key {key} was used with another body")]
    IdempotencyMismatch {
        /// The key.
        key: String,
    },
    /// The store takes nothing in, because its memory is full.
    #[error("the store is full")]
    Full,
    /// The write is done, but too few replicas of the store had it in time: a failover could lose it.
    #[error("only {reached} of {wanted} replicas of the store have the write")]
    NotReplicated {
        /// How many had it.
        reached: u16,
        /// How many are to have it.
        wanted: u16,
    },
    /// The store did not answer. Whether a write happened is unknown.
    #[error("the store did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was written by a program with other rules, or its server or our settings for it do not do. Nothing was
    /// written.
    #[error("this program cannot work on the store")]
    Foreign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store holds something that this version cannot read.
    #[error("the store holds something unreadable")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn names(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full => Self::Full,
            store::Error::NotReplicated { reached, wanted } => {
                Self::NotReplicated { reached, wanted }
            }
            store::Error::Unavailable { .. }
            | store::Error::Busy { .. }
            | store::Error::NoConnection { .. } => Self::Unavailable(Box::new(error)),
            store::Error::Layout { .. } | store::Error::Unusable { .. } => {
                Self::Foreign(Box::new(error))
            }
            store::Error::Corrupt { .. } => Self::Corrupt(Box::new(error)),
        }
    }
}
