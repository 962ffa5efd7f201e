//! Group commit: concurrent submissions go to the store in one call.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::ids::Partition;
use crate::store::{self, NewRecord, Store, SubmitAnswer};

use super::feed::ordered;
use super::{Error, Settings};

/// The largest number of tasks in one script: about 2 ms of Redis, so that no call waits long.
const BATCH: usize = 100;

/// Joins concurrent submissions into one call to the store: those that arrive during one call go
/// with the next.
#[derive(Clone)]
pub(super) struct Committer {
    queues: Arc<Vec<mpsc::Sender<Commit>>>,
    remember_ms: u64,
    /// How many open tasks a caller may have in each partition; 0 for any number.
    most_open: u64,
}

fn queue_ended() -> Error {
    Error::Unavailable("the queue of submissions has ended".into())
}

struct Commit {
    record: NewRecord,
    answer: oneshot::Sender<Result<SubmitAnswer, Arc<store::Error>>>,
}

impl Committer {
    /// Starts a queue for each partition, one call at a time, until no clone of the engine is left.
    pub(super) fn start(store: &Store, settings: &Settings, tracker: &TaskTracker) -> Self {
        let remember_ms = settings.tasks.idempotency_ms;
        // Each partition has its part of the limit.
        let most_open = settings.limits.open_tasks.div_ceil(store.partitions().count() as u64);
        let queues = ordered(store).into_iter().map(|partition| {
            // Twice a batch: one being stored and one being collected. A longer queue would only
            // hide that Redis is slow.
            let (queue, mut commits) = mpsc::channel::<Commit>(2 * BATCH);
            let store = store.clone();
            tracker.spawn(async move {
                let mut batch = Vec::with_capacity(BATCH);
                while commits.recv_many(&mut batch, BATCH).await > 0 {
                    let (records, askers): (Vec<_>, Vec<_>) =
                        batch.drain(..).map(|commit| (commit.record, commit.answer)).unzip();
                    let answers = store.submit(partition, records, remember_ms, most_open).await;
                    let answers: Vec<_> = match answers.map_err(Arc::new) {
                        Ok(answers) => answers.into_iter().map(Ok).collect(),
                        Err(error) => askers.iter().map(|_| Err(Arc::clone(&error))).collect(),
                    };
                    for (asker, answer) in askers.into_iter().zip(answers) {
                        // A caller that no longer waits has hung up; its task is stored anyway.
                        let _ = asker.send(answer);
                    }
                }
            });
            queue
        });
        Self { queues: Arc::new(queues.collect()), remember_ms, most_open }
    }

    /// Stores the records of one partition: a single one together with other submissions of the
    /// moment, several in calls of their own.
    pub(super) async fn commit(
        &self,
        store: &Store,
        partition: Partition,
        mut records: Vec<NewRecord>,
    ) -> Result<Vec<SubmitAnswer>, Error> {
        if records.len() != 1 {
            let mut answers = Vec::with_capacity(records.len());
            while !records.is_empty() {
                let rest = records.split_off(BATCH.min(records.len()));
                let stored =
                    store.submit(partition, records, self.remember_ms, self.most_open).await?;
                answers.extend(stored);
                records = rest;
            }
            return Ok(answers);
        }
        let (answer, answered) = oneshot::channel();
        let record = records.pop().ok_or_else(queue_ended)?;
        let queue = &self.queues[usize::from(partition.0)];
        queue.send(Commit { record, answer }).await.map_err(|_| queue_ended())?;
        match answered.await.map_err(|_| queue_ended())? {
            Ok(answer) => Ok(vec![answer]),
            Err(error) => Err(Error::of_store(error)),
        }
    }
}
