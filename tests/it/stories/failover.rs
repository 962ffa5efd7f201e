//! A replica takes the place of the Redis that all processes spoke to: under the same address, as a
//! virtual IP or a name does that is pointed elsewhere, or because Sentinel says so.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{
    Client, Deployment, LossyProxy, Program, Redis, Sentinel, eventually, follows_closely, id_of,
    new_body,
};

/// Submits so many tasks: the ids that were acknowledged; none, if it was refused.
pub(super) async fn acknowledged(crew: &Client, count: usize) -> BTreeSet<String> {
    let tasks = vec![new_body("faq"); count];
    let answer = crew.post("/tasks/batch", &json!({"tasks": tasks})).await;
    if answer.status != 200 {
        answer.refused(503, "not-replicated");
        return BTreeSet::new();
    }
    answer.json()["results"].as_array().unwrap().iter().map(|one| id_of(&one["task"])).collect()
}

/// Claims and completes until so many tasks are done; none may be done twice.
pub(super) async fn work(crew: &Client, wanted: usize) -> BTreeSet<String> {
    let mut done = BTreeSet::new();
    while done.len() < wanted {
        let more: BTreeSet<_> = crew.work().await.into_iter().collect();
        assert!(done.is_disjoint(&more), "done twice: {more:?}");
        done.extend(more);
    }
    done
}

/// A primary dies when its replica has not received the last tasks. Returns how many of those that were acknowledged
/// are lost; everything else must be there, and be done once.
async fn lost_in_a_failover(wait_replicas: &str) -> usize {
    let primary = Redis::start().await;
    let replica = primary.replicate().await;
    let address = LossyProxy::start(primary.url());
    let program = Program::over(address.url())
        .with("ORCHESTRATOR__STORE__WAIT_REPLICAS", wait_replicas)
        .with("ORCHESTRATOR__STORE__WAIT_TIMEOUT_MS", "1000");
    let mut deployment = Deployment::of(primary, program);
    let crew = deployment.client("crew").await;
    let received = acknowledged(&crew, 100).await;
    assert_eq!(received.len(), 100);
    follows_closely(&deployment.redis, &replica).await;
    // From here on nothing reaches the replica.
    replica.demote().await;
    let missed = acknowledged(&crew, 10).await;

    deployment.redis.kill();
    replica.promote().await;
    let _follower = replica.replicate().await;
    address.lead_to(replica.url());

    assert_eq!(work(&crew, received.len()).await, received);
    let stored = replica.count_tasks().await;
    assert_eq!(stored, received.len());
    assert_eq!(acknowledged(&crew, 10).await.len(), 10);
    deployment.finish().await;
    missed.len()
}

#[tokio::test]
async fn promoted_replica_keeps_all_it_received_and_no_restart_is_needed() {
    assert_eq!(lost_in_a_failover("0").await, 10, "acknowledged after the replica was cut off");
}

#[tokio::test]
async fn write_acknowledged_by_a_replica_survives_its_promotion() {
    assert_eq!(lost_in_a_failover("1").await, 0);
}

/// Something happens to a primary that Sentinel watches. What was acknowledged is there and done once, and work goes on.
async fn sentinel_decides(
    strike: impl AsyncFnOnce(&mut Redis),
    recover: impl AsyncFnOnce(&Redis, &Redis),
) {
    let primary = Redis::start().await;
    let replica = primary.replicate_for_others().await;
    let sentinel = Sentinel::start(&primary, &replica).await;
    let port = replica.port().await;
    let program = Program::over(&sentinel.url());
    let mut deployment = Deployment::of(primary, program);
    let crew = deployment.client("crew").await;
    let mut received = acknowledged(&crew, 100).await;
    assert_eq!(received.len(), 100);
    follows_closely(&deployment.redis, &replica).await;

    strike(&mut deployment.redis).await;

    sentinel.names(&port).await;
    eventually("the store is reached again", async || {
        let answer = crew.get("/stats").await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    recover(&deployment.redis, &replica).await;
    let more = acknowledged(&crew, 10).await;
    assert_eq!(more.len(), 10);
    received.extend(more);
    assert_eq!(work(&crew, received.len()).await, received);
    let stored = replica.count_tasks().await;
    assert_eq!(stored, received.len());
    deployment.finish().await;
}

#[tokio::test]
async fn the_primary_that_sentinel_names_is_followed_when_the_old_one_dies() {
    sentinel_decides(async |primary| primary.kill(), async |_, _| {}).await;
}

#[tokio::test]
async fn sentinels_new_primary_is_followed_when_old_one_hangs_and_returns() {
    let thaw = async |primary: &Redis, replica: &Redis| {
        primary.thaw();
        eventually("the old primary follows the new one", async || {
            let role = primary.replication("role").await;
            if role == "slave" { Ok(()) } else { Err(role) }
        })
        .await;
        follows_closely(replica, primary).await;
    };
    sentinel_decides(async |primary| primary.freeze(), thaw).await;
}
