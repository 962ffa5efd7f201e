//! Claimed tasks that did not reach their agents go back, which counts as no lost lease.
//!
//! Either the answer is there and its caller is gone: then it is known which tasks go back. Or the store's answer did
//! not come: then only the claim's lease is known, and the store looks for what it leased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::lease::{Lease, Proof};
use crate::domain::lifecycle::Verb;
use crate::domain::name::Name;
use crate::domain::principal::Role;
use crate::domain::task::{Attempt, Claimed, Millis, Outcome};
use crate::runtime::backoff::Backoff;
use crate::store::{self, Row, Store};

/// How many claims without an answer are remembered; what more of them leased ends with its leases.
const MOST: usize = 4_096;

/// How many claims the store looks for at once.
const AT_ONCE: usize = 200;

/// The first wait after the store did not answer, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A claim in one partition whose answer did not come.
#[derive(Debug)]
pub(super) struct LostClaim {
    /// Where.
    pub partition: Partition,
    /// For which agent.
    pub agent: Name,
    /// Its lease as the store keeps it.
    pub seal: String,
    /// Tasks of the lease that an answer named after all.
    pub kept: Vec<TaskId>,
    /// When its leases have ended by themselves.
    pub until: Instant,
}

/// Gives back. Cheap to clone.
#[derive(Clone)]
pub(super) struct Returns {
    lost: Sender<LostClaim>,
    /// How many claims had no place.
    forgotten: Arc<AtomicU64>,
}

impl Returns {
    /// Works until every clone is gone, or until `stop` where the store does not answer.
    pub(super) fn start(store: &Store, tracker: &TaskTracker, stop: &CancellationToken) -> Self {
        let (lost, found) = mpsc::channel(MOST);
        let forgotten = Arc::<AtomicU64>::default();
        let store = store.clone();
        let search =
            Search { store, found, waiting: Vec::new(), forgotten: Arc::clone(&forgotten) };
        tracker.spawn(search.run(stop.clone()));
        Self { lost, forgotten }
    }

    /// Has the store look for what the claim leased.
    pub(super) fn look_for(&self, claim: LostClaim) {
        if self.lost.try_send(claim).is_err() {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives tasks back whose agent never heard of them.
    pub(super) async fn give_back(&self, store: &Store, undelivered: Undelivered) {
        let Undelivered { actor, leases } = undelivered;
        if leases.is_empty() {
            return;
        }
        tracing::info!(
            caller = actor,
            tasks = leases.len(),
            "claim not delivered, tasks given back"
        );
        let mut partitions = BTreeMap::<Partition, Vec<&Leased>>::new();
        for leased in &leases {
            partitions.entry(leased.id.partition()).or_default().push(leased);
        }
        for (partition, leases) in partitions {
            if let Err(error) = release(store, partition, &actor, &leases).await {
                tracing::warn!(%error, "undelivered tasks could not be given back yet");
                self.look_for_each(partition, &actor, &leases);
            }
        }
    }

    fn look_for_each(&self, partition: Partition, actor: &str, leases: &[&Leased]) {
        let mut claims = BTreeMap::new();
        for leased in leases {
            claims.entry(leased.lease.seal(actor)).or_insert(leased);
        }
        for (seal, leased) in claims {
            let agent = leased.agent.clone();
            let until = Instant::now() + leased.lasts;
            self.look_for(LostClaim { partition, agent, seal, kept: Vec::new(), until });
        }
    }
}

/// What holds a claimed task.
#[derive(Clone, Debug)]
struct Leased {
    id: TaskId,
    attempt: Attempt,
    lease: Lease,
    agent: Name,
    lasts: Duration,
}

/// Claimed tasks that do not reach their agent.
#[derive(Clone, Debug)]
pub(super) struct Undelivered {
    actor: String,
    leases: Vec<Leased>,
}

impl Undelivered {
    /// What `actor` claimed.
    pub(super) fn new(actor: &str, claimed: &[Claimed]) -> Self {
        let leases = claimed.iter().map(|one| Leased {
            id: one.task.id,
            attempt: one.task.attempt,
            lease: one.lease.clone(),
            agent: one.task.agent.clone(),
            lasts: lasts(one.lease_until.saturating_sub(one.task.observed_at)),
        });
        Self { actor: actor.to_owned(), leases: leases.collect() }
    }
}

/// How long it makes sense to look for a lease of so many ms.
pub(super) fn lasts(lease_ms: Millis) -> Duration {
    Duration::from_millis(lease_ms)
}

async fn release(
    store: &Store,
    partition: Partition,
    actor: &str,
    leases: &[&Leased],
) -> Result<(), store::Error> {
    let rows = leases.iter().map(|leased| Row {
        id: leased.id,
        proof: Proof::Lease(leased.attempt, &leased.lease),
        outcome: &Outcome::Released,
    });
    let rows: Vec<_> = rows.collect();
    store.report(partition, actor, Verb::Release, &rows, ("", Role::Agent)).await.map(drop)
}

/// Has the store look for claims as they are lost.
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

    /// Looks for every claim that waits, those of one agent together.
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
                        tracing::warn!(%agent, tasks, "claim not answered in time, tasks given back");
                    }
                    Err(error) => {
                        tracing::debug!(%error, "claims not answered in time, looked for later");
                        self.waiting.extend(some);
                    }
                }
            }
        }
    }

    /// Gives up those whose leases have ended.
    fn forget(&mut self) {
        let now = Instant::now();
        let before = self.waiting.len();
        self.waiting.retain(|claim| claim.until > now);
        let late = (before - self.waiting.len()) as u64;
        let claims = late + self.forgotten.swap(0, Ordering::Relaxed);
        if claims > 0 {
            tracing::warn!(claims, "claims without an answer given up, their leases end");
        }
    }
}
