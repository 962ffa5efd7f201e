//! Giving tasks to agents that ask.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::lease::{Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::principal::Principal;
use crate::domain::task::{Claimed, Millis, Outcome};
use crate::store::{self, Row, Store};

use super::{Claim, Engine, Error, slow_poll};

impl Engine {
    /// Leases the best tasks of the agent's subject, and waits for the first if there is none.
    ///
    /// Empty: nothing came in time, the agent is paused, or the process stops.
    pub async fn claim(&self, caller: &Principal, claim: Claim) -> Result<Vec<Claimed>, Error> {
        let actor = caller.to_string();
        let deadline = Instant::now() + claim.wait;
        let bell = self.store.bells().bell(&format!("agent:{}", claim.agent));
        loop {
            // Listen before looking: a task that comes while we look must not be missed.
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let claimed = self.claim_now(&actor, &claim).await?;
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
                () = tokio::time::sleep_until(deadline.min(Instant::now() + slow_poll())) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// One look at every partition, apart from the caller: if the caller is gone by the time the store answers,
    /// what was claimed for it goes back at once.
    async fn claim_now(&self, actor: &str, claim: &Claim) -> Result<Vec<Claimed>, Error> {
        let (answer, answered) = oneshot::channel();
        let (store, actor, claim) = (self.store.clone(), actor.to_owned(), claim.clone());
        let lease_ms = claim.lease_ms.unwrap_or(self.settings.agents.lease_ms);
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| Error::Unavailable(Box::new(error)))?;
        let lease = Lease::new(bits);
        self.tracker.spawn(async move {
            let claimed = look(&store, &actor, &claim, (lease_ms, &lease)).await;
            if let Err(Ok(unwanted)) = answer.send(claimed) {
                give_back(&store, &actor, unwanted).await;
            }
        });
        let gone = || Error::Unavailable("the claim was given up".into());
        Ok(answered.await.map_err(|_| gone())??)
    }
}

async fn look(
    store: &Store,
    actor: &str,
    claim: &Claim,
    lease: (Millis, &Lease),
) -> Result<Vec<Claimed>, store::Error> {
    let mut claimed = Vec::new();
    for partition in store.partitions() {
        let wanted = claim.max - claimed.len() as u32;
        if wanted == 0 {
            break;
        }
        match store.claim(partition, actor, &claim.agent, &claim.worker, wanted, lease).await {
            Ok(more) => claimed.extend(more),
            // What one partition gave is not lost because another one does not answer.
            Err(error) if claimed.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(claimed)
}

async fn give_back(store: &Store, actor: &str, claimed: Vec<Claimed>) {
    for Claimed { task, lease, .. } in claimed {
        let proof = Proof::Lease(task.attempt, &lease);
        let row = Row { id: task.id, proof, outcome: &Outcome::Released };
        let partition = task.id.partition();
        if let Err(error) = store.report(partition, actor, Verb::Release, &[row], "").await {
            // Its lease ends by itself.
            tracing::warn!(%error, task.id = %task.id, "a claimed task whose agent hung up could not be given back");
        }
    }
}
