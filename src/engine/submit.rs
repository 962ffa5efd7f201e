//! Taking tasks in: who does it, whether a human must approve, and into which partition it goes.

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

/// The most tasks in one script: about 2 ms of Redis, so that nobody waits long behind it.
const BATCH: usize = 100;

impl Engine {
    /// Takes tasks in: each is accepted, or refused for itself. Accepted means stored.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Full`] for the whole call if the store took none of them or it is
    /// unknown which; a repetition with the same idempotency keys finds out.
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
                    let is_open = |(known, batch): &&mut (Partition, Vec<_>)| {
                        *known == partition && batch.len() < BATCH
                    };
                    match batches.iter_mut().find(is_open) {
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

    /// Where the parent of a task stands that lives in another partition; none: there is none there.
    async fn parent_elsewhere(&self, record: &NewRecord) -> Result<Option<ParentState>, Error> {
        let home = record.id.partition();
        let Some(parent) = record.new.parent.filter(|parent| parent.partition() != home) else {
            return Ok(None);
        };
        let found = self.store.read(parent).await?;
        Ok(Some(found.map(|parent| parent.state)))
    }

    /// A parent in another partition may have been cancelled between the look at it and the task's storing.
    async fn check_parent_again(&self, task: &Task) -> Result<(), Error> {
        let is_elsewhere = |parent: &TaskId| parent.partition() != task.id.partition();
        let Some(parent) = task.parent.filter(is_elsewhere) else { return Ok(()) };
        if task.on_parent_cancel == OnParentCancel::Continue {
            return Ok(());
        }
        let found = self.store.read(parent).await?;
        if found.is_some_and(|parent| parent.state == State::Cancelled) {
            self.cascade_from(parent).await?;
        }
        Ok(())
    }

    /// Decides everything about a submission that does not need the store.
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
            // The same key must find the same partition, whatever else the body says.
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
            let (digest, terms) = (content.digest(), settings.approvals.terms_of(&asks.terms));
            Gate { id: ApprovalId::new(partition), digest, rule: asks.name.clone(), terms }
        });
        new.sla = promise(settings, &new);
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

    /// Where a submission would go and what would hold it, without taking it in.
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

/// Why `caller` may not submit in the name of `source`; none: it may. Rules trust a source, so a caller must not choose
/// it freely.
fn foreign_source(people: &People, caller: &Principal, source: &Name) -> Option<String> {
    let allowed = people.sources(caller);
    if allowed.iter().any(|known| known == source.as_str() || known == ANY_SOURCE) {
        return None;
    }
    let known = allowed.join(", ");
    Some(format!("is not a source of {caller}; known are {known}; `auth.sources` can name others"))
}

/// The refusal of a task whose parent has ended in `state`, or is not there.
fn no_parent(parent: Option<TaskId>, state: Option<State>) -> Error {
    let named = parent.map(|id| id.to_string()).unwrap_or_default();
    match (parent, state) {
        (Some(parent), Some(state)) => Error::FinalParent { parent, state },
        _ => {
            let detail = format!("there is no task {named}");
            Error::Invalid(vec![Fault::new("/parent_task_id", detail)])
        }
    }
}

/// What is promised in time, on either clock: the submission's word, else the configured target of its type and
/// priority, or of its priority.
fn promise(settings: &Settings, new: &NewTask) -> Option<Sla> {
    let configured = |targets: &BTreeMap<String, Millis>| {
        let target = targets.get(&format!("{}/{}", new.kind, new.priority.as_str()));
        target.or_else(|| targets.get(new.priority.as_str())).copied()
    };
    let (within_ms, start_within_ms) =
        (configured(&settings.sla.targets), configured(&settings.sla.start_targets));
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

/// Joins submissions that meet into one call to the store: what comes in while one call is on its way goes with
/// the next.
#[derive(Clone)]
pub(super) struct Committer {
    queues: Arc<Vec<mpsc::Sender<Commit>>>,
    remember_ms: u64,
}

struct Commit {
    record: NewRecord,
    answer: oneshot::Sender<Result<SubmitAnswer, Arc<store::Error>>>,
}

impl Committer {
    /// One queue and one call at a time for each partition, until every clone of the engine is gone.
    pub(super) fn start(store: &Store, settings: &Settings, tracker: &TaskTracker) -> Self {
        let remember_ms = settings.tasks.idempotency_ms;
        let mut partitions: Vec<_> = store.partitions().collect();
        partitions.sort();
        let queues = partitions.into_iter().map(|partition| {
            // Twice a batch: one on its way, one being gathered; more would only hide that Redis is behind.
            let (queue, mut commits) = mpsc::channel::<Commit>(2 * BATCH);
            let store = store.clone();
            tracker.spawn(async move {
                let mut batch = Vec::with_capacity(BATCH);
                while commits.recv_many(&mut batch, BATCH).await > 0 {
                    let (records, askers): (Vec<_>, Vec<_>) =
                        batch.drain(..).map(|commit| (commit.record, commit.answer)).unzip();
                    let answers = store.submit(partition, records, remember_ms).await;
                    // Whoever no longer waits for the answer has hung up; the task is stored all the same.
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

    /// Stores the records of one partition: a single one together with others that come now, several at once.
    async fn commit(
        &self,
        store: &Store,
        partition: Partition,
        mut records: Vec<NewRecord>,
    ) -> Result<Vec<SubmitAnswer>, Error> {
        if records.len() != 1 {
            return Ok(store.submit(partition, records, self.remember_ms).await?);
        }
        let gone = || Error::Unavailable("the queue of submissions has ended".into());
        let (answer, answered) = oneshot::channel();
        let record = records.pop().ok_or_else(gone)?;
        let queue = &self.queues[usize::from(partition.0)];
        queue.send(Commit { record, answer }).await.map_err(|_| gone())?;
        match answered.await.map_err(|_| gone())? {
            Ok(answer) => Ok(vec![answer]),
            Err(error) => match *error {
                store::Error::Full => Err(Error::Full),
                store::Error::NotReplicated { reached, wanted } => {
                    Err(Error::NotReplicated { reached, wanted })
                }
                store::Error::Layout { .. } => Err(Error::Foreign(Box::new(error))),
                store::Error::Corrupt { .. } => Err(Error::Corrupt(Box::new(error))),
                _ => Err(Error::Unavailable(Box::new(error))),
            },
        }
    }
}
