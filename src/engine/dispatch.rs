//! Giving tasks to agents that ask.

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lease::Lease;
use crate::domain::principal::Principal;
use crate::domain::task::{Claimed, Millis};
use crate::store::{self, Room, Sessions, Store, Taken};

use super::returns::{LostClaim, Returns, Undelivered, lasts};
use super::{Claim, Engine, Error};

/// How many bytes several tasks may have in one answer: to read more would hold Redis, and other clients, for tens of
/// milliseconds. One task alone may be larger.
const SEVERAL_BYTES: usize = 1 << 20;

impl Engine {
    /// Leases the best tasks of the agent's subject, as many as the answer has room for, and waits for the first if
    /// there is none.
    ///
    /// Empty: nothing came in time, the agent is paused, or the process stops.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAgent`] or [`Error::TooManyAgents`] if the agent is not admitted; [`Error::TaskTooLarge`] if
    /// nothing came in time but tasks that no answer to this claim has room for. They wait for other claims.
    pub async fn claim(&self, caller: &Principal, claim: Claim) -> Result<Vec<Claimed>, Error> {
        let actor = caller.to_string();
        let most_agents = self.admit(&claim.agent).await?;
        let deadline = Instant::now() + claim.wait;
        let bell = self.store.bells().bell(&format!("agent:{}", claim.agent));
        loop {
            // Listen before looking: a task that comes while we look must not be missed.
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let found = self.claim_now(&actor, &claim, most_agents).await?;
            if !found.tasks.is_empty() {
                if found.is_full || found.tasks.len() == claim.max as usize {
                    // There may be more: the next one who waits shall look.
                    bell.notify_one();
                }
                return Ok(found.tasks);
            }
            if Instant::now() >= deadline || self.stop.is_cancelled() {
                let room = self.room_of(&claim);
                return match found.too_large {
                    Some((task, bytes)) => Err(Error::TaskTooLarge { task, bytes, room }),
                    None => Ok(Vec::new()),
                };
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep_until(deadline.min(self.slow_poll())) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// What gives `claimed` back if the answer does not reach `caller`. It may be called anywhere.
    pub fn undo_claim(
        &self,
        caller: &Principal,
        claimed: &[Claimed],
    ) -> impl FnOnce() + Send + use<> {
        let (store, returns) = (self.store.clone(), self.returns.clone());
        let (tracker, undelivered) =
            (self.tracker.clone(), Undelivered::new(&caller.to_string(), claimed));
        move || {
            // Without a runtime the process has ended, and the leases end by themselves.
            if Handle::try_current().is_ok() {
                tracker.spawn(async move { returns.give_back(&store, undelivered).await });
            }
        }
    }

    /// How many bytes the tasks of the answer may have.
    fn room_of(&self, claim: &Claim) -> usize {
        claim.room.unwrap_or(usize::MAX).min(self.settings.agents.max_claim_bytes)
    }

    /// One look at every partition, apart from the caller: if the caller is gone by the time the store answers,
    /// what was claimed for it goes back at once.
    async fn claim_now(
        &self,
        actor: &str,
        claim: &Claim,
        most_agents: Option<u32>,
    ) -> Result<Found, Error> {
        let (answer, answered) = oneshot::channel();
        let agent = claim.agent.clone();
        let settings = &self.settings.agents;
        let (live_ms, most) = (settings.session_ms, settings.max_sessions);
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| Error::Unavailable(Box::new(error)))?;
        let look = Look {
            store: self.store.clone(),
            returns: self.returns.clone(),
            actor: actor.to_owned(),
            claim: claim.clone(),
            room: self.room_of(claim),
            lease: Lease::new(bits),
            lease_ms: claim.lease_ms.unwrap_or(settings.lease_ms),
            sessions: Sessions { live_ms, most, most_agents },
        };
        self.tracker.spawn(async move {
            let found = look.look().await;
            if let Err(Ok(Some(unwanted))) = answer.send(found) {
                let undelivered = Undelivered::new(&look.actor, &unwanted.tasks);
                look.returns.give_back(&look.store, undelivered).await;
            }
        });
        let gone = || Error::Unavailable("the claim was given up".into());
        let found = answered.await.map_err(|_| gone())??;
        found.ok_or(Error::TooManyAgents { agent, most: most_agents.unwrap_or_default() })
    }
}

/// What one look found.
#[derive(Default)]
struct Found {
    tasks: Vec<Claimed>,
    /// Whether more wait that had no room beside them.
    is_full: bool,
    /// A task that no answer to this claim has room for, and its bytes.
    too_large: Option<(TaskId, usize)>,
}

/// One look at every partition.
struct Look {
    store: Store,
    returns: Returns,
    actor: String,
    claim: Claim,
    room: usize,
    lease: Lease,
    lease_ms: Millis,
    sessions: Sessions,
}

impl Look {
    /// `None`: there is no place for the agent.
    async fn look(&self) -> Result<Option<Found>, store::Error> {
        let mut found = Found::default();
        let mut left = self.room.min(SEVERAL_BYTES);
        for partition in self.store.partitions() {
            let more = self.claim.max - found.tasks.len() as u32;
            if more == 0 || found.is_full {
                break;
            }
            let mut answer = self.look_at(partition, more, left).await;
            let is_first_large = |taken: &Taken| taken.is_full && taken.tasks.is_empty();
            if found.tasks.is_empty()
                && left < self.room
                && answer.as_ref().is_ok_and(|taken| taken.as_ref().is_some_and(is_first_large))
            {
                answer = self.look_at(partition, 1, self.room).await;
            }
            match answer {
                Ok(Some(taken)) => {
                    left = left.saturating_sub(taken.bytes);
                    found.is_full = taken.is_full;
                    found.too_large = found.too_large.or(taken.too_large);
                    found.tasks.extend(taken.tasks);
                }
                Ok(None) if found.tasks.is_empty() => return Ok(None),
                // What one partition gave is not lost because another one does not answer.
                Err(error) if found.tasks.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Some(found))
    }

    async fn look_at(
        &self,
        partition: Partition,
        most: u32,
        left: usize,
    ) -> Result<Option<Taken>, store::Error> {
        let Claim { agent, worker, .. } = &self.claim;
        let most = (most, Room { left, whole: self.room });
        let lease = (self.lease_ms, &self.lease);
        let claim =
            self.store.claim(partition, &self.actor, (agent, worker), most, lease, &self.sessions);
        let answer = claim.await;
        let kept = match &answer {
            Ok(Some(taken)) if taken.is_again => {
                taken.tasks.iter().map(|one| one.task.id).collect()
            }
            Err(error) if error.may_have_run() => Vec::new(),
            _ => return answer,
        };
        let seal = self.lease.seal(&self.actor);
        let until = Instant::now() + lasts(self.lease_ms);
        self.returns.look_for(LostClaim { partition, agent: agent.clone(), seal, kept, until });
        answer
    }
}
