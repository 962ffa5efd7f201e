//! The errors of the store.

use super::answers;

/// Why a call of the store failed. A refusal by a script is not an error but a part of the answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer `operation`. It is unknown whether the write happened.
    #[error("Redis did not answer {operation}")]
    Unavailable {
        /// The operation that the store requested.
        operation: &'static str,
        /// The error of Redis or of the connection.
        #[source]
        source: redis::RedisError,
    },
    /// Too many bytes of answers were under way, and the call waited for longer than its time
    /// limit.
    #[error("too many answers of Redis are on their way for {operation}")]
    Busy {
        /// The operation that the store did not request.
        operation: &'static str,
    },
    /// The pool had no free connection for a long read within the time limit.
    #[error("no connection to Redis for {operation}")]
    NoConnection {
        /// The operation that the store did not request.
        operation: &'static str,
        /// The error of the pool.
        #[source]
        source: deadpool_redis::PoolError,
    },
    /// The cluster moves the partition to another node, which took longer than an answer may.
    /// Nothing was written.
    #[error("the cluster moves the partition to another node, for {operation}")]
    Moving {
        /// The operation that the store requested.
        operation: &'static str,
        /// The answer of the node.
        #[source]
        source: redis::RedisError,
    },
    /// Redis has no memory left and may not evict keys. Nothing was written.
    #[error("Redis is full")]
    Full,
    /// The write is done, but too few replicas confirmed it in time: a failover could lose it.
    #[error("{reached} of {wanted} replicas have the write")]
    NotReplicated {
        /// How many replicas confirmed the write in time.
        reached: u16,
        /// How many replicas must confirm a write.
        wanted: u16,
    },
    /// Redis holds data that this version cannot read, because of a bug or another version's
    /// writes.
    #[error("Redis holds something unreadable: {what}")]
    Corrupt {
        /// Where the data is, and why it is unreadable.
        what: String,
    },
    /// A stored text cannot be decrypted. Everything else about its task can be read.
    #[error("the {what} cannot be decrypted: {why}")]
    Undecryptable {
        /// The kind of the text, and the task or approval that it belongs to.
        what: String,
        /// Why not. It contains no part of the text or of a key.
        why: String,
    },
    /// Redis or the settings for it are unsuitable, and waiting does not help.
    #[error("{why}")]
    Unusable {
        /// What is unsuitable, and what to do about it.
        why: String,
    },
    /// An incompatible version or another program wrote the store.
    #[error("the store has {found}, this program expects {expected}{advice}")]
    Layout {
        /// The layout that the store has.
        found: String,
        /// The layout that this program needs.
        expected: String,
        /// What to do about it, after a semicolon. Empty if nothing helps.
        advice: &'static str,
    },
}

impl Error {
    /// Returns whether the operation may have happened, or may still happen.
    pub fn may_have_run(&self) -> bool {
        let Self::Unavailable { source, .. } = self else { return false };
        source.code().is_none() && !source.is_connection_refusal()
    }

    pub(super) fn redis(operation: &'static str, source: redis::RedisError) -> Self {
        match answers::of(&source).word {
            "OOM" => Self::Full,
            // A script failed, or a key has another type: a repetition does not help.
            "ERR" | "WRONGTYPE" => Self::corrupt(format!("{operation}: {source}")),
            _ => Self::Unavailable { operation, source },
        }
    }

    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}
