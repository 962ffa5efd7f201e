//! A store on a Redis Cluster: tasks on three primaries, a primary that fails, and partitions that move.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join3;
use orchestrator::engine::{EventFilter, FeedItem};
use reqwest::Method;
use serde_json::Value;

use super::failover::{acknowledged, work};
use crate::harness::{
    Block, Client, Cluster, Process, Program, Redis, channel_of, eventually, free_port, id_of,
    late, new_body, within,
};

/// The primary with four of the eight partitions and the layout.
const FULLEST: usize = 1;

/// How long an answer of a node may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// The longest that a call to other partitions may take on a busy machine while a node fails.
const UNDELAYED: Duration = Duration::from_millis(1_500);

/// A gateway and a worker over a cluster.
struct Site {
    cluster: Cluster,
    program: Program,
    gateway: Process,
    worker: Process,
    crew: Client,
}

impl Site {
    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::over(Cluster::start().await, settings).await
    }

    async fn over(cluster: Cluster, settings: &[(&str, &str)]) -> Self {
        let program = cluster.program().with_all(settings);
        let (gateway, worker) = (program.start(&["gateway"]), program.start(&["worker"]));
        let crew = gateway.client("crew").await;
        Self { cluster, program, gateway, worker, crew }
    }

    /// Submits one task: its id, or nothing if the answer was 503.
    async fn submit(&self) -> Option<String> {
        let answer = self.crew.post("/tasks", &new_body("faq")).await;
        if answer.status == 503 { None } else { Some(id_of(&answer.accepted(201))) }
    }

    /// Submits one task with this key until it is accepted: its id.
    async fn submit_once(&self, key: &str) -> String {
        eventually("the submission is accepted", async || {
            let call = self.crew.call(Method::POST, "/tasks").header("idempotency-key", key);
            let answer = call.json(&new_body("faq")).send().await;
            if answer.status == 503 { Err(answer) } else { Ok(id_of(&answer.json())) }
        })
        .await
    }

    /// Ends the test: the doctor finds nothing, and every process stops in order.
    async fn finish(self) {
        self.program.finds_the_store_sound().await;
        self.worker.stop().await;
        self.gateway.stop().await;
    }
}

/// The tasks of so many events that a stream shows as completed.
async fn completed_in(mut stream: reqwest::Response, count: usize) -> BTreeSet<String> {
    let (mut text, mut tasks) = (String::new(), BTreeSet::new());
    while tasks.len() < count {
        let bytes = within("the stream goes on", stream.chunk()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
        while let Some(block) = Block::take(&mut text) {
            if block.event == "task.completed" {
                assert!(tasks.insert(block.json()["task_id"].as_str().unwrap().to_owned()));
            }
        }
    }
    tasks
}

#[tokio::test]
async fn tasks_on_three_primaries_live_and_every_subscriber_hears() {
    let cluster = Cluster::start().await;
    // A client of a node that has no more than two of the eight partitions.
    let mut subscriber = cluster.nodes[0].subscribe(&channel_of("task.completed")).await;
    let site = Site::over(cluster, &[]).await;
    let stream = site.crew.call(Method::GET, "/events/stream").0.send().await.unwrap();
    let ids = acknowledged(&site.crew, 100).await;
    for number in 0..3 {
        assert!(site.cluster.keys_of(number).await > 0, "primary {number} has nothing");
    }
    assert_eq!(work(&site.crew, ids.len()).await, ids);

    assert_eq!(completed_in(stream, ids.len()).await, ids);
    let mut heard = BTreeSet::new();
    while heard.len() < ids.len() {
        let event: Value = serde_json::from_str(&subscriber.next().await.1).unwrap();
        assert!(heard.insert(event["task_id"].as_str().unwrap().to_owned()), "twice: {event}");
    }
    assert_eq!(heard, ids);
    site.finish().await;
}

/// Something happens to a primary. Other partitions go on at once, its own once its replica has taken over, and nothing
/// that was acknowledged is lost or done twice.
async fn primary_fails(strike: impl FnOnce(&mut Cluster), recover: impl AsyncFnOnce(&mut Cluster)) {
    let mut site = Site::start(&[
        ("ORCHESTRATOR__STORE__WAIT_REPLICAS", "1"),
        ("ORCHESTRATOR__STORE__RESPONSE_TIMEOUT_MS", &PATIENCE.as_millis().to_string()),
    ])
    .await;
    let mut received = acknowledged(&site.crew, 100).await;
    assert_eq!(received.len(), 100);

    strike(&mut site.cluster);
    let (mut refused, mut longest) = (0, Duration::ZERO);
    // The first call that meets the node may last as long as its replica needs to take over.
    while received.len() <= 110
        || site.cluster.nodes[FULLEST + 3].replication("role").await != "master"
    {
        assert!(refused < 200, "{} accepted, {refused} refused", received.len() - 100);
        let begun = Instant::now();
        match site.submit().await {
            Some(id) => {
                received.insert(id);
                longest = longest.max(begun.elapsed());
            }
            None => refused += 1,
        }
        late(Duration::from_millis(10)).await;
    }
    assert!(longest < UNDELAYED, "{longest:?}, {refused} refused");

    recover(&mut site.cluster).await;
    site.cluster.follows_its_replica(FULLEST).await;
    for key in 0..16 {
        received.insert(site.submit_once(&key.to_string()).await);
    }
    // A submission that was refused may be stored all the same.
    let mut done = BTreeSet::new();
    while !done.is_superset(&received) {
        let more = work(&site.crew, 1).await;
        assert!(done.is_disjoint(&more), "done twice: {more:?}");
        done.extend(more);
    }
    site.finish().await;
}

#[tokio::test]
async fn dead_primary_delays_no_other_and_nothing_is_lost() {
    primary_fails(
        |cluster| cluster.nodes[FULLEST].kill(),
        async |cluster| cluster.nodes[FULLEST].start_again().await,
    )
    .await;
}

#[tokio::test]
async fn hung_primary_delays_no_other_and_nothing_is_lost() {
    primary_fails(
        |cluster| cluster.nodes[FULLEST].freeze(),
        async |cluster| cluster.nodes[FULLEST].thaw(),
    )
    .await;
}

#[tokio::test]
async fn partitions_that_move_under_load_lose_and_double_nothing() {
    const TASKS: usize = 300;
    let site = Site::start(&[]).await;
    let engine = site.cluster.engine().await;
    let filter =
        EventFilter { types: vec!["task.completed".parse().unwrap()], ..Default::default() };
    let mut feed = engine.feed(filter, None).await.unwrap();
    let waiting = acknowledged(&site.crew, 500).await;

    let submits = async {
        let mut ids = BTreeSet::new();
        for key in 0..TASKS {
            ids.insert(site.submit_once(&format!("key-{key}")).await);
            late(Duration::from_millis(5)).await;
        }
        ids
    };
    let works = work(&site.crew, waiting.len() + TASKS);
    let moves = site.cluster.reshard(0, 2, 2_000);
    let (mut submitted, done, ()) = join3(submits, works, moves).await;

    submitted.extend(waiting);
    assert_eq!(done, submitted);
    assert_eq!(site.cluster.keys_of(0).await, 0, "both partitions of the first primary moved");
    let mut seen = BTreeSet::new();
    while seen.len() < done.len() {
        match within("an event", feed.next()).await.unwrap() {
            FeedItem::Event(event, _) => {
                let id = event.task_id.unwrap().to_string();
                assert!(seen.insert(id), "{event:?} came twice");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, done);
    site.finish().await;
}

#[tokio::test]
async fn single_redis_as_a_cluster_is_refused_at_the_start() {
    let port = free_port().to_string();
    let _redis = Redis::told(false, &["--bind", "127.0.0.1", "--port", &port]).await;
    let program = Program::over(&format!("redis-cluster://127.0.0.1:{port}"));

    let (code, output, log) = program.run(&["doctor"]).await;

    assert!(code == 1 && output.is_empty(), "{code} {output}");
    assert!(log.contains("no node of a Redis Cluster"), "{log}");
}

#[tokio::test]
async fn node_of_a_cluster_as_a_single_redis_is_refused_with_the_way_out() {
    let cluster = Cluster::start().await;
    for number in 0..3 {
        let program = Program::over(&cluster.url_of_node(number));
        let (code, output, log) = program.run(&["doctor"]).await;
        assert!(code == 1 && output.is_empty(), "{code} {output}");
        assert!(log.contains("redis-cluster://"), "{log}");
    }
}
