//! Submissions: which agent gets a task, whether it needs an approval, and its partition.

use sha2::{Digest, Sha256};

use crate::domain::content::Content;
use crate::domain::ids::{ApprovalId, TaskId, by_partition};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::parent::OnParentCancel;
use crate::domain::people::{ANY_SOURCE, People};
use crate::domain::principal::Principal;
use crate::domain::rules::{self, Plan, RoutingRule};
use crate::domain::submission::NewTask;
use crate::domain::task::Task;
use crate::domain::text::hex;
use crate::store::{Gate, NewRecord, ParentState, SubmitAnswer};

use super::restrictions::foreign_type;
use super::{Engine, Error, unknown_type};

/// The result of an accepted submission.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The task as it is now, after this or the earlier submission.
    pub task: Task,
    /// Whether an earlier submission with the same idempotency key created it.
    pub is_replay: bool,
}

/// What would happen to a submission.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The agent that would get the task. `None` if no rule applies: it would be refused.
    pub agent: Option<Name>,
    /// The number of the routing rule that applies, from 0.
    pub rule: Option<usize>,
    /// The approval rule that would block the task. `None` if it needs no approval.
    pub approval_rule: Option<String>,
}

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
        let mut prepared = Vec::new();
        let random = fastrand::u64(..);
        for (nth, task) in tasks.into_iter().enumerate() {
            match self.prepare(caller, task, random) {
                Err(refusal) => answers[nth] = Some(Err(refusal)),
                Ok(mut record) => {
                    let bytes = record.new.bytes();
                    if let Some(wait_ms) = self.rates.wait_for_bytes(&record.by, bytes).await {
                        answers[nth] = Some(Err(Error::BytesUsed { wait_ms }));
                        continue;
                    }
                    record.parent_elsewhere = self.parent_elsewhere(&record).await?;
                    prepared.push((nth, record));
                }
            }
        }
        for (partition, batch) in by_partition(prepared, |(_, record)| record.id.partition()) {
            let (places, records): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let keys: Vec<_> = records
                .iter()
                .map(|record| (record.new.idempotency.clone(), record.new.spec.parent))
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
                    SubmitAnswer::NoParent(None) => {
                        Err(self.no_such_parent(caller, parent).await?)
                    }
                    SubmitAnswer::NoParent(state) => Err(no_parent(parent, state)),
                    SubmitAnswer::TooManyOpen => {
                        let most = self.settings.limits.open_tasks;
                        Err(Error::TooManyOpenTasks { most })
                    }
                    SubmitAnswer::Mismatch => {
                        let key = key.map(|key| key.key).unwrap_or_default();
                        Err(Error::IdempotencyMismatch(key))
                    }
                });
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Reads the state of a parent that is in another partition. `None` if there is no such parent.
    async fn parent_elsewhere(&self, record: &NewRecord) -> Result<Option<ParentState>, Error> {
        let home = record.id.partition();
        let Some(parent) = record.new.spec.parent.filter(|parent| parent.partition() != home)
        else {
            return Ok(None);
        };
        let found = self.store.read(parent).await?;
        let tenant = record.agent.tenant();
        // One of another tenant counts as one that does not exist.
        let own = found.filter(|parent| parent.tenant() == tenant);
        Ok(Some(own.map(|parent| parent.state)))
    }

    /// Returns the refusal of a task whose parent is unknown, or belongs to a tenant while the caller
    /// is bound to none.
    async fn no_such_parent(
        &self,
        caller: &Principal,
        parent: Option<TaskId>,
    ) -> Result<Error, Error> {
        let seen = parent.filter(|_| caller.tenant().is_none());
        let found = match seen {
            Some(id) => self.store.read(id).await?,
            None => None,
        };
        Ok(match found.and_then(|parent| parent.tenant()) {
            Some(tenant) => {
                let detail =
                    format!("is of tenant {tenant}, so its parts need a key of the tenant");
                Error::invalid("/parent_task_id", detail)
            }
            None => no_parent(parent, None),
        })
    }

    /// Cancels the task if its parent in another partition was cancelled while it was stored.
    async fn check_parent_again(&self, task: &Task) -> Result<(), Error> {
        let home = task.id.partition();
        let elsewhere = task.spec.parent.filter(|parent| parent.partition() != home);
        let (Some(parent), OnParentCancel::Cancel) = (elsewhere, task.spec.on_parent_cancel) else {
            return Ok(());
        };
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
        if let Some(detail) = unknown_type(&settings.tasks.types, &new.spec.kind) {
            return Err(Error::invalid("/type", detail));
        }
        if let Some(detail) = foreign_type(caller, &new.spec.kind) {
            return Err(Error::invalid("/type", detail));
        }
        if let Some(detail) = foreign_source(&settings.people, caller, &new.spec.source) {
            return Err(Error::invalid("/source", detail));
        }
        let Plan { route, approval, sla, actions } = rules::decide(&settings.rules(), &new);
        let Some((_, RoutingRule { agent, .. })) = route else {
            return Err(Error::invalid("/type", "no routing rule applies to this task"));
        };
        if let Some(parent) = new.spec.parent.filter(|parent| !self.store.has(parent.partition())) {
            return Err(no_parent(Some(parent), None));
        }
        let key_hash = new.idempotency.as_ref().map(|idempotency| {
            Sha256::digest(format!("{}\n{}", owner_of_keys(caller), idempotency.key))
        });
        let partition = match (&key_hash, new.spec.parent) {
            // The same key must lead to the same partition for every body.
            (Some(hash), _) => {
                self.store.partition_of(u64::from(hash[0]) << 8 | u64::from(hash[1]))
            }
            (None, Some(parent)) => parent.partition(),
            (None, None) => self.store.place_for(random),
        };
        let gate = approval.map(|asks| {
            let content = Content {
                kind: &new.spec.kind,
                agent,
                version: 1,
                payload: &new.spec.payload,
                action: None,
            };
            Gate {
                id: ApprovalId::new(partition),
                digest: content.digest(),
                rule: asks.name.clone(),
                terms: settings.approvals.terms_of(&asks.terms),
            }
        });
        new.sla = sla;
        Ok(NewRecord {
            id: TaskId::new(partition),
            by: caller.to_string(),
            agent: agent.for_tenant(caller.tenant()),
            head_start_ms: settings.queue.head_start_ms.of(new.spec.priority),
            gate,
            stands_while_blocked: settings.sla.exclude_approval_time,
            actions,
            parent_elsewhere: None,
            key_hash: key_hash.map(|hash| hex(&hash[..16])),
            new,
        })
    }

    /// Returns which agent a submission would get and which approval it would need.
    pub fn explain(&self, task: &NewTask) -> Explanation {
        let Plan { route, approval, .. } = rules::decide(&self.settings.rules(), task);
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

/// Returns whose idempotency keys the caller's are. A line feed stands in no name.
pub(super) fn owner_of_keys(caller: &Principal) -> String {
    match caller.tenant() {
        Some(tenant) => format!("tenant\n{tenant}\n{caller}"),
        None => caller.to_string(),
    }
}

/// Returns the refusal of a task whose parent is unknown, or has ended in `state`.
fn no_parent(parent: Option<TaskId>, state: Option<State>) -> Error {
    let named = parent.map(|id| id.to_string()).unwrap_or_default();
    match (parent, state) {
        (Some(parent), Some(state)) => Error::FinalParent { parent, state },
        _ => Error::invalid("/parent_task_id", format!("unknown task {named}")),
    }
}
