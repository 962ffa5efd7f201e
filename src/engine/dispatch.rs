//! Giving tasks to agents that ask.

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::ids::TaskId;
use crate::domain::lease::{Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::principal::{Principal, Role};
use crate::domain::task::{Attempt, Claimed, Millis, Outcome};
use crate::store::{self, Row, Sessions, Store};

use super::{Claim, Engine, Error};

impl Engine {
    /// Leases the best tasks of the agent's subject, and waits for the first if there is none.
    ///
    /// Empty: nothing came in time, the agent is paused, or the process stops.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAgent`] or [`Error::TooManyAgents`] if the agent is not admitted.
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
            let claimed = self.claim_now(&actor, &claim, most_agents).await?;
            if !claimed.is_empty() {
                if claimed.len() == claim.max as usize {
                    // There may be more: the next one who waits shall look.
                    bell.notify_one();
                }
                return Ok(claimed);
            }
            if Instant::now() >= deadline || self.stop.is_cancelled() {
                return Ok(claimed);
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
        let (store, tracker) = (self.store.clone(), self.tracker.clone());
        let (actor, leases) = (caller.to_string(), leases(claimed));
        move || {
            // Without a runtime the process has ended, and the leases end by themselves.
            if Handle::try_current().is_ok() {
                tracker.spawn(async move { give_back(&store, &actor, leases).await });
            }
        }
    }

    /// One look at every partition, apart from the caller: if the caller is gone by the time the store answers,
    /// what was claimed for it goes back at once.
    async fn claim_now(
        &self,
        actor: &str,
        claim: &Claim,
        most_agents: Option<u32>,
    ) -> Result<Vec<Claimed>, Error> {
        let (answer, answered) = oneshot::channel();
        let (store, actor, claim) = (self.store.clone(), actor.to_owned(), claim.clone());
        let agent = claim.agent.clone();
        let settings = &self.settings.agents;
        let lease_ms = claim.lease_ms.unwrap_or(settings.lease_ms);
        let (live_ms, most) = (settings.session_ms, settings.max_sessions);
        let sessions = Sessions { live_ms, most, most_agents };
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| Error::Unavailable(Box::new(error)))?;
        let lease = Lease::new(bits);
        self.tracker.spawn(async move {
            let claimed = look(&store, &actor, &claim, (lease_ms, &lease), &sessions).await;
            if let Err(Ok(Some(unwanted))) = answer.send(claimed) {
                give_back(&store, &actor, leases(&unwanted)).await;
            }
        });
        let gone = || Error::Unavailable("the claim was given up".into());
        let claimed = answered.await.map_err(|_| gone())??;
        claimed.ok_or(Error::TooManyAgents { agent, most: most_agents.unwrap_or_default() })
    }
}

/// None: there is no place for the agent.
async fn look(
    store: &Store,
    actor: &str,
    claim: &Claim,
    lease: (Millis, &Lease),
    sessions: &Sessions,
) -> Result<Option<Vec<Claimed>>, store::Error> {
    let mut claimed = Vec::new();
    let Claim { agent, worker, max, .. } = claim;
    for partition in store.partitions() {
        let more = max - claimed.len() as u32;
        if more == 0 {
            break;
        }
        match store.claim(partition, actor, (agent, worker), more, lease, sessions).await {
            Ok(Some(tasks)) => claimed.extend(tasks),
            Ok(None) if claimed.is_empty() => return Ok(None),
            // What one partition gave is not lost because another one does not answer.
            Err(error) if claimed.is_empty() => return Err(error),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(Some(claimed))
}

/// What holds a claimed task.
type Leased = (TaskId, Attempt, Lease);

fn leases(claimed: &[Claimed]) -> Vec<Leased> {
    let lease = |one: &Claimed| (one.task.id, one.task.attempt, one.lease.clone());
    claimed.iter().map(lease).collect()
}

/// Gives tasks back whose agent never heard of them. That does not count as a lost lease.
async fn give_back(store: &Store, actor: &str, leases: Vec<Leased>) {
    if leases.is_empty() {
        return;
    }
    tracing::info!(caller = actor, tasks = leases.len(), "claim not delivered, tasks given back");
    for (id, attempt, lease) in leases {
        let row = Row { id, proof: Proof::Lease(attempt, &lease), outcome: &Outcome::Released };
        let how = ("", Role::Agent);
        if let Err(error) = store.report(id.partition(), actor, Verb::Release, &[row], how).await {
            // Its lease ends by itself.
            tracing::warn!(%error, task.id = %id, "undelivered task could not be given back");
        }
    }
}
