//! The processes of the story, and those who call them.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;

use super::world::World;
use super::{agents, callers};
use crate::harness::{
    GRANTS, LossyProxy, Nats, Process, Program, Redis, engine_over, eventually, key, within,
};

pub const GATEWAYS: usize = 2;
pub const WORKERS: usize = 2;
/// Sessions of agents; three agents have two each.
pub const AGENTS: usize = 6;
const SUBMITTERS: usize = 4;

/// Whom the processes are to Redis: a user who may do no more than the product needs, as an operator is told to make it.
const NAME: &str = "fleet";
const PASSWORD: &str = "of-the-fleet";
const USER: [&str; 4] = ["--user", NAME, "on", ">of-the-fleet"];

/// Parts of the keys that stay when there is no task any more; the last expire by themselves.
const STAYS: [&str; 14] = [
    ":layout",
    ":open",
    ":roster",
    ":sessions:",
    ":events",
    ":logged",
    ":marks",
    ":audit",
    ":credentials",
    ":doctor",
    ":bridge",
    ":idempotency:",
    ":sla:",
    ":void:",
];

/// Ends with [`Fleet::finish`].
pub struct Fleet {
    pub redis: Redis,
    /// Between Redis and the first gateway and worker.
    pub wire: LossyProxy,
    pub nats: Nats,
    pub gateways: Vec<Process>,
    pub workers: Vec<Process>,
    /// Answers what comes over NATS.
    pub bridge: Process,
    pub world: Arc<World>,
    over_redis: Program,
    over_wire: Program,
    pub agents: Vec<Process>,
    home: TempDir,
    submitters: JoinSet<()>,
    others: JoinSet<()>,
    /// For each gateway, who waits for it to listen, to tell the callers.
    directory: Vec<JoinSet<()>>,
}

impl Fleet {
    /// Starts the processes. `settings`: what the processes are told besides.
    pub async fn start(redis_arguments: &[&str], settings: &[(&str, &str)], seed: u64) -> Self {
        let grants: Vec<&str> = GRANTS.split(' ').collect();
        let redis = Redis::told(true, &[&USER, &grants[..], redis_arguments].concat()).await;
        let wire = LossyProxy::start(redis.url());
        let nats = Nats::plain().await;
        let home = tempfile::tempdir().unwrap();
        let remembers = !settings.iter().any(|(name, _)| name.contains("IDEMPOTENCY"));
        let told = |url: &str| {
            let program = Program::over(&format!("{url}?user={NAME}&pass={PASSWORD}")).quiet();
            program.with("NATS_URL", &nats.url()).with_all(settings)
        };
        let (over_redis, over_wire) = (told(redis.url()), told(wire.url()));
        let mut fleet = Self {
            redis,
            wire,
            gateways: Vec::new(),
            workers: Vec::new(),
            bridge: over_redis.start(&["bridge"]),
            nats,
            world: Arc::new(World::new(seed, remembers, home.path().join("gateways"))),
            over_redis,
            over_wire,
            agents: Vec::new(),
            home,
            submitters: JoinSet::new(),
            others: JoinSet::new(),
            directory: Vec::new(),
        };
        for nth in 0..GATEWAYS {
            fleet.start_gateway(nth);
        }
        for nth in 0..WORKERS {
            fleet.start_worker(nth);
        }
        fleet
    }

    /// All agents, approvers and submitters begin to call. `batches`: how many are submitted
    /// a second, at most.
    pub fn load(&mut self, batches: f64) {
        for nth in 0..AGENTS {
            self.start_agent(nth);
        }
        for judge in ["judge", "second_judge"] {
            self.others.spawn(callers::decide(Arc::clone(&self.world), judge));
        }
        for nth in 0..SUBMITTERS {
            let pace = SUBMITTERS as f64 / batches;
            self.submitters.spawn(callers::submit(
                Arc::clone(&self.world),
                nth,
                Duration::from_secs_f64(pace),
            ));
        }
    }

    /// A subscriber reads every event from now on.
    pub fn watch(&mut self) {
        self.others.spawn(callers::watch(Arc::clone(&self.world)));
    }

    fn program(&self, nth: usize) -> &Program {
        if nth == 0 { &self.over_wire } else { &self.over_redis }
    }

    /// Starts a gateway in the place of this one; callers hear of it when it listens.
    pub fn start_gateway(&mut self, nth: usize) {
        let gateway = self.program(nth).start(&["gateway"]);
        let (world, listening) = (Arc::clone(&self.world), gateway.listening());
        let mut directory = JoinSet::new();
        directory.spawn(async move { world.move_gateway(nth, listening.await) });
        replace(&mut self.directory, nth, directory);
        replace(&mut self.gateways, nth, gateway);
    }

    pub fn start_bridge(&mut self) {
        self.bridge = self.over_redis.start(&["bridge"]);
    }

    pub fn start_worker(&mut self, nth: usize) {
        let worker = self.program(nth).start(&["worker"]);
        replace(&mut self.workers, nth, worker);
    }

    /// Starts a session of an agent in the place of this one, which has ended.
    pub fn start_agent(&mut self, nth: usize) {
        let agent = agents::start(nth, &self.home.path().join("gateways"), &self.nats.url());
        replace(&mut self.agents, nth, agent);
    }

    /// Ends a session of an agent at once, with all that it held; what it was told is remembered.
    pub async fn kill_agent(&mut self, nth: usize) {
        let agent = &mut self.agents[nth];
        agent.kill().await;
        agents::hear(&self.world, &agent.printed());
    }

    /// No more submissions: waits until every task is at its end.
    pub async fn drain(&mut self) {
        self.world.is_over.cancel();
        while let Some(ended) = self.submitters.join_next().await {
            ended.unwrap();
        }
        let mut open = u64::MAX;
        while open > 0 {
            // As long as there is progress it may take its time.
            open = eventually("less is open", async || {
                let now = self.world.open().await;
                if now < open { Ok(now) } else { Err(now) }
            })
            .await;
        }
        self.world.is_drained.cancel();
        for nth in 0..self.agents.len() {
            self.kill_agent(nth).await;
        }
    }

    /// Who reads everything stops once it has seen the event of this id.
    pub async fn has_seen(&mut self, last: &str) {
        eventually("the subscriber has seen every event", async || {
            let told = self.world.told.lock().unwrap();
            // From the end: it is there in no time, or not.
            if told.seen.iter().rev().any(|seen| seen == last) {
                Ok(())
            } else {
                Err(told.seen.len())
            }
        })
        .await;
    }

    /// Forgets every task and event; of all keys only those are left that are there for good, or expire.
    pub async fn forget(&mut self, settings: &[(&str, &str)]) {
        let worker = self.over_redis.clone().with_all(settings).start(&["worker"]);
        worker.says("the worker runs").await;
        eventually("everything is forgotten", async || {
            let keys: Vec<String> = self.redis.ask(&["KEYS", "*"]).await;
            let left: Vec<_> = keys
                .into_iter()
                .filter(|key| !STAYS.iter().any(|stays| key.contains(stays)))
                .collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
        // Whole nodes of the log go at once; of the last one some entries stay.
        let entries: usize = self.redis.ask(&["XLEN", &key("events")]).await;
        let open: Vec<String> = self.redis.ask(&["HVALS", &key("open")]).await;
        assert!(
            entries < 300 && open.iter().all(|count| count == "0"),
            "{entries} entries of the log, open: {open:?}"
        );
        worker.stop().await;
    }

    /// The doctor finds nothing.
    pub async fn is_sound(&self) {
        let engine = engine_over(self.redis.url()).await;
        let findings = within("the doctor's round", engine.doctor()).await.unwrap();
        assert!(findings.is_empty(), "the doctor finds: {findings:#?}");
    }

    /// Stops every process, each in order.
    pub async fn finish(self) {
        drop(self.others);
        for process in self.gateways.into_iter().chain(self.workers).chain([self.bridge]) {
            process.stop().await;
        }
    }
}

fn replace<T>(all: &mut Vec<T>, nth: usize, one: T) {
    if nth < all.len() {
        all[nth] = one;
    } else {
        all.push(one);
    }
}
