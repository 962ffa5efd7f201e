//! The parts of the loads: tasks, batches, and running several loads in parallel.

use std::str::FromStr;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Error;
use crate::domain::name::{Name, Worker};
use crate::domain::principal::{Principal, Role, Subject};
use crate::domain::report::{Outcome, Report};
use crate::domain::sla::Sla;
use crate::domain::submission::{NewTask, Spec};
use crate::domain::task::Claimed;
use crate::engine::{self, Claim, Engine};

/// The number of tasks in one call.
pub(super) const BATCH: u64 = 100;

/// The size of a task's payload, in bytes of JSON.
pub(super) const PAYLOAD_BYTES: usize = 300;

/// The type of the tasks, which needs no approval, and the agent that gets them.
pub(super) const KIND: &str = "faq";
pub(super) const AGENT: &str = "faq_agent";

/// A type of tasks that another agent gets.
pub(super) const OTHER_KIND: &str = "bugfix";

/// How long a load of throughput may take.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// Returns a payload of [`PAYLOAD_BYTES`] bytes.
pub(super) fn payload() -> String {
    let head =
        r#"{"question":"How do I reset my password?","user":"u-48213","locale":"en","context":""#;
    let tail = r#""}"#;
    let filling = "lorem ipsum dolor sit amet ".repeat(12);
    format!("{head}{}{tail}", &filling[..PAYLOAD_BYTES - head.len() - tail.len()])
}

/// Returns the body of `POST /tasks` for one task.
pub(super) fn submission() -> String {
    format!(r#"{{"type":"{KIND}","priority":"P2","payload":{}}}"#, payload())
}

/// Returns the body of `POST /tasks/batch` for `count` tasks.
pub(super) fn submissions(count: u64) -> String {
    let tasks: Vec<_> = (0..count).map(|_| submission()).collect();
    format!(r#"{{"tasks":[{}]}}"#, tasks.join(","))
}

/// A caller of an engine in this process, with the task and the claim that it repeats.
#[derive(Clone)]
pub(super) struct Caller {
    engine: Engine,
    principal: Principal,
    task: NewTask,
    claim: Claim,
}

impl Caller {
    pub(super) fn new(engine: &Engine) -> Result<Self, Error> {
        let payload = RawValue::from_string(payload())?;
        let spec = Spec { max_retries: 3, ..Spec::new(name(KIND)?, name("user")?, payload) };
        let claim = Claim {
            agent: name(AGENT)?,
            worker: Worker::from_str("bench").map_err(unexpected)?,
            max: BATCH as u32,
            wait: Duration::ZERO,
            lease_ms: None,
            room: None,
        };
        let principal =
            Principal::new(Subject::Key("bench".to_owned()), Role::Admin).map_err(unexpected)?;
        Ok(Self { engine: engine.clone(), principal, task: spec.into(), claim })
    }

    pub(super) async fn submit(&self, count: u64) -> Result<(), Error> {
        self.submit_these((0..count).map(|_| self.task.clone()).collect()).await
    }

    /// Submits a task of [`OTHER_KIND`] for each of these SLAs, in batches.
    pub(super) async fn submit_with_slas(&self, slas: &[Sla]) -> Result<(), Error> {
        let spec = Spec { kind: name(OTHER_KIND)?, ..self.task.spec.clone() };
        for batch in slas.chunks(BATCH as usize) {
            let tasks =
                batch.iter().map(|sla| NewTask { sla: Some(sla.clone()), ..spec.clone().into() });
            self.submit_these(tasks.collect()).await?;
        }
        Ok(())
    }

    async fn submit_these(&self, tasks: Vec<NewTask>) -> Result<(), Error> {
        let answers = self.engine.submit(&self.principal, tasks).await?;
        Ok(answers.into_iter().try_for_each(|answer| answer.map(drop))?)
    }

    /// Routes a batch. Returns how many tasks were routed.
    pub(super) async fn route(&self) -> Result<u64, Error> {
        Ok(self.engine.route().await?.moved as u64)
    }

    /// Claims up to `most` tasks, at most a batch.
    pub(super) async fn claim(&self, most: u64) -> Result<Vec<Claimed>, Error> {
        let claim = Claim { max: most.min(BATCH) as u32, ..self.claim.clone() };
        Ok(self.engine.claim(&self.principal, claim).await?)
    }

    /// Takes `count` tasks through their lives in a naive store.
    pub(super) async fn live_naively(&self, count: u64) -> Result<(), Error> {
        let payload = self.task.spec.payload.get();
        Ok(self.engine.store().naive_life(count as usize, payload).await?)
    }

    pub(super) async fn complete(&self, claimed: Vec<Claimed>) -> Result<u64, Error> {
        let reports = claimed.into_iter().map(|held| Report {
            id: held.task.id,
            attempt: held.task.attempt,
            lease: held.lease,
            outcome: Outcome::Completed {
                result: RawValue::from_string(r#"{"ok":true}"#.to_owned()).ok(),
            },
        });
        let answers = self.engine.report(&self.principal, reports.collect()).await?;
        Ok(answers.into_iter().collect::<Result<Vec<_>, _>>()?.len() as u64)
    }
}

fn name(word: &str) -> Result<Name, Error> {
    Name::from_str(word).map_err(unexpected)
}

fn unexpected<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::Engine(engine::Error::Corrupt(Box::new(error)))
}

/// Runs loads in parallel and returns the result of each, in the order in which they end.
///
/// # Errors
///
/// Returns the first error of a load; the other loads are dropped.
pub(super) async fn side_by_side<T: Send + 'static>(
    loads: impl IntoIterator<Item = impl Future<Output = Result<T, Error>> + Send + 'static>,
) -> Result<Vec<T>, Error> {
    let mut running: JoinSet<_> = loads.into_iter().collect();
    let mut done = Vec::with_capacity(running.len());
    while let Some(ended) = running.join_next().await {
        done.push(ended.map_err(|error| Error::Io(error.into()))??);
    }
    Ok(done)
}

/// Runs a load for at most `limit`; after that, `what` took too long.
pub(super) async fn within<T>(
    limit: Duration,
    what: &'static str,
    load: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, load).await.map_err(|_| Error::TooLong(what))?
}

/// Splits `count` into batches of at most `most`.
pub(super) fn batches(count: u64, most: u64) -> impl Iterator<Item = u64> {
    (0..count.div_ceil(most)).map(move |nth| most.min(count - nth * most))
}

/// Splits `count` into `parts` that differ by one at most.
pub(super) fn shares(count: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |nth| count / parts + u64::from(nth < count % parts))
}

/// Returns an error unless the counted number is the expected one.
pub(super) fn check(what: &'static str, found: u64, expected: u64) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Miscount { what, found, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_stated_size() {
        assert_eq!(payload().len(), PAYLOAD_BYTES);
        serde_json::from_str::<serde_json::Value>(&submissions(3)).unwrap();
    }

    #[test]
    fn shares_are_even_and_whole() {
        assert_eq!(shares(10, 4).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }

    #[test]
    fn batches_add_up() {
        assert_eq!(batches(250, BATCH).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(batches(0, BATCH).count(), 0);
    }
}
