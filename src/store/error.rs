//! Why the store could not do it.

use super::answers;

/// Why the store could not do it. What a script refuses is not here: it is part of the answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer `operation`. Nothing is known about whether the write happened.
    #[error("Redis did not answer {operation}")]
    Unavailable {
        /// What was asked of it.
        operation: &'static str,
        /// What it or the connection said.
        #[source]
        source: redis::RedisError,
    },
    /// Too many bytes of answers were on their way for another one to be asked for in time.
    #[error("too many answers of Redis are on their way for {operation}")]
    Busy {
        /// What was to be asked.
        operation: &'static str,
    },
    /// The pool had no connection for a long read in time.
    #[error("no connection to Redis for {operation}")]
    NoConnection {
        /// What was to be asked of it.
        operation: &'static str,
        /// Why.
        #[source]
        source: deadpool_redis::PoolError,
    },
    /// Redis has no memory left and is set to evict nothing. Nothing was written.
    #[error("Redis is full")]
    Full,
    /// The write is done, but too few replicas had it in time: a failover could lose it.
    #[error("{reached} of {wanted} replicas have the write")]
    NotReplicated {
        /// How many had it.
        reached: u16,
        /// How many are to have it.
        wanted: u16,
    },
    /// Redis holds something at `what` that this version cannot read: a bug, or another version.
    #[error("Redis holds something unreadable: {what}")]
    Corrupt {
        /// Where, and why it cannot be read.
        what: String,
    },
    /// Redis or our settings for it do not do, and no waiting helps.
    #[error("{why}")]
    Unusable {
        /// What does not do, and what would.
        why: String,
    },
    /// The store was written by a program with other rules.
    #[error("the store has {found}, this program expects {expected}")]
    Layout {
        /// What the store says of itself.
        found: String,
        /// What would do.
        expected: String,
    },
}

impl Error {
    /// Whether what was asked for may have happened all the same, or may still happen.
    pub fn may_have_run(&self) -> bool {
        let is_of_wire =
            |error: &redis::RedisError| error.code().is_none() && !error.is_connection_refusal();
        matches!(self, Self::Unavailable { source, .. } if is_of_wire(source))
    }

    pub(super) fn redis(operation: &'static str, source: redis::RedisError) -> Self {
        match answers::of(&source).word {
            "OOM" => Self::Full,
            // A script that broke, or a key of another type: no repetition helps.
            "ERR" | "WRONGTYPE" => Self::corrupt(format!("{operation}: {source}")),
            _ => Self::Unavailable { operation, source },
        }
    }

    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}
