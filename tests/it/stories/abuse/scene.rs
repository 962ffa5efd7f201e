//! The fleet that is attacked: a gateway with few descriptors, a worker, Redis and NATS, each a process of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::victim::life;
use crate::harness::{Client, Nats, Process, Program, Redis, connections, eventually, late};

/// How many descriptors the gateway may open.
const DESCRIPTORS: u32 = 256;

/// What may be left open of connections, and be as before all the same.
const FEW: usize = 12;

/// What the processes are told besides: sessions that end soon, and rules that announce what is late to many.
const SETTINGS: [(&str, &str); 2] =
    [("ORCHESTRATOR__AGENTS__LEASE_MS", "20000"), ("ORCHESTRATOR__AGENTS__SESSION_MS", "20000")];

/// How many rules announce a deadline that has passed.
const RULES: usize = 20;

pub struct Scene {
    pub redis: Redis,
    pub nats: Nats,
    gateway: Process,
    /// Answers what comes over NATS.
    bridge: Process,
    worker: Process,
    pub address: SocketAddr,
    client: reqwest::Client,
}

/// What an attack must not change for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    descriptors: usize,
    clients: usize,
}

impl Scene {
    pub async fn set() -> Self {
        let arguments =
            ["--slowlog-max-len", "1024", "--maxmemory", "1gb", "--maxmemory-policy", "noeviction"];
        let redis = Redis::told(false, &arguments).await;
        let nats = Nats::plain().await;
        let rules: Vec<_> = (0..RULES)
            .map(|nth| format!(r#"{{ on = "violation", action = "notify", to = "t{nth}" }}"#))
            .collect();
        let program = Program::over(redis.url())
            .with("NATS_URL", &nats.url())
            .with("ORCHESTRATOR__SLA__RULES", &format!("[{}]", rules.join(", ")));
        let program = program.quiet().with_all(&SETTINGS);
        let gateway = program.start_gateway_with(DESCRIPTORS);
        let bridge = program.start(&["bridge"]);
        let worker = program.start(&["worker"]);
        let url = gateway.url().await;
        worker.says("the worker runs").await;
        bridge.says("the bridge runs").await;
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let scene = Self { redis, nats, gateway, bridge, worker, address, client: connections() };
        eventually("the fleet works", async || life(&scene.client("crew")).await).await;
        scene
    }

    /// A client that behaves.
    pub fn client(&self, name: &'static str) -> Client {
        Client::to(format!("http://{}", self.address), name, self.client.clone())
    }

    /// The processes that take calls.
    pub fn callable(&self) -> [u32; 2] {
        [self.gateway.pid(), self.bridge.pid()]
    }

    /// From now on scripts that take longer are noted.
    pub async fn forget_slow_scripts(&self, bar: Duration) {
        let micros = bar.as_micros().to_string();
        self.redis.ask::<String>(&["CONFIG", "SET", "slowlog-log-slower-than", &micros]).await;
        self.redis.ask::<String>(&["SLOWLOG", "RESET"]).await;
    }

    /// The scripts that took longer: how often each, and for how long at most.
    pub async fn slow_scripts(&self) -> Vec<String> {
        type Entry = (u64, u64, u64, Vec<String>, String, String);
        let entries: Vec<Entry> = self.redis.ask(&["SLOWLOG", "GET", "1024"]).await;
        let mut slow = BTreeMap::<String, (usize, u64)>::new();
        for (_, _, micros, words, ..) in entries {
            if words[0].to_uppercase() != "FCALL" {
                continue;
            }
            let known = orchestrator::store::script::ALL
                .iter()
                .find(|one| words[1].starts_with(&one.digest[..]));
            let name = known
                .map_or_else(|| words[1].chars().take(40).collect(), |one| one.name.to_owned());
            let (count, longest) = slow.entry(name).or_default();
            (*count, *longest) = (*count + 1, micros.max(*longest));
        }
        slow.into_iter()
            .map(|(name, (count, longest))| format!("{name} {count} times, {longest} µs"))
            .collect()
    }

    pub async fn state(&self) -> State {
        let info: String = self.redis.ask(&["INFO", "clients"]).await;
        let clients =
            info.lines().find_map(|line| line.strip_prefix("connected_clients:")).unwrap();
        let open = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let descriptors = self.callable().map(open).iter().sum();
        State { descriptors, clients: clients.trim().parse().unwrap() }
    }

    /// Waits until everything is as before; what is not, once it has taken too long.
    pub async fn is_as_before(&self, before: &State, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        loop {
            let now = self.state().await;
            let ready =
                self.client("crew").call(reqwest::Method::GET, "/health/ready").try_send().await;
            let is_ready = ready.as_ref().is_ok_and(|answer| answer.status == 200);
            let lived = life(&self.client("crew")).await;
            let is_calm =
                now.descriptors <= before.descriptors + FEW && now.clients <= before.clients + FEW;
            if is_calm && is_ready && lived.is_ok() {
                return Vec::new();
            }
            if Instant::now() >= end {
                return vec![format!(
                    "not as before after {limit:?}: {now:?} and before {before:?}, {ready:?}, {lived:?}"
                )];
            }
            late(Duration::from_millis(50)).await;
        }
    }

    /// Stops everything in order.
    pub async fn clear(self) {
        for process in [self.gateway, self.bridge, self.worker] {
            process.stop().await;
        }
    }
}
