//! Writes that replicas must have before anybody is told that they are done: `store.wait_replicas`.
//!
//! `WAIT` speaks of what came before it, and blocks its connection. So these writes have a connection of their own,
//! on which they take turns: the calls that have gathered are sent together, then one `WAIT` speaks for all of them. A
//! connection that breaks in between is not replaced before the `WAIT`: what another server's replicas have says
//! nothing about these writes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::domain::ids::Partition;

use super::answers::wants_another_connection;
use super::script::Script;
use super::{Error, Shared, Store, connect, pause_before_repeat};

/// How many calls take one turn: as many as may meet, because a turn in which the replicas do not answer takes all
/// of `wait_timeout_ms`.
const TURN: usize = 1_024;

/// The connection of writes that replicas must have. Cheap to clone.
#[derive(Clone)]
pub(super) struct Replicas {
    calls: mpsc::Sender<Call>,
    /// Ends with the last clone.
    _turns: Arc<JoinSet<()>>,
}

/// What a script answered, and how many replicas have what it wrote.
type Written = (Value, u16);

struct Call {
    script: &'static Script,
    partition: Partition,
    actor: String,
    args: Cmd,
    is_again: bool,
    answer: oneshot::Sender<RedisResult<Written>>,
}

impl Replicas {
    pub(super) fn start(client: redis::Client, shared: Arc<Shared>) -> Self {
        let (calls, asked) = mpsc::channel(TURN);
        let mut turns = JoinSet::new();
        turns.spawn(take_turns(client, shared, asked));
        Self { calls, _turns: Arc::new(turns) }
    }
}

impl Store {
    /// Runs a script whose effect somebody is told of, and returns once `store.wait_replicas` replicas have it.
    pub(super) async fn commit<T: FromRedisValue>(
        &self,
        script: &'static Script,
        partition: Partition,
        actor: &str,
        args: Cmd,
    ) -> Result<T, Error> {
        let Some(replicas) = &self.replicas else {
            return self.run(script, partition, actor, args).await;
        };
        self.admit()?;
        let mut repeats = 0;
        let answer = loop {
            let (answer, answered) = oneshot::channel();
            let (actor, args, is_again) = (actor.to_owned(), args.clone(), repeats > 0);
            // The turns go on for as long as this store lives, so somebody answers.
            let _ = replicas
                .calls
                .send(Call { script, partition, actor, args, is_again, answer })
                .await;
            let gone = || RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
            let answer = answered.await.unwrap_or_else(|_| Err(gone()));
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else { break answer };
            tokio::time::sleep(pause).await;
        };
        self.shared.health.note(script.name, &answer);
        let (value, reached) = self.heard(script.name, answer)?;
        let wanted = self.shared.settings.wait_replicas;
        if reached < wanted {
            return Err(Error::NotReplicated { reached, wanted });
        }
        redis::from_redis_value(value).map_err(|error| Error::redis(script.name, error.into()))
    }
}

/// Answers calls for as long as there may be any.
async fn take_turns(client: redis::Client, shared: Arc<Shared>, mut asked: mpsc::Receiver<Call>) {
    let mut known = None;
    let mut calls = Vec::new();
    while asked.recv_many(&mut calls, TURN).await > 0 {
        let open = match known.take() {
            Some(connection) => Ok(connection),
            None => connect(&client, &shared).await,
        };
        let (answers, reached) = match &open {
            Ok(connection) => turn(connection, &shared, &calls).await,
            Err(error) => (calls.iter().map(|_| Err(error.clone())).collect(), Ok(0)),
        };
        let is_whole = reached.is_ok()
            && !answers.iter().filter_map(|one| one.as_ref().err()).any(wants_another_connection);
        known = open.ok().filter(|_| is_whole);
        let reached = reached.unwrap_or(0);
        for (call, answer) in calls.drain(..).zip(answers) {
            // Whoever no longer waits has hung up; the write is done all the same.
            let _ = call.answer.send(answer.map(|value| (value, reached)));
        }
    }
}

async fn connect(client: &redis::Client, shared: &Shared) -> RedisResult<MultiplexedConnection> {
    let patience = connect::patience(&shared.settings);
    client.get_multiplexed_async_connection_with_config(&patience).await
}

/// Sends all calls, then asks how many replicas have what they wrote; an error there means that nobody knows.
///
/// A repeated call may write nothing and rely on what another connection wrote. From Redis 7.2 on `WAIT` looks only as
/// far as the last write of its own connection, so a message that is replicated goes before it.
async fn turn(
    connection: &MultiplexedConnection,
    shared: &Shared,
    calls: &[Call],
) -> (Vec<RedisResult<Value>>, RedisResult<u16>) {
    let mut connections = vec![connection.clone(); calls.len()];
    let sent = connections.iter_mut().zip(calls).map(|(connection, call)| {
        shared.evaluate(
            connection,
            call.script,
            call.partition,
            &call.actor,
            &call.args,
            call.is_again,
        )
    });
    let answers: Vec<RedisResult<Value>> = join_all(sent).await;
    if answers.iter().all(Result::is_err) {
        return (answers, Ok(0));
    }
    let settings = &shared.settings;
    let mut connection = connection.clone();
    connection.set_response_timeout(Duration::from_millis(
        settings.response_timeout_ms + settings.wait_timeout_ms,
    ));
    let mut wait = redis::pipe();
    wait.cmd("PUBLISH").arg(shared.keys.bell(Partition(0), "replicas")).arg("").ignore();
    wait.cmd("WAIT").arg(settings.wait_replicas).arg(settings.wait_timeout_ms);
    let reached: RedisResult<(u16,)> = wait.query_async(&mut connection).await;
    (answers, reached.map(|(reached,)| reached))
}
