//! What is lost of acknowledged submissions when Redis is killed (SIGKILL) under load, for each way to keep its data.
//!
//! `make durability` prints the figures of longer runs. What the kernel had in its page cache survives this kill; a power
//! failure would take it too, unless the file is written with `appendfsync always`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use orchestrator::domain::ids::TaskId;

use crate::harness::{Builder, Fleet, Redis, eventually, key, new_task};

/// How many callers submit at once, one task a call.
const CALLERS: usize = 32;

/// How long they do.
fn span() -> Duration {
    let text = std::env::var("ORCHESTRATOR_LOAD_MS").unwrap_or_else(|_| "400".to_owned());
    Duration::from_millis(text.parse().unwrap())
}

/// What the callers were told of.
struct Load {
    acknowledged: BTreeSet<TaskId>,
    took: Duration,
}

/// How many submissions there must have been, however slow the machine is.
const AT_LEAST: usize = 100;

/// Submits for a while, then kills this Redis while submissions go on.
async fn load(fleet: &Fleet, pid: u32) -> Load {
    let (began, acknowledged) = (Instant::now(), RefCell::new(BTreeSet::new()));
    let callers = (0..CALLERS).map(async |_| {
        loop {
            // What is not answered any more is not acknowledged.
            if let Ok(submitted) = fleet.try_submit(new_task("faq")).await {
                acknowledged.borrow_mut().insert(submitted.task.id);
            }
        }
    });
    let end = eventually("the load lasts long enough", async || {
        let (elapsed, count) = (began.elapsed(), acknowledged.borrow().len());
        if elapsed < span() || count < AT_LEAST { Err((elapsed, count)) } else { Ok(()) }
    });
    tokio::select! {
        _ = join_all(callers) => unreachable!("callers go on"),
        () = end => Redis::kill_process(pid),
    }
    Load { acknowledged: acknowledged.into_inner(), took: began.elapsed() }
}

impl Load {
    /// How many of the acknowledged tasks this Redis does not have; prints the figure.
    async fn lost(&self, name: &str, redis: &Redis) -> usize {
        let kept: BTreeSet<String> = redis.ask(&["HKEYS", &key("records")]).await;
        let count = self.acknowledged.len();
        let lost = self.acknowledged.iter().filter(|id| !kept.contains(&id.to_string())).count();
        let rate = count as f64 / self.took.as_secs_f64();
        println!("{name}: {lost} lost of {count} acknowledged, {rate:.0} tasks/s");
        lost
    }
}

/// A Redis with these arguments is killed under load and started again.
async fn lost_with(name: &str, arguments: &[&'static str]) -> (usize, usize) {
    let mut fleet = Fleet::build().durable().redis(arguments).start().await;
    let load = load(&fleet, fleet.redis.pid()).await;
    fleet.redis.kill();
    fleet.redis.start_again().await;
    let lost = load.lost(name, &fleet.redis).await;
    fleet.discard();
    (lost, load.acknowledged.len())
}

/// The primary is killed under load; what the replica, which takes its place, has not is lost.
async fn lost_in_failover(name: &str, wait_replicas: u16) -> usize {
    let mut fleet = Builder::new().start().await;
    let replica = fleet.redis.replicate().await;
    fleet.wait_for_replicas(wait_replicas, 10_000).await;
    let load = load(&fleet, fleet.redis.pid()).await;
    replica.promote().await;
    let lost = load.lost(name, &replica).await;
    fleet.discard();
    lost
}

#[tokio::test]
async fn an_append_only_file_that_is_always_written_loses_nothing() {
    assert_eq!(lost_with("AOF, appendfsync always", &["--appendfsync", "always"]).await.0, 0);
}

#[tokio::test]
async fn append_only_file_synced_every_second_keeps_what_redis_wrote() {
    let (lost, acknowledged) =
        lost_with("AOF, appendfsync everysec", &["--appendfsync", "everysec"]).await;

    assert!(lost < acknowledged, "{lost} of {acknowledged}");
}

#[tokio::test]
async fn snapshots_alone_lose_what_came_after_the_last_one() {
    let (lost, acknowledged) =
        lost_with("RDB, save 1 1", &["--appendonly", "no", "--save", "1 1"]).await;

    assert!(lost > 0, "nothing of {acknowledged}");
}

#[tokio::test]
async fn without_persistence_everything_is_lost() {
    let (lost, acknowledged) = lost_with("no persistence", &["--appendonly", "no"]).await;

    assert_eq!(lost, acknowledged);
}

#[tokio::test]
async fn a_promoted_replica_has_all_that_waited_for_it() {
    // What the replica had not received: anything from nothing to all of it.
    lost_in_failover("replica promoted, wait_replicas 0", 0).await;

    assert_eq!(lost_in_failover("replica promoted, wait_replicas 1", 1).await, 0);
}
