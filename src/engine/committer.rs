//! Group commit: concurrent submissions go to the store in one call.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::ids::Partition;
use crate::store::{self, NewRecord, Store, SubmitAnswer};

use super::{Error, Settings};

/// The largest number of tasks in one script: about 2 ms of Redis, so that no call waits long
/// behind it.
const BATCH: usize = 100;

/// Joins concurrent submissions into one call to the store: those that arrive during one call go
/// with the next.
#[derive(Clone)]
pub(super) struct Committer {
    queues: Arc<Vec<mpsc::Sender<Commit>>>,
    remember_ms: u64,
}

fn queue_ended() -> Error {
    Error::Unavailable("the queue of submissions has ended".into())
}

struct Commit {
    record: NewRecord,
    answer: oneshot::Sender<Result<SubmitAnswer, Arc<store::Error>>>,
}

impl Committer {
    /// Starts one queue for each partition, with one call at a time, until every clone of the
    /// engine is gone.
    pub(super) fn start(store: &Store, settings: &Settings, tracker: &TaskTracker) -> Self {
        let remember_ms = settings.tasks.idempotency_ms;
        let mut partitions: Vec<_> = store.partitions().collect();
        partitions.sort();
        let queues = partitions.into_iter().map(|partition| {
            // Twice a batch: one being stored and one being collected. A longer queue would only
            // hide that Redis is slow.
            let (queue, mut commits) = mpsc::channel::<Commit>(2 * BATCH);
            let store = store.clone();
            tracker.spawn(async move {
                let mut batch = Vec::with_capacity(BATCH);
                while commits.recv_many(&mut batch, BATCH).await > 0 {
                    let (records, askers): (Vec<_>, Vec<_>) =
                        batch.drain(..).map(|commit| (commit.record, commit.answer)).unzip();
                    let answers = store.submit(partition, records, remember_ms).await;
                    // A caller that no longer waits has hung up; the task is stored all the same.
                    match answers {
                        Ok(answers) => {
                            askers.into_iter().zip(answers).for_each(|(asker, answer)| {
                                let _ = asker.send(Ok(answer));
                            })
                        }
                        Err(error) => {
                            let error = Arc::new(error);
                            askers.into_iter().for_each(|asker| {
                                let _ = asker.send(Err(Arc::clone(&error)));
                            });
                        }
                    }
                }
            });
            queue
        });
        Self { queues: Arc::new(queues.collect()), remember_ms }
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
                answers.extend(store.submit(partition, records, self.remember_ms).await?);
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
