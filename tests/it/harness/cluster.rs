//! A Redis Cluster of one test: three primaries with a replica each, or one node with every slot.

use std::path::Path;
use std::process::Stdio;

use orchestrator::engine::Engine;
use orchestrator::store::{self, Store};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::processes::free_port;
use super::{Program, Redis, defaults, eventually};

/// How many primaries there are. The node after this many others is the replica of a primary.
const PRIMARIES: usize = 3;

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// How many partitions the deployments here have: with these slots two, four and two on a primary.
const PARTITIONS: u16 = 8;

/// A cluster of three primaries and three replicas, which takes over within two seconds.
pub struct Cluster {
    /// The primaries, then the replica of each.
    pub nodes: Vec<Redis>,
    ports: Vec<u16>,
    _home: TempDir,
}

impl Cluster {
    /// Starts one that takes writes, and whose replicas follow, on return.
    pub async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ports: Vec<_> = (0..2 * PRIMARIES).map(|_| [free_port(), free_port()]).collect();
        let mut nodes = Vec::new();
        for number in 0..ports.len() {
            let file = home.path().join(format!("{number}.conf"));
            std::fs::write(&file, table(&ports, number)).unwrap();
            nodes.push(start(&file, ports[number], true).await);
        }
        for (number, node) in nodes.iter().enumerate() {
            eventually("the cluster is up", async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
            })
            .await;
            if number >= PRIMARIES {
                eventually("the replica follows", async || {
                    let link = node.replication("master_link_status").await;
                    if link == "up" { Ok(()) } else { Err(link) }
                })
                .await;
            }
        }
        Self { nodes, ports: ports.into_iter().map(|[port, _]| port).collect(), _home: home }
    }

    /// The URL of a store on it. No server listens at the first address, as if that node were away.
    pub fn url(&self) -> String {
        format!(
            "redis-cluster://127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}",
            self.ports[1], self.ports[0]
        )
    }

    /// The URL of one node, as if it were a single Redis.
    pub fn url_of_node(&self, number: usize) -> String {
        format!("redis://127.0.0.1:{}", self.ports[number])
    }

    /// Processes over it.
    pub fn program(&self) -> Program {
        let partitions = PARTITIONS.to_string();
        Program::over(&self.url()).with("ORCHESTRATOR__STORE__PARTITIONS", &partitions)
    }

    /// An engine over it in this process.
    pub async fn engine(&self) -> Engine {
        let settings = defaults();
        let url = self.url().into();
        let store = store::Settings { url, partitions: PARTITIONS, ..settings.store };
        Engine::new(Store::open(store).await.unwrap(), settings.engine, CancellationToken::new())
    }

    /// Moves so many slots from one primary to another, the lowest first, key by key.
    pub async fn reshard(&self, from: usize, to: usize, slots: usize) {
        let mut command = Command::new("redis-cli");
        command.arg("--cluster").arg("reshard").arg(format!("127.0.0.1:{}", self.ports[0]));
        command.arg("--cluster-from").arg(id(from)).arg("--cluster-to").arg(id(to));
        command.arg("--cluster-slots").arg(slots.to_string()).arg("--cluster-yes");
        let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }

    /// Waits until the node that was a primary follows its replica, which took over.
    pub async fn follows_its_replica(&self, number: usize) {
        eventually("the old primary follows", async || {
            let node = &self.nodes[number];
            let seen =
                (node.replication("role").await, node.replication("master_link_status").await);
            if seen == ("slave".to_owned(), "up".to_owned()) { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    /// How many keys the node has.
    pub async fn keys_of(&self, number: usize) -> u64 {
        self.nodes[number].ask(&["DBSIZE"]).await
    }
}

/// Starts a node that knows the cluster from this file.
async fn start(file: &Path, [port, bus]: [u16; 2], is_durable: bool) -> Redis {
    let (port, bus) = (port.to_string(), bus.to_string());
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-config-file", file.to_str().unwrap()],
        ["--cluster-node-timeout", "1000"],
        ["--cluster-require-full-coverage", "no"],
        ["--repl-diskless-sync-delay", "0"],
        ["--repl-ping-replica-period", "1"],
        ["--bind", "127.0.0.1"],
        ["--port", &port],
        ["--cluster-port", &bus],
    ];
    Redis::told(is_durable, arguments.as_flattened()).await
}

/// The id of a node.
fn id(number: usize) -> String {
    format!("{:040x}", number + 1)
}

/// What the node of this number knows of the cluster before it starts.
fn table(ports: &[[u16; 2]], me: usize) -> String {
    let mut text = String::new();
    for (number, [port, bus]) in ports.iter().enumerate() {
        let is_primary = number < PRIMARIES;
        let role = if is_primary { "master" } else { "slave" };
        let myself = if number == me { "myself," } else { "" };
        let primary = if is_primary { "-".to_owned() } else { id(number - PRIMARIES) };
        let epoch = number % PRIMARIES + 1;
        let slots = if is_primary {
            let edge = |nth: usize| SLOTS * nth / PRIMARIES;
            format!(" {}-{}", edge(number), edge(number + 1) - 1)
        } else {
            String::new()
        };
        text += &format!(
            "{} 127.0.0.1:{port}@{bus} {myself}{role} {primary} 0 0 {epoch} connected{slots}\n",
            id(number)
        );
    }
    text + &format!("vars currentEpoch {PRIMARIES} lastVoteEpoch 0\n")
}

/// Whether the tests of the store run over a cluster of one node: the environment says so.
pub fn is_wanted() -> bool {
    std::env::var_os("ORCHESTRATOR_TEST_CLUSTER").is_some_and(|value| value == "1")
}

/// The arguments of a server that is a cluster by itself, and the URL of a store on it.
pub fn of_one_node() -> (Vec<String>, String) {
    let (port, bus) = (free_port().to_string(), free_port().to_string());
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-require-full-coverage", "no"],
        ["--bind", "127.0.0.1"],
        ["--port", &port],
        ["--cluster-port", &bus],
    ];
    let arguments = arguments.as_flattened().iter().map(|word| (*word).to_owned()).collect();
    (arguments, format!("redis-cluster://127.0.0.1:{port}"))
}

/// Gives the node every slot, and waits until it takes writes.
pub async fn take_all_slots(node: &Redis) {
    let last = (SLOTS - 1).to_string();
    node.ask::<String>(&["CLUSTER", "ADDSLOTSRANGE", "0", &last]).await;
    eventually("the cluster is up", async || {
        let info: String = node.ask(&["CLUSTER", "INFO"]).await;
        if info.contains("cluster_state:ok") { Ok(()) } else { Err(info) }
    })
    .await;
}
