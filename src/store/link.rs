//! The connection that the scripts go over: one for all calls of a process. It is made anew when the
//! table of [`super::answers`] says so, by one caller at a time and with back-off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
};
use tokio::sync::watch;

use crate::runtime::backoff::Backoff;

use super::answers::{self, Remedy};

/// The first wait after a try that failed, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The connection. Cheap to clone; clones share it.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    client: redis::Client,
    config: AsyncConnectionConfig,
    current: Mutex<Current>,
    /// One caller connects at a time.
    turn: tokio::sync::Mutex<()>,
    /// How often the way to Redis has changed: a write works again after an answer that said to connect anew.
    moves: watch::Sender<u64>,
}

struct Current {
    /// Counts the connections.
    number: u64,
    /// `None`: it was given up.
    connection: Option<MultiplexedConnection>,
    /// When the last answer came over it.
    answered_at: Instant,
    /// Why there is none, and until when no caller tries again.
    failed: Option<(RedisError, Instant)>,
    backoff: Backoff,
    /// Whether Redis itself said to connect anew, and no write has worked since.
    is_moving: bool,
}

/// One call's share of the connection.
struct Share {
    connection: MultiplexedConnection,
    number: u64,
    begun: Instant,
}

impl Link {
    /// A link that connects with its first call.
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

    /// Changes whenever connections that lead to where this one led should be made anew too.
    pub(super) fn moves(&self) -> watch::Receiver<u64> {
        self.0.moves.subscribe()
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            // A server that takes no writes runs no script.
            let is_write = cmd
                .args_iter()
                .next()
                .is_some_and(|word| matches!(word, Arg::Simple(word) if word.starts_with(b"EVAL")));
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
    /// The connection, made if there is none. Within the wait after a try that failed: that try's error.
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

    /// Takes note of what came of a call.
    ///
    /// * `is_write`: whether its success shows that Redis takes writes.
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
            // Slow, but it answers.
            return;
        }
        if !is_silent {
            current.answered_at = Instant::now();
        }
        if answers::of(error).remedy != Remedy::Anew {
            return;
        }
        current.number += 1;
        current.connection = None;
        if !error.is_io_error() {
            current.is_moving = true;
            current.fail(error);
        }
    }

    /// A panic elsewhere leaves it whole: every change is made of plain assignments.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn fail(&mut self, error: &RedisError) {
        self.failed = Some((error.clone(), Instant::now() + self.backoff.next_wait()));
    }
}
