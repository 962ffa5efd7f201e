//! Calls of Redis: scripts and commands, each at the node that serves what it is about.

use std::sync::atomic::Ordering;

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult};

use crate::domain::ids::Partition;
use crate::domain::principal::Principal;

use super::link::pause_before_repeat;
use super::nodes::{Node, Place, Route};
use super::script::Script;
use super::{Error, ORCHESTRATOR, Store, answers};

/// One command, or several in one round trip. All of them are safe to repeat.
#[derive(Clone, Copy)]
pub(super) enum Question<'q> {
    One(&'q Cmd),
    All(&'q Pipeline),
}

impl<'q> From<&'q Cmd> for Question<'q> {
    fn from(cmd: &'q Cmd) -> Self {
        Self::One(cmd)
    }
}

impl<'q> From<&'q mut Cmd> for Question<'q> {
    fn from(cmd: &'q mut Cmd) -> Self {
        Self::One(cmd)
    }
}

impl<'q> From<&'q Pipeline> for Question<'q> {
    fn from(pipe: &'q Pipeline) -> Self {
        Self::All(pipe)
    }
}

impl Question<'_> {
    async fn ask<T: FromRedisValue>(self, connection: &mut impl ConnectionLike) -> RedisResult<T> {
        match self {
            Self::One(cmd) => cmd.query_async(connection).await,
            Self::All(pipe) => pipe.query_async(connection).await,
        }
    }
}

impl Store {
    /// Runs a script in one partition.
    ///
    /// If the connection breaks, the call is sent again and marked as a repetition. It is unknown
    /// whether the first call ran; the scripts find out.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        partition: Partition,
        actor: &str,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut route = self.nodes.route(partition);
        let mut doubt = None;
        loop {
            let mut connection = route.node.hot.clone();
            let is_again = route.is_again();
            let call =
                self.shared.evaluate(&mut connection, script, partition, actor, &args, is_again);
            let answer = call.await;
            if !route.goes_on(&answer).await {
                self.note_health(&route, script.name, &answer);
                // A refused connection does not prove that the first call did not run.
                return self.result(script.name, answer.map_err(|error| doubt.unwrap_or(error)));
            }
            let failed = answer.err();
            doubt = doubt.or(failed.filter(|error| {
                // A server that refused the call did not run it.
                error.code().is_none() && !error.is_connection_refusal()
            }));
        }
    }

    /// Records the result of a script for readiness, unless it is about a partition that moves.
    pub(super) fn note_health<T>(
        &self,
        route: &Route<'_>,
        operation: &'static str,
        answer: &RedisResult<T>,
    ) {
        let is_moving = answer.as_ref().err().is_some_and(|error| self.nodes.is_moving(error));
        if !is_moving {
            route.node.health.note(operation, answer);
        }
    }

    /// Runs a script that also writes to the audit log, so it gets the caller's role and origin.
    pub(super) async fn commit_audited<T: FromRedisValue>(
        &self,
        script: &'static Script,
        partition: Partition,
        caller: &Principal,
        mut args: Cmd,
    ) -> Result<T, Error> {
        args.arg(caller.role().rank()).arg(caller.origin());
        self.commit(script, partition, &caller.to_string(), args).await
    }

    /// Runs a script with a long answer over the pool.
    pub(super) async fn run_cold<T: FromRedisValue>(
        &self,
        script: &Script,
        partition: Partition,
        args: Cmd,
    ) -> Result<T, Error> {
        self.admit()?;
        let mut route = self.nodes.route(partition);
        loop {
            let mut connection = self.cold_connection(script.name, &route).await?;
            let call = self.shared.evaluate(
                &mut connection,
                script,
                partition,
                ORCHESTRATOR,
                &args,
                false,
            );
            let answer = call.await;
            replace_if_unusable(connection, &answer);
            if !route.goes_on_unbroken(&answer).await {
                return self.result(script.name, answer);
            }
        }
    }

    /// Sends commands to the node of a place, over the connection that scripts share.
    pub(super) async fn query<'q, T: FromRedisValue>(
        &self,
        operation: &'static str,
        place: impl Into<Place>,
        question: impl Into<Question<'q>>,
    ) -> Result<T, Error> {
        let answer = self.answer(place, question).await;
        self.result(operation, answer)
    }

    /// As [`Store::query`], but returns the error of Redis as it is.
    pub(super) async fn answer<'q, T: FromRedisValue>(
        &self,
        place: impl Into<Place>,
        question: impl Into<Question<'q>>,
    ) -> RedisResult<T> {
        let question = question.into();
        let mut route = self.nodes.route(place);
        loop {
            let answer = question.ask(&mut route.node.hot.clone()).await;
            if !route.goes_on(&answer).await {
                return answer;
            }
        }
    }

    /// Sends commands with long answers to the node of a place, over its pool.
    pub(super) async fn query_cold<'q, T: FromRedisValue>(
        &self,
        operation: &'static str,
        place: impl Into<Place>,
        question: impl Into<Question<'q>>,
    ) -> Result<T, Error> {
        let answer = self.answer_cold(operation, place, question).await?;
        self.result(operation, answer)
    }

    /// As [`Store::query_cold`], but returns an error of Redis as it is.
    pub(super) async fn answer_cold<'q, T: FromRedisValue>(
        &self,
        operation: &'static str,
        place: impl Into<Place>,
        question: impl Into<Question<'q>>,
    ) -> Result<RedisResult<T>, Error> {
        let question = question.into();
        let mut route = self.nodes.route(place);
        loop {
            let mut connection = self.cold_connection(operation, &route).await?;
            let answer = question.ask(&mut connection).await;
            replace_if_unusable(connection, &answer);
            if !route.goes_on_unbroken(&answer).await {
                return Ok(answer);
            }
        }
    }

    /// Sends commands about a whole server to one node, over its pool.
    pub(super) async fn query_node<'q, T: FromRedisValue>(
        &self,
        operation: &'static str,
        node: &Node,
        question: impl Into<Question<'q>>,
    ) -> Result<T, Error> {
        let mut connection =
            node.cold.get().await.map_err(|source| Error::NoConnection { operation, source })?;
        let answer = question.into().ask(&mut connection).await;
        replace_if_unusable(connection, &answer);
        self.result(operation, answer)
    }

    /// Sends a command about a whole server to one node, over the connection that scripts share.
    pub(super) async fn query_whole<T: FromRedisValue>(
        &self,
        operation: &'static str,
        node: &Node,
        cmd: &Cmd,
    ) -> Result<T, Error> {
        let mut repeats = 0;
        loop {
            let answer = cmd.query_async(&mut node.hot.clone()).await;
            let Some(pause) = pause_before_repeat(&answer, &mut repeats) else {
                return self.result(operation, answer);
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn cold_connection(
        &self,
        operation: &'static str,
        route: &Route<'_>,
    ) -> Result<deadpool_redis::Connection, Error> {
        let connection = route.node.cold.get().await;
        connection.map_err(|source| {
            if let deadpool_redis::PoolError::Backend(error) = &source {
                route.learn::<()>(&Err(error.clone()));
            }
            Error::NoConnection { operation, source }
        })
    }

    pub(super) fn result<T>(
        &self,
        operation: &'static str,
        answer: RedisResult<T>,
    ) -> Result<T, Error> {
        match answer {
            Ok(value) => {
                let at = self.shared.opened.elapsed().as_millis() as u64;
                self.shared.answered_at.store(at, Ordering::Relaxed);
                Ok(value)
            }
            Err(source) => Err(self.nodes.error(operation, source)),
        }
    }
}

/// Takes a connection out of its pool if this answer means that it is of no more use.
fn replace_if_unusable<T>(connection: deadpool_redis::Connection, answer: &RedisResult<T>) {
    if answer.as_ref().err().is_some_and(answers::wants_another_connection) {
        drop(deadpool_redis::Connection::take(connection));
    }
}
