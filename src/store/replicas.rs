//! Writes that replicas must confirm before the caller gets an answer: `store.wait_replicas`.
//!
//! `WAIT` is about the writes before it, and blocks its connection. So these writes have a
//! connection of their own and go in batches: the waiting calls are sent together, then one `WAIT`
//! counts for all of them. If the connection breaks in between, it is not replaced before the
//! `WAIT`: the replicas of another server say nothing about these writes.

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
use super::{Error, Shared, Store, connect};

/// How many calls one batch has: as many as may come together, because a batch whose replicas do
/// not answer takes all of `wait_timeout_ms`.
const TURN: usize = 1_024;

/// A write that expires at once. A script, because a full Redis must make it too. A message would
/// not do: a node of a cluster sends those to other nodes, but does not count them as writes.
const MARK: &str = "#!lua flags=allow-oom\nredis.call('SET', KEYS[1], '', 'PX', 1)";

/// The connection of writes that replicas must confirm. A clone is cheap.
#[derive(Clone)]
pub(super) struct Replicas {
    calls: mpsc::Sender<Call>,
    /// Ends with the last clone.
    _turns: Arc<JoinSet<()>>,
}

/// The answer of a script, and how many replicas have its writes.
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
    /// Runs a script whose result a caller gets, and returns when `store.wait_replicas` replicas
    /// have its writes.
    pub(super) async fn commit<T: FromRedisValue>(
        &self,
        script: &'static Script,
        partition: Partition,
        actor: &str,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut route = self.nodes.route(partition);
        let answer = loop {
            let Some(replicas) = &route.node.replicas else {
                return self.run(script, partition, actor, args).await;
            };
            let (answer, answered) = oneshot::channel();
            let call = Call {
                script,
                partition,
                actor: actor.to_owned(),
                args: args.clone(),
                is_again: route.is_again(),
                answer,
            };
            // The task that answers lives as long as the node, so sending cannot fail.
            let _ = replicas.calls.send(call).await;
            let answer = answered.await.unwrap_or_else(|_| {
                let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
                Err(RedisError::from(gone))
            });
            if !route.goes_on(&answer).await {
                break answer;
            }
        };
        self.note_health(&route, script.name, &answer);
        let (value, reached) = self.result(script.name, answer)?;
        let wanted = self.shared.settings.wait_replicas;
        if reached < wanted {
            return Err(Error::NotReplicated { reached, wanted });
        }
        redis::from_redis_value(value).map_err(|error| Error::redis(script.name, error.into()))
    }
}

/// Answers calls until the store is dropped.
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
            // A caller that gave up gets no answer. Its write is done all the same.
            let _ = call.answer.send(answer.map(|value| (value, reached)));
        }
    }
}

async fn connect(client: &redis::Client, shared: &Shared) -> RedisResult<MultiplexedConnection> {
    let patience = connect::patience(&shared.settings);
    client.get_multiplexed_async_connection_with_config(&patience).await
}

/// Sends all calls, then asks how many replicas have their writes. An error of that part means that
/// the number is unknown.
///
/// A repeated call may write nothing and depend on a write of another connection. From Redis 7.2 on
/// `WAIT` counts only up to the last write of its own connection, so [`MARK`] goes before it.
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
    let mut done = calls.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
    let Some((call, _)) = done.next() else { return (answers, Ok(0)) };
    let settings = &shared.settings;
    let mut connection = connection.clone();
    connection.set_response_timeout(Duration::from_millis(
        settings.response_timeout_ms + settings.wait_timeout_ms,
    ));
    let mut wait = redis::pipe();
    wait.cmd("EVAL").arg(MARK).arg(1).arg(shared.keys.waited(call.partition)).ignore();
    wait.cmd("WAIT").arg(settings.wait_replicas).arg(settings.wait_timeout_ms);
    let reached: RedisResult<(u16,)> = wait.query_async(&mut connection).await;
    (answers, reached.map(|(reached,)| reached))
}
