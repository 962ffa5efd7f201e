//! Learns from the calls themselves whether Redis accepts writes, and logs each change once.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::runtime::chain::Chain;

use super::Store;
use super::answers;

/// How long the result of one write counts for the next ones.
const FRESH: Duration = Duration::from_secs(1);

/// The longest time that a readiness check waits for a write.
const LIMIT: Duration = Duration::from_secs(2);

/// How often the log repeats that Redis accepts no writes.
const REMINDER: Duration = Duration::from_secs(60);

/// What this process knows of the state of one Redis.
pub(super) struct Health {
    /// The address of the node in a cluster, for the log. `None` for a single Redis.
    node: Option<String>,
    known: Mutex<Known>,
    /// When the last write of a readiness check failed. Held by the check that writes.
    tried: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    wrote_at: Option<Instant>,
    /// `None` if the last write worked.
    trouble: Option<Trouble>,
}

struct Trouble {
    since: Instant,
    /// The kinds of answers that were logged, and when the last one was.
    logged: BTreeSet<&'static str>,
    logged_at: Instant,
    failed_calls: u64,
}

impl Health {
    /// Knows nothing yet of the node at this address.
    pub(super) fn new(node: Option<String>) -> Self {
        Self { node, known: Mutex::default(), tried: tokio::sync::Mutex::default() }
    }

    /// Records the result of a script.
    pub(super) fn note<T>(&self, operation: &'static str, answer: &redis::RedisResult<T>) {
        match answer {
            Ok(_) => self.wrote(),
            Err(error) => self.failed(operation, error),
        }
    }

    fn wrote(&self) {
        let mut known = self.known();
        known.wrote_at = Some(Instant::now());
        let ended = known.trouble.take();
        drop(known);
        if let Some(Trouble { since, failed_calls, .. }) = ended {
            let away_ms = since.elapsed().as_millis() as u64;
            let node = self.node.as_deref();
            tracing::info!(node, away_ms, failed_calls, "Redis takes writes again");
        }
    }

    /// Logs that Redis accepts no writes, unless it was logged a short time ago.
    fn failed(&self, operation: &'static str, error: &RedisError) {
        let row = answers::of(error);
        if !row.is_down {
            return;
        }
        let now = Instant::now();
        let mut known = self.known();
        let trouble = known.trouble.get_or_insert_with(|| Trouble {
            since: now,
            logged: BTreeSet::new(),
            logged_at: now,
            failed_calls: 0,
        });
        trouble.failed_calls += 1;
        let is_news = trouble.logged.insert(row.word) || now - trouble.logged_at > REMINDER;
        if !is_news {
            return;
        }
        trouble.logged_at = now;
        let for_ms = (now - trouble.since).as_millis() as u64;
        drop(known);
        tracing::warn!(
            node = self.node.as_deref(),
            answer = row.word, operation, for_ms, error = %Chain(error),
            "Redis takes no writes: {}", row.meaning
        );
    }

    /// Returns whether a write worked a short time ago and none has failed since.
    fn is_fresh(&self) -> bool {
        let known = self.known();
        known.trouble.is_none() && known.wrote_at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Locks the state. A panic elsewhere leaves it consistent: every change is one assignment.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns whether a write worked within the last second or works now, after at most 2 s. Redis
    /// is asked at most once a second, however many callers there are. In a cluster one node is
    /// enough: its partitions take the work.
    pub async fn is_ready(&self) -> bool {
        if self.is_foreign() {
            return false;
        }
        if self.nodes.all().iter().any(|node| node.health.is_fresh()) {
            return true;
        }
        tokio::time::timeout(LIMIT, self.try_a_write()).await.unwrap_or(false)
    }

    async fn try_a_write(&self) -> bool {
        let Some(partition) = self.reachable().next() else { return false };
        let node = self.nodes.at(partition);
        let health = &node.health;
        let mut tried = health.tried.lock().await;
        if health.is_fresh() {
            return true;
        }
        if tried.is_some_and(|at| at.elapsed() < FRESH) {
            return false;
        }
        // Set it before the write: if the caller gives up, the next one does not write at once
        // either.
        *tried = Some(Instant::now());
        match self.try_out(partition).await {
            Ok(()) => {
                *tried = None;
                true
            }
            Err(_) => false,
        }
    }
}
