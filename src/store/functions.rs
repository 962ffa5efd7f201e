//! Calls scripts: as functions of a library in Redis, or by themselves.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};

use crate::domain::ids::Partition;

use super::Shared;
use super::script::Script;
use super::script::library::{LIBRARY, LIBRARY_PREFIX, function_of};

/// How many libraries of other versions stay in Redis. Deployments that share a Redis and processes
/// of two versions during an upgrade each have one. A deleted one is loaded again by its next call.
const OTHERS: usize = 8;

/// Whether this process calls functions.
#[derive(Default)]
pub(super) struct Functions {
    are_refused: AtomicBool,
}

impl Functions {
    pub fn are_allowed(&self) -> bool {
        !self.are_refused.load(Ordering::Relaxed)
    }

    /// Returns whether Redis did not run the function: it does not know it, or does not let this user
    /// call functions. In the second case this process calls scripts from now on.
    pub fn is_refusal<T>(&self, answer: &RedisResult<T>) -> bool {
        let Err(error) = answer else { return false };
        let detail = error.detail().unwrap_or_default();
        let may_not = detail.contains("unknown command")
            || error.code() == Some("NOPERM") && detail.contains("'fcall'");
        if may_not {
            self.refuse(error);
        }
        may_not || detail.contains("Function not found")
    }

    fn refuse(&self, error: &RedisError) {
        if !self.are_refused.swap(true, Ordering::Relaxed) {
            tracing::info!(%error, "Redis refuses functions, calling scripts instead");
        }
    }

    /// Loads the library. Returns whether its functions can be called.
    ///
    /// # Errors
    ///
    /// An error of the connection. What the server refuses is no error: scripts do the same.
    pub async fn load(&self, connection: &mut impl ConnectionLike) -> RedisResult<bool> {
        if !self.are_allowed() {
            return Ok(false);
        }
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(&LIBRARY.text);
        match load.query_async::<Value>(connection).await {
            Ok(_) => {
                // Another process may be deleting the same ones, or the user may not.
                if let Err(error) = delete_others(connection).await {
                    tracing::debug!(%error, "libraries of other versions stay in Redis");
                }
                Ok(true)
            }
            // Another process was faster.
            Err(error) if error.detail().is_some_and(|why| why.contains("already exists")) => {
                Ok(true)
            }
            Err(error) if error.code() == Some("NOPERM") => {
                self.refuse(&error);
                Ok(false)
            }
            // Out of memory, for example. The next call tries again.
            Err(error) if error.code().is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Shared {
    /// Returns the limits of the event log as scripts read them, and a mark if a client of any node
    /// listens to the channels of events.
    fn limits_of_events(&self) -> String {
        let mut limits = self.settings.events_to_keep();
        if self.has_listeners.load(Ordering::Relaxed) {
            limits.push_str(" listeners");
        }
        limits
    }

    /// Runs a script once. `is_again` says whether the call was sent before.
    pub(super) async fn evaluate<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        script: &Script,
        partition: Partition,
        actor: &str,
        args: &Cmd,
        is_again: bool,
    ) -> redis::RedisResult<T> {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        let call = |command: &str, body: &str| {
            let mut cmd = redis::cmd(command);
            cmd.arg(body).arg(1).arg(self.keys.prefix(partition));
            cmd.arg(offset).arg(actor).arg(self.limits_of_events()).arg(u8::from(is_again));
            for arg in args.args_iter() {
                if let redis::Arg::Simple(bytes) = arg {
                    cmd.arg(bytes);
                }
            }
            cmd
        };
        if self.functions.are_allowed() {
            let call = call("FCALL", &function_of(script));
            let answer = call.query_async(connection).await;
            if !self.functions.is_refusal(&answer) {
                return answer;
            }
            if self.functions.load(connection).await? {
                let answer = call.query_async(connection).await;
                if !self.functions.is_refusal(&answer) {
                    return answer;
                }
            }
        }
        match call("EVALSHA", &script.digest).query_async(connection).await {
            Err(error) if error.kind() == redis::ServerErrorKind::NoScript.into() => {
                // `EVAL` runs the script and loads it too.
                call("EVAL", &script.text).query_async(connection).await
            }
            answer => answer,
        }
    }
}

/// Deletes libraries of other versions, so that few of them stay.
async fn delete_others(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    let mut list = redis::cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg(format!("{LIBRARY_PREFIX}*"));
    let libraries: Vec<Value> = list.query_async(connection).await?;
    let names = libraries.into_iter().filter_map(name_of).filter(|name| *name != LIBRARY.name);
    for name in names.skip(OTHERS) {
        let mut delete = redis::cmd("FUNCTION");
        delete.arg("DELETE").arg(name).query_async::<()>(connection).await?;
    }
    Ok(())
}

/// Returns the name of a library from its row of `FUNCTION LIST`.
fn name_of(library: Value) -> Option<String> {
    let mut fields = library.into_map_iter().ok()?;
    let (_, name) = fields.find(|(field, _)| {
        redis::from_redis_value_ref::<String>(field).is_ok_and(|field| field == "library_name")
    })?;
    redis::from_redis_value(name).ok()
}
