//! Submissions: which agent gets a task, whether it needs an approval, and its partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::content::Content;
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::people::{ANY_SOURCE, People};
use crate::domain::principal::Principal;
use crate::domain::sla::{self, Sla};
use crate::domain::task::{Millis, NewTask, OnParentCancel, Task};
use crate::domain::{policy, routing};
use crate::store::{self, Gate, NewRecord, ParentState, Store, SubmitAnswer};

use super::{Engine, Error, Explanation, Fault, Settings, Submitted, unknown_type};

/// The largest number of tasks in one script: about 2 ms of Redis, so that no call waits long
/// behind it.
const BATCH: usize = 100;

impl Engine {
    /// Submits tasks. Each is accepted or refused on its own, and an accepted task is stored.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Full`] for the whole call if the store accepted none of
    /// them or it is unknown which. A second call with the same idempotency keys finds out.
    pub async fn submit(
        &self,
        caller: &Principal,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Result<Submitted, Error>>, Error> {
        let mut answers: Vec<Option<Result<Submitted, Error>>> =
            tasks.iter().map(|_| None).collect();
        let mut batches: Vec<(Partition, Vec<(usize, NewRecord)>)> = Vec::new();
        let random = fastrand::u64(..);
        for (nth, task) in tasks.into_iter().enumerate() {
            match self.prepare(caller, task, random) {
                Err(refusal) => answers[nth] = Some(Err(refusal)),
                Ok(mut record) => {
                    record.parent_elsewhere = self.parent_elsewhere(&record).await?;
                    let partition = record.id.partition();
                    let open = batches
                        .iter_mut()
                        .find(|(known, batch)| *known == partition && batch.len() < BATCH);
                    match open {
                        Some((_, batch)) => batch.push((nth, record)),
                        None => batches.push((partition, vec![(nth, record)])),
                    }
                }
            }
        }
        for (partition, batch) in batches {
            let (places, records): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let keys: Vec<_> = records
                .iter()
                .map(|record| (record.new.idempotency.clone(), record.new.parent))
                .collect();
            let stored = self.committer.commit(&self.store, partition, records).await?;
            for ((nth, (key, parent)), answer) in places.into_iter().zip(keys).zip(stored) {
                answers[nth] = Some(match answer {
                    SubmitAnswer::Created(task) => {
                        self.check_parent_again(&task).await?;
                        Ok(Submitted { task: *task, is_replay: false })
                    }
                    SubmitAnswer::Replay(id) => {
                        self.task(id).await.map(|task| Submitted { task, is_replay: true })
                    }
                    SubmitAnswer::NoParent(state) => Err(no_parent(parent, state)),
                    SubmitAnswer::Mismatch => Err(Error::IdempotencyMismatch {
                        key: key.map(|key| key.key).unwrap_or_default(),
                    }),
                });
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Reads the state of a parent that is in another partition. `None` if there is no such parent.
    async fn parent_elsewhere(&self, record: &NewRecord) -> Result<Option<ParentState>, Error> {
        let home = record.id.partition();
        let Some(parent) = record.new.parent.filter(|parent| parent.partition() != home) else {
            return Ok(None);
        };
        let found = self.store.read(parent).await?;
        Ok(Some(found.map(|parent| parent.state)))
    }

    /// Cancels the task if its parent in another partition was cancelled while the task was being
    /// stored.
    async fn check_parent_again(&self, task: &Task) -> Result<(), Error> {
        let Some(parent) = task.parent else { return Ok(()) };
        let is_elsewhere = parent.partition() != task.id.partition();
        if !is_elsewhere || task.on_parent_cancel == OnParentCancel::Continue {
            return Ok(());
        }
        let found = self.store.read(parent).await?;
        if found.is_some_and(|parent| parent.state == State::Cancelled) {
            self.cascade_from(parent).await?;
        }
        Ok(())
    }

    /// Decides everything about a submission that does not depend on the store.
    fn prepare(
        &self,
        caller: &Principal,
        mut new: NewTask,
        random: u64,
    ) -> Result<NewRecord, Error> {
        let settings = &self.settings;
        if let Some(detail) = unknown_type(&settings.tasks.types, &new.kind) {
            return Err(Error::Invalid(vec![Fault::new("/type", detail)]));
        }
        if let Some(detail) = foreign_source(&settings.people, caller, &new.source) {
            return Err(Error::Invalid(vec![Fault::new("/source", detail)]));
        }
        let Some((_, rule)) = routing::route(&settings.routing.rules, &new) else {
            return Err(Error::Invalid(vec![Fault::new(
                "/type",
                "no routing rule applies to this task",
            )]));
        };
        if let Some(parent) = new.parent.filter(|parent| !self.store.has(parent.partition())) {
            return Err(no_parent(Some(parent), None));
        }
        let key_hash = new
            .idempotency
            .as_ref()
            .map(|idempotency| Sha256::digest(format!("{caller}\n{}", idempotency.key)));
        let partition = match (&key_hash, new.parent) {
            // The same key must lead to the same partition for every body.
            (Some(hash), _) => {
                self.store.partition_of(u64::from(hash[0]) << 8 | u64::from(hash[1]))
            }
            (None, Some(parent)) => parent.partition(),
            (None, None) => self.store.partition_of(random),
        };
        let gate = policy::required_approval(&settings.approvals.rules, &new);
        let agent = rule.agent.clone();
        let gate = gate.map(|asks| {
            let content = Content {
                kind: &new.kind,
                agent: &agent,
                version: 1,
                payload: &new.payload,
                action: None,
            };
            Gate {
                id: ApprovalId::new(partition),
                digest: content.digest(),
                rule: asks.name.clone(),
                terms: settings.approvals.terms_of(&asks.terms),
            }
        });
        new.sla = deadlines(settings, &new);
        let actions = sla::actions(&settings.sla.rules, &settings.approvals.rules, &new);
        Ok(NewRecord {
            id: TaskId::new(partition),
            by: caller.to_string(),
            agent,
            head_start_ms: settings.queue.head_start_ms.of(new.priority),
            gate,
            stands_while_blocked: settings.sla.exclude_approval_time,
            actions,
            parent_elsewhere: None,
            key_hash: key_hash
                .map(|hash| hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()),
            new,
        })
    }

    /// Returns which agent would get a submission and which approval it would need, without
    /// submitting it.
    pub fn explain(&self, task: &NewTask) -> Explanation {
        let route = routing::route(&self.settings.routing.rules, task);
        let approval = policy::required_approval(&self.settings.approvals.rules, task);
        Explanation {
            agent: route.map(|(_, rule)| rule.agent.clone()),
            rule: route.map(|(number, _)| number),
            approval_rule: approval.map(|rule| rule.name.clone()),
        }
    }
}

/// Returns why `caller` may not submit in the name of `source`. `None` if it may. Rules trust a
/// source, so a caller must not be free to choose it.
fn foreign_source(people: &People, caller: &Principal, source: &Name) -> Option<String> {
    let allowed = people.sources(caller);
    if allowed.iter().any(|known| known == source.as_str() || known == ANY_SOURCE) {
        return None;
    }
    let known = allowed.join(", ");
    Some(format!(
        "is not a source of {caller}; its sources: {known}; add others under `auth.sources`"
    ))
}

/// Returns the refusal of a task whose parent is unknown, or has ended in `state`.
fn no_parent(parent: Option<TaskId>, state: Option<State>) -> Error {
    let named = parent.map(|id| id.to_string()).unwrap_or_default();
    match (parent, state) {
        (Some(parent), Some(state)) => Error::FinalParent { parent, state },
        _ => {
            let detail = format!("unknown task {named}");
            Error::Invalid(vec![Fault::new("/parent_task_id", detail)])
        }
    }
}

/// Returns the deadlines of a submission for both clocks: its own, else the configured target of
/// its type and priority, else that of its priority.
fn deadlines(settings: &Settings, new: &NewTask) -> Option<Sla> {
    let within_ms = configured_ms(&settings.sla.targets, new);
    let start_within_ms = configured_ms(&settings.sla.start_targets, new);
    match &new.sla {
        Some(sla) => {
            let within_ms = sla.within_ms.or(within_ms).filter(|_| sla.deadline.is_none());
            let start_within_ms =
                sla.start_within_ms.or(start_within_ms).filter(|_| sla.start_deadline.is_none());
            Some(Sla { within_ms, start_within_ms, ..sla.clone() })
        }
        None => within_ms.or(start_within_ms).map(|_| Sla {
            target: None,
            deadline: None,
            within_ms,
            start_deadline: None,
            start_within_ms,
            alert_threshold: settings.sla.warn_at_percent,
        }),
    }
}

fn configured_ms(targets: &BTreeMap<String, Millis>, new: &NewTask) -> Option<Millis> {
    let target = targets.get(&format!("{}/{}", new.kind, new.priority.as_str()));
    target.or_else(|| targets.get(new.priority.as_str())).copied()
}

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
    /// moment, several in one call.
    async fn commit(
        &self,
        store: &Store,
        partition: Partition,
        mut records: Vec<NewRecord>,
    ) -> Result<Vec<SubmitAnswer>, Error> {
        if records.len() != 1 {
            return Ok(store.submit(partition, records, self.remember_ms).await?);
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
