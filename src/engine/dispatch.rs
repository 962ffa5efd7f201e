//! Claims: leasing tasks to agents, and giving them back if the response does not arrive.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lease::Lease;
use crate::domain::name::{Name, Worker};
use crate::domain::principal::Principal;
use crate::domain::task::Claimed;
use crate::domain::time::Millis;
use crate::store::{self, Room, Sessions, Taken};

use super::desk::Desk;
use super::returns::{LostClaim, Undelivered};
use super::{Engine, Error};

/// How many bytes several tasks may have in one answer: to read more would hold Redis, and other
/// clients, for tens of milliseconds. One task alone may be larger.
const SEVERAL_BYTES: usize = 1 << 20;

/// A claim of an agent: a call for tasks of its subject.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The agent from whose subject the tasks come.
    pub agent: Name,
    /// The name of the agent's process that claims.
    pub worker: Worker,
    /// The largest number of tasks to return, 1 to 100.
    pub max: u32,
    /// How long to wait for the first task, at most 60 s.
    pub wait: Duration,
    /// How long the lease lasts without an extension, 1 s to 1 h. `None` means the configured time.
    pub lease_ms: Option<Millis>,
    /// The largest size of the tasks in bytes, if the channel of the response has a limit. `None`
    /// means the configured size.
    pub room: Option<usize>,
}

impl Engine {
    /// Leases the best tasks of the agent's subject, as many as the response has room for. If there
    /// is none, waits for the first.
    ///
    /// Returns an empty list if no task came in time, the agent is paused, or the process stops.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignAgent`] if the caller's key does not allow the agent;
    /// [`Error::UnknownAgent`] or [`Error::TooManyAgents`] if the agent is not admitted;
    /// [`Error::TaskTooLarge`] if the only tasks that came in time are larger than a response to
    /// this claim may be. They wait for other claims.
    pub async fn claim(&self, caller: &Principal, claim: Claim) -> Result<Vec<Claimed>, Error> {
        let actor = caller.to_string();
        let most_agents = self.admit(caller, &claim.agent).await?;
        // From here on it is the subject of the caller's tenant.
        let claim = Claim { agent: claim.agent.for_tenant(caller.tenant()), ..claim };
        let deadline = Instant::now() + claim.wait;
        let seat = self.seat(&claim.agent, &claim.worker);
        let mut is_woken = false;
        loop {
            // Listen before looking: what comes meanwhile must not be missed.
            let woken = seat.desk.wake().notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let turn = tokio::select! {
                turn = seat.desk.turn() => turn,
                // A claim that does not wait looks at once.
                () = sleep_until(deadline) => None,
                () = self.stop.cancelled() => None,
            };
            let found = self.claim_now(&actor, &claim, most_agents, &seat.desk, is_woken).await?;
            drop(turn);
            if !found.tasks.is_empty() {
                if found.is_full || found.tasks.len() == claim.max as usize {
                    // More tasks may wait, so the next waiting call looks too.
                    seat.desk.wake().notify_one();
                }
                return Ok(found.tasks);
            }
            if found.has_session {
                seat.note_session();
            }
            if Instant::now() >= deadline || self.stop.is_cancelled() {
                return match found.too_large {
                    None => Ok(Vec::new()),
                    Some((task, bytes)) => {
                        Err(Error::TaskTooLarge { task, bytes, room: self.room_of(&claim) })
                    }
                };
            }
            is_woken = tokio::select! {
                () = woken => true,
                () = sleep_until(deadline) => false,
                () = self.stop.cancelled() => false,
            };
        }
    }

    /// Returns what to call if the response does not reach `caller`: it gives `claimed` back. It
    /// may be called on any thread.
    pub fn undo_claim(
        &self,
        caller: &Principal,
        claimed: &[Claimed],
    ) -> impl FnOnce() + Send + use<> {
        let returns = self.returns.clone();
        let tracker = self.tracker.clone();
        let undelivered = Undelivered::new(&caller.to_string(), claimed);
        move || {
            // Without a runtime the process has ended, and the leases end on their own.
            if Handle::try_current().is_ok() {
                tracker.spawn(async move { returns.give_back(undelivered).await });
            }
        }
    }

    /// The largest size of all tasks in the response together, in bytes.
    fn room_of(&self, claim: &Claim) -> usize {
        claim.room.unwrap_or(usize::MAX).min(self.settings.agents.max_claim_bytes)
    }

    /// Looks once at every partition that may have a task, in a task of its own: if the caller has
    /// gone by the time the store answers, the claimed tasks go back at once. A claim that does not
    /// wait looks at all of them.
    async fn claim_now(
        &self,
        actor: &str,
        claim: &Claim,
        most_agents: Option<u32>,
        desk: &Arc<Desk>,
        is_woken: bool,
    ) -> Result<Found, Error> {
        let all = self.store.partitions().count();
        let mut partitions: Vec<_> = self.store.reachable().collect();
        if !claim.wait.is_zero() {
            partitions.retain(|partition| !desk.is_empty(*partition));
        }
        if partitions.is_empty() {
            return Ok(Found::default());
        }
        let (answer, answered) = oneshot::channel();
        let agent = claim.agent.clone();
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| Error::Unavailable(Box::new(error)))?;
        let look = Look {
            engine: self.clone(),
            actor: actor.to_owned(),
            claim: claim.clone(),
            room: self.room_of(claim),
            lease: Lease::new(bits),
            most_agents,
            desk: Arc::clone(desk),
            all,
            partitions,
            is_woken,
        };
        self.tracker.spawn(async move {
            let found = look.look().await;
            if let Err(Ok(Some(unwanted))) = answer.send(found) {
                let undelivered = Undelivered::new(&look.actor, &unwanted.tasks);
                look.engine.returns.give_back(undelivered).await;
            }
        });
        let found =
            answered.await.map_err(|_| Error::Unavailable("the claim was given up".into()))??;
        found.ok_or(Error::TooManyAgents { agent, most: most_agents.unwrap_or_default() })
    }
}

/// The tasks that one look at the partitions leased.
#[derive(Default)]
struct Found {
    tasks: Vec<Claimed>,
    /// Whether further tasks wait that did not fit into the response.
    is_full: bool,
    /// A task larger than any response to this claim may be, and its size in bytes.
    too_large: Option<(TaskId, usize)>,
    /// Whether every partition noted the session.
    has_session: bool,
}

/// One look at several partitions for one claim.
struct Look {
    engine: Engine,
    actor: String,
    claim: Claim,
    room: usize,
    lease: Lease,
    most_agents: Option<u32>,
    desk: Arc<Desk>,
    /// How many partitions there are, and those to look at.
    all: usize,
    partitions: Vec<Partition>,
    /// Whether a wake-up is the reason, which every process hears.
    is_woken: bool,
}

impl Look {
    /// Returns `None` if there is no place for the agent.
    async fn look(&self) -> Result<Option<Found>, store::Error> {
        let mut found = Found::default();
        let mut left = self.room.min(SEVERAL_BYTES);
        let mut seen = 0;
        let mut failed = None;
        for &partition in &self.partitions {
            let more = self.claim.max - found.tasks.len() as u32;
            if more == 0 || found.is_full {
                break;
            }
            let count = self.desk.count(partition);
            let mut answer = self.look_at(partition, more, left).await;
            if found.tasks.is_empty()
                && left < self.room
                && matches!(&answer, Ok(Some(taken)) if taken.is_full && taken.tasks.is_empty())
            {
                // The first task has no room among several.
                answer = self.look_at(partition, 1, self.room).await;
            }
            match answer {
                Ok(Some(taken)) => {
                    seen += 1;
                    if taken.too_large.is_some() {
                        self.desk.note_large();
                    } else if taken.is_last(more) {
                        self.desk.note_empty(partition, count);
                    }
                    left = left.saturating_sub(taken.bytes);
                    found.is_full = taken.is_full;
                    found.too_large = found.too_large.or(taken.too_large);
                    found.tasks.extend(taken.tasks);
                }
                Ok(None) if found.tasks.is_empty() => return Ok(None),
                Ok(None) => break,
                // One node that does not answer keeps no claim from the tasks of the others.
                Err(error) if found.tasks.is_empty() && self.engine.store.is_away(partition) => {
                    failed = Some(error);
                }
                // The tasks of one partition are not lost because another does not answer.
                Err(error) if found.tasks.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        if let Some(error) = failed.filter(|_| seen == 0) {
            return Err(error);
        }
        found.has_session = !self.is_woken && seen == self.all;
        Ok(Some(found))
    }

    async fn look_at(
        &self,
        partition: Partition,
        most: u32,
        left: usize,
    ) -> Result<Option<Taken>, store::Error> {
        let settings = &self.engine.settings.agents;
        let sessions = Sessions {
            live_ms: settings.session_ms,
            most: settings.max_sessions,
            most_agents: self.most_agents,
        };
        let Claim { agent, worker, .. } = &self.claim;
        let who = (agent, worker);
        let most = (most, Room { left, whole: self.room }, self.is_woken);
        let lease_ms = self.claim.lease_ms.unwrap_or(settings.lease_ms);
        let lease = (lease_ms, &self.lease);
        let store = &self.engine.store;
        let answer = store.claim(partition, &self.actor, who, most, lease, &sessions).await;
        let kept = match &answer {
            Ok(Some(taken)) if taken.is_again => {
                taken.tasks.iter().map(|one| one.task.id).collect()
            }
            Err(error) if error.may_have_run() => Vec::new(),
            _ => return answer,
        };
        let seal = self.lease.seal(&self.actor);
        let until = Instant::now() + Duration::from_millis(lease_ms);
        let returns = &self.engine.returns;
        returns.look_for(LostClaim { partition, agent: agent.clone(), seal, kept, until });
        answer
    }
}
