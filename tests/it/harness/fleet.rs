//! A fleet in this process: one Redis, one store, one engine, and short words for what tests do with them.

use std::time::Duration;

use orchestrator::domain::approval::{Approval, Decision};
use orchestrator::domain::ids::{ApprovalId, TaskId};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::principal::Principal;
use orchestrator::domain::submission::NewTask;
use orchestrator::domain::task::Task;
use orchestrator::engine::{Engine, Error, Settings, Submitted};
use orchestrator::store::{self, Store};
use orchestrator::workers::{Supervisor, Worker};
use tokio_util::sync::CancellationToken;

use super::{Builder, LossyProxy, People, Redis, encryption, new_task};

/// Everything that one test needs. Ends with [`Fleet::finish`].
pub struct Fleet {
    pub engine: Engine,
    pub store: Store,
    pub redis: Redis,
    /// Between the store and its Redis, if the fleet was built lossy.
    pub proxy: Option<LossyProxy>,
    pub people: People,
    pub(super) stop: CancellationToken,
    pub(super) store_settings: store::Settings,
    pub(super) is_finished: bool,
}

impl Fleet {
    /// A fleet with the default settings.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// A fleet that is a little different.
    pub fn build() -> Builder {
        Builder::new()
    }

    /// Ends the test: the doctor must find nothing.
    pub async fn finish(self) {
        let findings = self.engine.doctor().await.unwrap();
        assert!(findings.is_empty(), "{}", orchestrator::cli::doctor::text(&findings));
        self.discard();
    }

    /// Ends a test that has broken the store on purpose.
    pub fn discard(mut self) {
        self.stop.cancel();
        self.is_finished = true;
    }

    /// A second engine over the same Redis, with connections of its own, as another process would have.
    ///
    /// It has its own clock: not for tests that [`Fleet::advance`].
    pub async fn another_engine(&self) -> Engine {
        self.engine_of(|_| {}).await
    }

    /// One of another deployment, in another number of partitions.
    pub async fn neighbour(&self, partitions: u16) -> Engine {
        self.engine_of(|store| {
            store.prefix = "neighbour".parse().unwrap();
            store.partitions = partitions;
        })
        .await
    }

    /// A second engine over the same Redis that encrypts with the key `current` and can read those of `ids`.
    pub async fn engine_with_keys(&self, current: &str, ids: &[&str]) -> Engine {
        self.engine_of(|store| store.encryption = encryption(current, ids)).await
    }

    async fn engine_of(&self, change: impl FnOnce(&mut store::Settings)) -> Engine {
        let store = self.open_store(change).await.unwrap();
        Engine::new(store, self.engine.settings().clone(), self.stop.clone())
    }

    /// From now on so many replicas must have a write within `ms`.
    pub async fn wait_for_replicas(&mut self, count: u16, ms: u64) {
        (self.store_settings.wait_replicas, self.store_settings.wait_timeout_ms) = (count, ms);
        self.engine = self.another_engine().await;
    }

    /// A second engine over the same store and clock, which is told something else.
    pub fn engine_with(&self, settings: Settings) -> Engine {
        Engine::new(self.store.clone(), settings, self.stop.clone())
    }

    /// Opens the store as another process would that is told something else.
    pub async fn open_store(
        &self,
        change: impl FnOnce(&mut store::Settings),
    ) -> Result<Store, store::Error> {
        let mut settings = self.store_settings.clone();
        change(&mut settings);
        Store::open(settings).await
    }

    /// Moves the clock.
    pub fn advance(&self, by: Duration) {
        self.store.advance(by);
    }

    /// Runs one duty under a supervisor.
    pub fn supervise<W: Worker>(&self, worker: W) -> Supervisor {
        let supervisor = Supervisor::new(self.stop.child_token());
        supervisor.start(worker);
        supervisor
    }

    /// Alice submits a plain task.
    pub async fn submit(&self, kind: &str) -> Task {
        self.submit_with(kind, |_| {}).await
    }

    /// Alice submits a task that is a little different.
    pub async fn submit_with(&self, kind: &str, change: impl FnOnce(&mut NewTask)) -> Task {
        let mut new = new_task(kind);
        change(&mut new);
        self.try_submit(new).await.unwrap().task
    }

    /// Alice submits this, or is refused.
    pub async fn try_submit(&self, new: NewTask) -> Result<Submitted, Error> {
        let answers = self.engine.submit(&self.people.alice, vec![new]).await?;
        answers.into_iter().next().unwrap()
    }

    /// Alice submits `count` plain tasks in one call.
    pub async fn submit_many(&self, kind: &str, count: usize) -> Vec<TaskId> {
        let answers =
            self.engine.submit(&self.people.alice, vec![new_task(kind); count]).await.unwrap();
        answers.into_iter().map(|answer| answer.unwrap().task.id).collect()
    }

    /// Makes steps of bulks until none has one to make.
    pub async fn run_bulks(&self) -> Result<(), Error> {
        while self.engine.run_bulks().await?.is_more {}
        Ok(())
    }

    /// The task as it is now.
    pub async fn task(&self, id: TaskId) -> Task {
        self.engine.task(id).await.unwrap()
    }

    pub async fn state_of(&self, id: TaskId) -> State {
        self.task(id).await.state
    }

    /// The approval that gates the task.
    pub async fn approval_of(&self, id: TaskId) -> Approval {
        let approval = self.task(id).await.approval.unwrap();
        self.engine.approval(approval).await.unwrap().0
    }

    /// Bob says yes to what there is.
    pub async fn approve(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        self.decide(&self.people.bob, id, Decision::approve(None)).await
    }

    /// Bob says no.
    pub async fn reject(&self, id: ApprovalId) -> Result<(Approval, Task), Error> {
        self.decide(&self.people.bob, id, Decision::reject(Some("no".to_owned()))).await
    }

    /// The caller reads the approval, and decides on exactly what it asks for.
    pub async fn decide(
        &self,
        who: &Principal,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(Approval, Task), Error> {
        let digest = self.engine.approval(id).await?.0.digest;
        self.engine.decide(who, id, Decision { digest: Some(digest), ..decision }).await
    }

    /// Alice calls the task off.
    pub async fn cancel(&self, id: TaskId) -> Result<Task, Error> {
        self.engine.cancel(&self.people.alice, id, None).await
    }

    /// Alice wants the task done after all.
    pub async fn requeue(&self, id: TaskId) -> Result<Task, Error> {
        self.engine.requeue(&self.people.alice, id).await
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
        if !self.is_finished && !std::thread::panicking() {
            panic!("the test did not end with fleet.finish(), so the doctor saw nothing of it");
        }
    }
}
