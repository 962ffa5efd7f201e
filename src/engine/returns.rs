//! Returns claimed tasks that did not reach their agents. They do not count as lost leases.
//!
//! Either the answer of the store arrived but its caller is gone: then the tasks to return are
//! known. Or the answer of the store did not arrive: then only the claim's lease is known, and the
//! store looks for what it leased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::ids::{Partition, TaskId, by_partition};
use crate::domain::lease::{Attempt, Lease, Proof};
use crate::domain::name::Name;
use crate::domain::principal::Role;
use crate::domain::report::Outcome;
use crate::domain::task::Claimed;
use crate::runtime::backoff::Backoff;
use crate::store::{Row, Store};

/// How many claims without an answer are remembered. The leases of further ones end on their own.
const MOST: usize = 4_096;

/// How many claims one call to the store looks for.
const AT_ONCE: usize = 200;

/// The first and the longest wait after the store did not answer.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A claim in one partition whose answer did not arrive.
#[derive(Debug)]
pub(super) struct LostClaim {
    pub partition: Partition,
    pub agent: Name,
    /// The lease as the store keeps it.
    pub seal: String,
    /// Tasks of the lease that arrived after all, with another answer.
    pub kept: Vec<TaskId>,
    /// When the leases have ended on their own.
    pub until: Instant,
}

/// Returns undelivered tasks to their subjects. A clone is cheap and shares everything.
#[derive(Clone)]
pub(super) struct Returns {
    store: Store,
    lost: Sender<LostClaim>,
    /// How many claims were dropped because too many were waiting.
    forgotten: Arc<AtomicU64>,
}

impl Returns {
    /// Starts the search for lost claims. It ends when every clone is gone, or with `stop` if the
    /// store does not answer.
    pub(super) fn start(store: &Store, tracker: &TaskTracker, stop: &CancellationToken) -> Self {
        let (lost, found) = mpsc::channel(MOST);
        let forgotten = Arc::<AtomicU64>::default();
        let returns = Self { store: store.clone(), lost, forgotten: Arc::clone(&forgotten) };
        let search = Search { store: store.clone(), found, waiting: Vec::new(), forgotten };
        tracker.spawn(search.run(stop.clone()));
        returns
    }

    /// Makes the store look for the tasks that the claim leased.
    pub(super) fn look_for(&self, claim: LostClaim) {
        if self.lost.try_send(claim).is_err() {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns tasks of which their agent does not know.
    pub(super) async fn give_back(&self, undelivered: Undelivered) {
        let Undelivered { actor, leases } = undelivered;
        if leases.is_empty() {
            return;
        }
        tracing::info!(caller = actor, tasks = leases.len(), "claim not delivered, tasks returned");
        for (partition, leases) in by_partition(&leases, |leased| leased.id.partition()) {
            let rows = leases.iter().map(|leased| Row {
                id: leased.id,
                proof: Proof::Lease(leased.attempt, &leased.lease),
                outcome: &Outcome::Released,
            });
            let rows: Vec<_> = rows.collect();
            let released = self.store.report(partition, &actor, &rows, ("", Role::Agent)).await;
            let Err(error) = released else { continue };
            tracing::warn!(%error, "undelivered tasks not returned yet, retrying");
            let claims: BTreeMap<_, _> =
                leases.iter().rev().map(|leased| (leased.lease.seal(&actor), leased)).collect();
            for (seal, leased) in claims {
                let agent = leased.agent.clone();
                let until = Instant::now() + leased.lasts;
                self.look_for(LostClaim { partition, agent, seal, kept: Vec::new(), until });
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Leased {
    id: TaskId,
    attempt: Attempt,
    lease: Lease,
    agent: Name,
    /// How long a search for the lease makes sense.
    lasts: Duration,
}

/// Claimed tasks that did not reach their agent.
#[derive(Clone, Debug)]
pub(super) struct Undelivered {
    actor: String,
    leases: Vec<Leased>,
}

impl Undelivered {
    pub(super) fn new(actor: &str, claimed: &[Claimed]) -> Self {
        let leases = claimed.iter().map(|one| Leased {
            id: one.task.id,
            attempt: one.task.attempt,
            lease: one.lease.clone(),
            agent: one.task.agent.clone(),
            lasts: Duration::from_millis(one.lease_until.saturating_sub(one.task.observed_at)),
        });
        Self { actor: actor.to_owned(), leases: leases.collect() }
    }
}

/// The search for the tasks of lost claims.
struct Search {
    store: Store,
    found: Receiver<LostClaim>,
    waiting: Vec<LostClaim>,
    forgotten: Arc<AtomicU64>,
}

impl Search {
    async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let room = MOST - self.waiting.len();
            if self.waiting.is_empty() {
                backoff.reset();
                if self.found.recv_many(&mut self.waiting, room).await == 0 {
                    return;
                }
            } else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(backoff.next_wait()) => {}
                }
                while self.waiting.len() < MOST
                    && let Ok(claim) = self.found.try_recv()
                {
                    self.waiting.push(claim);
                }
            }
            self.look().await;
            self.forget();
        }
    }

    /// Looks for all waiting claims, those of one agent in one call.
    async fn look(&mut self) {
        let mut agents = BTreeMap::<(Partition, Name), Vec<LostClaim>>::new();
        for claim in self.waiting.drain(..) {
            agents.entry((claim.partition, claim.agent.clone())).or_default().push(claim);
        }
        for ((partition, agent), mut claims) in agents {
            while !claims.is_empty() {
                let some: Vec<_> = claims.drain(..claims.len().min(AT_ONCE)).collect();
                let seals: Vec<_> = some.iter().map(|claim| claim.seal.as_str()).collect();
                let kept: Vec<_> = some.iter().flat_map(|claim| claim.kept.clone()).collect();
                match self.store.give_back(partition, &agent, &seals, &kept).await {
                    Ok(0) => {}
                    Ok(tasks) => {
                        tracing::warn!(%agent, tasks, "claim not answered in time, tasks returned");
                    }
                    Err(error) => {
                        tracing::debug!(%error, "search for unanswered claims failed, retrying");
                        self.waiting.extend(some);
                    }
                }
            }
        }
    }

    /// Drops claims whose leases have ended.
    fn forget(&mut self) {
        let now = Instant::now();
        let before = self.waiting.len();
        self.waiting.retain(|claim| claim.until > now);
        let late = (before - self.waiting.len()) as u64;
        let claims = late + self.forgotten.swap(0, Ordering::Relaxed);
        if claims > 0 {
            tracing::warn!(claims, "search for unanswered claims given up, their leases end");
        }
    }
}
