//! The errors of the use cases.

use std::borrow::Borrow;

use uuid::Uuid;

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, BulkId, TaskId};
use crate::domain::lease::Attempt;
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::Name;
use crate::domain::principal::{Role, Scope};
use crate::domain::time::{Millis, written};
use crate::store;

/// A field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON Pointer into the body, such as `/priority`.
    pub pointer: String,
    /// What is wrong with the value and what is expected instead.
    pub detail: String,
}

impl Fault {
    /// Makes a fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a call was refused or failed. It changed nothing, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can be read, but fields of it are wrong.
    #[error("{} field(s) of the request are invalid", .0.len())]
    Invalid(Vec<Fault>),
    /// No task has this id, or it was pruned.
    #[error("unknown task {0}")]
    UnknownTask(TaskId),
    /// No approval has this id, or it was pruned with its task.
    #[error("unknown approval {0}")]
    UnknownApproval(ApprovalId),
    /// No bulk has this id, or it was deleted after its retention.
    #[error("unknown bulk {0}")]
    UnknownBulk(BulkId),
    /// As many bulks run as the settings allow.
    #[error("{count} bulks run, which is the limit; yours: {}", joined(running))]
    TooManyBulks {
        /// How many bulks run.
        count: usize,
        /// Those of them that the caller sees.
        running: Vec<BulkId>,
    },
    /// No routing rule names this agent, and it has no tasks or sessions.
    #[error("unknown agent {agent}; known agents: {}", joined(known))]
    UnknownAgent {
        /// The agent that the caller named.
        agent: Name,
        /// The agents that routing rules name, in order.
        known: Vec<Name>,
    },
    /// The limit of agents is reached, so an agent that no routing rule names is not admitted.
    #[error("no routing rule names agent {agent}, and the limit of {most} agents is reached")]
    TooManyAgents {
        /// The agent that the caller named.
        agent: Name,
        /// The largest number of agents that the settings allow.
        most: u32,
    },
    /// The only tasks that came in time are larger than a response to the claim may be. They wait
    /// for other claims.
    #[error("task {task} has {bytes} bytes, but the response has room for {room}")]
    TaskTooLarge {
        /// One of the tasks that are too large.
        task: TaskId,
        /// The largest size of the task in a response, in bytes.
        bytes: usize,
        /// How many bytes the response may have.
        room: usize,
    },
    /// The parent of a submission has ended.
    #[error("the parent task {parent} is {state}")]
    FinalParent {
        /// The parent that the submission names.
        parent: TaskId,
        /// The final state of the parent.
        state: State,
    },
    /// The task is in a state that this verb may not start from.
    #[error("task {id} is {state}; {verb} is not allowed in this state")]
    Illegal {
        /// The task that the call was about.
        id: TaskId,
        /// The state of the task.
        state: State,
        /// The verb that is not allowed in this state.
        verb: Verb,
    },
    /// The caller's attempt no longer holds the lease.
    #[error("attempt {attempt} of task {id} lost its lease; the newest attempt is {held}")]
    LeaseLost {
        /// The task that the call was about.
        id: TaskId,
        /// The number of the attempt that the caller sent.
        attempt: Attempt,
        /// The number of the newest attempt of the task.
        held: Attempt,
    },
    /// The task was cancelled while the agent worked on it.
    #[error("task {0} was cancelled")]
    TaskCancelled(TaskId),
    /// The caller proves no lease and did not take the task itself.
    #[error("task {id} is held by {}", holder.as_deref().unwrap_or("the worker that claimed it"))]
    NotHolder {
        /// The task that the call was about.
        id: TaskId,
        /// The caller that took the task. `None` if a worker claimed it.
        holder: Option<String>,
    },
    /// A human ended the task, and the caller's role has a lower rank.
    #[error("task {id} was ended by a caller of role {}", role.as_str())]
    EndedByHuman {
        /// The task that the call was about.
        id: TaskId,
        /// The role of the caller who ended it.
        role: Role,
    },
    /// Agents requested as many approvals for the task as the settings allow.
    #[error("agents requested {asks} approvals for task {id}, which is the limit")]
    AsksExhausted {
        /// The task that the call was about.
        id: TaskId,
        /// How many approvals agents requested for it.
        asks: u32,
    },
    /// An agent requested an approval for the task too short a time ago.
    #[error("task {id} had an approval request a moment ago; try again in {wait_ms} ms")]
    AskedTooSoon {
        /// The task that the call was about.
        id: TaskId,
        /// How many milliseconds to wait before the next request.
        wait_ms: Millis,
    },
    /// A report that differs from this one has ended the attempt.
    #[error("another report has ended this attempt of task {0}")]
    ResultMismatch(TaskId),
    /// The approval has a final decision or is cancelled.
    #[error("approval {id} was {} by {by}", status.as_str())]
    AlreadyDecided {
        /// The approval that the call was about.
        id: ApprovalId,
        /// The final status of the approval.
        status: ApprovalStatus,
        /// The actor of the final decision; `orchestrator` for an expiry.
        by: String,
        /// When it was decided, in milliseconds since 1970.
        at: Millis,
    },
    /// The content of the task differs from what was approved.
    #[error("the content of task {0} is not what was approved")]
    Uncleared(TaskId),
    /// The caller is not among the approvers whom the approval asks.
    #[error("approval {id} asks {asked}")]
    NotAsked {
        /// The approval that the call was about.
        id: ApprovalId,
        /// A text that says which approvers are asked.
        asked: String,
    },
    /// Four eyes are required, and the caller edited the content.
    #[error("the caller edited the content of approval {0}")]
    OwnContent(ApprovalId),
    /// The caller has approved before, perhaps with another credential. Another person must.
    #[error("the caller has already approved approval {0}")]
    AlreadyVoted(ApprovalId),
    /// The content has changed since the caller saw it.
    #[error("the content of approval {id} has changed; its digest is now {digest}")]
    ContentChanged {
        /// The approval that the call was about.
        id: ApprovalId,
        /// The digest of the current content.
        digest: String,
    },
    /// The caller submitted the task or requested the approval, and so cannot decide on it.
    #[error("approval {0} is for the caller's own submission")]
    OwnSubmission(ApprovalId),
    /// The caller may not publish an event in the name of another source.
    #[error("the caller is {caller} and may not publish as {source_agent}")]
    ForeignSource {
        /// The source that the event names.
        source_agent: String,
        /// The name of the caller.
        caller: String,
    },
    /// The caller's key does not allow this agent.
    #[error("the key of {caller} does not allow agent {agent}; its agents: {}", joined(allowed))]
    ForeignAgent {
        /// The agent of the call, or of the task that the call is about.
        agent: Name,
        /// The agents that the key allows.
        allowed: Vec<Name>,
        /// The name of the caller.
        caller: String,
    },
    /// The content of the call requires a scope that the caller does not have.
    #[error("this requires the scope {scope}")]
    MissingScope {
        /// The role of the caller.
        role: Role,
        /// The scope that the caller lacks.
        scope: Scope,
    },
    /// The caller's own key is restricted, so it cannot make keys, which could do more.
    #[error("a restricted key cannot create or rotate keys")]
    RestrictedKey,
    /// No managed key has this id, or it ended long ago.
    #[error("unknown key {0}")]
    UnknownKey(Uuid),
    /// Another key has this name, or had it a while ago.
    #[error("another key has the name {0}")]
    KeyNameTaken(Name),
    /// The key is revoked or has expired.
    #[error("key {id} ended at {}", written(*at))]
    KeyEnded {
        /// The key that the call was about.
        id: Uuid,
        /// When it ended, in milliseconds since 1970.
        at: Millis,
    },
    /// There are as many managed keys as gateways keep in memory.
    #[error("there are {most} managed keys, which is the limit")]
    TooManyKeys {
        /// How many keys there may be.
        most: usize,
    },
    /// The store has an admin key, so there is no first one to create.
    #[error("the admin key {0} exists, so create others with it")]
    HasAdminKey(Name),
    /// The caller has published as many bytes of events as the settings allow.
    #[error("the caller has reached its limit of published bytes per minute")]
    ShareUsed {
        /// How many milliseconds to wait before publishing again.
        wait_ms: Millis,
    },
    /// The caller has as many open tasks as the settings allow.
    #[error("the caller has {most} open tasks, which is the limit")]
    TooManyOpenTasks {
        /// The largest number of open tasks of a caller that the settings allow.
        most: u64,
    },
    /// The caller has submitted as many bytes within the hour as the settings allow.
    #[error("the caller has reached its limit of submitted bytes per hour")]
    BytesUsed {
        /// How many milliseconds to wait before submitting again.
        wait_ms: Millis,
    },
    /// The idempotency key was used for another body.
    #[error("idempotency key {0} was used with another body")]
    IdempotencyMismatch(String),
    /// The store accepts no writes, because its memory is full.
    #[error("the store is full")]
    Full,
    /// The write is done, but too few replicas of the store confirmed it in time: a failover could
    /// lose it.
    #[error("only {reached} of {wanted} replicas of the store confirmed the write")]
    NotReplicated {
        /// How many replicas confirmed the write in time.
        reached: u16,
        /// How many replicas must confirm a write.
        wanted: u16,
    },
    /// The store did not answer. It is unknown whether a write happened.
    #[error("the store did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cluster of the store moves the partition to another node, which takes longer than an
    /// answer may. Nothing was written.
    #[error("the cluster of the store moves the partition to another node")]
    Moving(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store belongs to an incompatible version, or its server or the settings for it are
    /// unsuitable. Nothing was written.
    #[error("this version cannot use the store")]
    Foreign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored text, such as a payload, cannot be decrypted. A change that the call made before it
    /// read the text stays.
    #[error("{0}")]
    Undecryptable(String),
    /// The store holds data that this version cannot read.
    #[error("the store holds unreadable data")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Returns the refusal of a request of which only the field at `pointer` is wrong.
    pub(super) fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(pointer, detail)])
    }

    /// Returns what an error of the store means for callers. Group commits share one error.
    pub(super) fn of_store<E>(error: E) -> Self
    where
        E: Borrow<store::Error> + std::error::Error + Send + Sync + 'static,
    {
        match error.borrow() {
            store::Error::Full => Self::Full,
            &store::Error::NotReplicated { reached, wanted } => {
                Self::NotReplicated { reached, wanted }
            }
            store::Error::Unavailable { .. }
            | store::Error::Busy { .. }
            | store::Error::NoConnection { .. } => Self::Unavailable(Box::new(error)),
            store::Error::Moving { .. } => Self::Moving(Box::new(error)),
            store::Error::Layout { .. } | store::Error::Unusable { .. } => {
                Self::Foreign(Box::new(error))
            }
            store::Error::Undecryptable { .. } => Self::Undecryptable(error.to_string()),
            store::Error::Corrupt { .. } => Self::Corrupt(Box::new(error)),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::of_store(error)
    }
}
