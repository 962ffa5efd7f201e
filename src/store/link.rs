//! The connection that all scripts of a process share. One caller at a time makes it anew, with
//! back-off, when the table of [`super::answers`] says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
};
use tokio::sync::watch;

use crate::runtime::backoff::Backoff;

use super::answers::{self, Reaction};

/// The first and the longest wait after a failed attempt to connect.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often a call is sent again if its connection broke. Scripts are safe to repeat.
const REPEATS: u32 = 3;

/// The connection. A clone is cheap and shares the connection of the original.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    client: redis::Client,
    config: AsyncConnectionConfig,
    current: Mutex<Current>,
    /// Held by the caller that connects.
    turn: tokio::sync::Mutex<()>,
    /// How often the way to Redis changed: after an answer that requires a new connection, a write
    /// worked again.
    moves: watch::Sender<u64>,
}

struct Current {
    /// The number of the connection, which a new one increases.
    number: u64,
    /// `None` before the first connection and after one was given up.
    connection: Option<MultiplexedConnection>,
    /// When the last answer came over the connection.
    answered_at: Instant,
    /// Why the last attempt to connect failed, and until when no caller tries again.
    failed: Option<(RedisError, Instant)>,
    backoff: Backoff,
    /// Whether an answer required a new connection, and no write has worked since.
    is_moving: bool,
}

/// The connection as one call uses it, and when that call began.
struct Share {
    connection: MultiplexedConnection,
    number: u64,
    begun: Instant,
}

impl Link {
    /// Makes a link that connects on its first call.
    pub(super) fn new(client: redis::Client, config: AsyncConnectionConfig) -> Self {
        let current = Current {
            number: 0,
            connection: None,
            answered_at: Instant::now(),
            failed: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            is_moving: false,
        };
        Self(Arc::new(Shared {
            client,
            config,
            current: Mutex::new(current),
            turn: tokio::sync::Mutex::default(),
            moves: watch::Sender::new(0),
        }))
    }

    /// Returns a counter that changes when other connections to the same address should reconnect
    /// too.
    pub(super) fn moves(&self) -> watch::Receiver<u64> {
        self.0.moves.subscribe()
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            // A server that accepts no writes runs no script.
            let is_write = cmd
                .args_iter()
                .next()
                .is_some_and(|word| matches!(word, Arg::Simple(word) if word.starts_with(b"EVAL") || word == b"FCALL"));
            let mut share = self.0.share().await?;
            let answer = share.connection.req_packed_command(cmd).await;
            let answer = answer.and_then(Value::extract_error);
            self.0.note(&share, &answer, is_write);
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut share = self.0.share().await?;
            let answer = share.connection.req_packed_commands(pipeline, offset, count).await;
            self.0.note(&share, &answer, false);
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}

impl Shared {
    /// Returns the connection, and connects if there is none. Within the wait after a failed
    /// attempt, returns the error of that attempt.
    async fn share(&self) -> RedisResult<Share> {
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let made = self.client.get_multiplexed_async_connection_with_config(&self.config).await;
        let mut current = self.current();
        match made {
            Ok(connection) => {
                current.answered_at = Instant::now();
                current.failed = None;
                current.connection = Some(connection.clone());
                Ok(Share { connection, number: current.number, begun: Instant::now() })
            }
            Err(error) => {
                current.fail(&error);
                Err(error)
            }
        }
    }

    fn known(&self) -> Option<RedisResult<Share>> {
        let current = self.current();
        let begun = Instant::now();
        if let Some(connection) = current.connection.clone() {
            return Some(Ok(Share { connection, number: current.number, begun }));
        }
        let failed = current.failed.as_ref().filter(|(_, until)| *until > begun);
        failed.map(|(error, _)| Err(error.clone()))
    }

    /// Records the result of a call.
    ///
    /// * `is_write`: whether success proves that Redis accepts writes.
    fn note<T>(&self, share: &Share, answer: &RedisResult<T>, is_write: bool) {
        let mut current = self.current();
        if current.number != share.number {
            return;
        }
        let Err(error) = answer else {
            current.answered_at = Instant::now();
            if is_write {
                current.backoff.reset();
                if std::mem::take(&mut current.is_moving) {
                    self.moves.send_modify(|count| *count += 1);
                }
            }
            return;
        };
        let is_silent = error.is_timeout();
        if is_silent && current.answered_at > share.begun {
            // Redis is slow, but it answers.
            return;
        }
        if !is_silent {
            current.answered_at = Instant::now();
        }
        if answers::of(error).reaction != Reaction::Reconnect {
            return;
        }
        current.number += 1;
        current.connection = None;
        if !error.is_io_error() {
            current.is_moving = true;
            current.fail(error);
        }
    }

    /// Locks the state. A panic elsewhere leaves it consistent: every change is plain assignments.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn fail(&mut self, error: &RedisError) {
        self.failed = Some((error.clone(), Instant::now() + self.backoff.next_wait()));
    }
}

/// Returns how long to wait before a call is sent again because its connection broke before the
/// answer came. `None` if it is not sent again.
pub(super) fn pause_before_repeat<T>(
    answer: &RedisResult<T>,
    repeats: &mut u32,
) -> Option<Duration> {
    let error = answer.as_ref().err()?;
    let is_broken = error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout());
    if !is_broken || *repeats >= REPEATS {
        return None;
    }
    *repeats += 1;
    let pause_ms = if error.is_connection_refusal() {
        // Redis is down. Spread the calls, so that they do not all come at once when it is back.
        fastrand::u64(10..40) << *repeats
    } else {
        // Only the connection broke. Replace it soon, before the new one breaks too.
        fastrand::u64(0..4)
    };
    Some(Duration::from_millis(pause_ms))
}
