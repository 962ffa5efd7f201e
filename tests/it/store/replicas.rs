//! Writes that replicas must have before they are acknowledged.

use futures_util::future::{join, join_all};
use orchestrator::domain::ids::Partition;
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Error, StatusChange, TaskFilter};

use crate::harness::{
    BOUND, Builder, Fleet, Redis, Site, assert_refused, eventually, key, key_in, keyed, new_body,
    new_event, within,
};

/// Long enough for a replica that answers, on a busy machine; for one that does not it must be waited for.
const PATIENCE_MS: u64 = 2 * BOUND.as_millis() as u64;
const HASTE_MS: u64 = 300;

async fn replicated(builder: Builder) -> (Fleet, Redis) {
    let fleet = builder.start().await;
    let replica = fleet.redis.replicate().await;
    (fleet, replica)
}

#[tokio::test]
async fn what_is_acknowledged_is_on_the_replica() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    fleet.wait_for_replicas(1, PATIENCE_MS).await;

    for n in 1..=20 {
        let id = fleet.submit("faq").await.id;
        assert!(replica.ask::<bool>(&["HEXISTS", &key("records"), &id.to_string()]).await);
        assert_eq!(replica.count_tasks().await, n);
    }
    let held = fleet.claim_one().await;
    fleet.complete(&held).await.unwrap();
    assert_eq!(replica.count("completed").await, 1);
    let gated = fleet.submit("deploy").await;
    fleet.approve(gated.approval.unwrap()).await.unwrap();
    assert_eq!(replica.count("approvals:approved").await, 1);

    fleet.finish().await;
}

#[tokio::test]
async fn many_callers_share_the_waits_and_each_gets_its_own_answer() {
    let (mut fleet, replica) = replicated(Fleet::build().partitions(3)).await;
    fleet.wait_for_replicas(1, PATIENCE_MS).await;

    let tasks = join_all((0..200).map(|_| fleet.submit("faq"))).await;
    fleet.route().await;
    let held = fleet.claim("faq_agent", 100).await;
    let states = join_all(held.iter().map(|held| fleet.complete(held))).await;

    assert!(states.iter().all(|state| matches!(state, Ok(State::Completed))), "{states:?}");
    let ids: std::collections::BTreeSet<_> = tasks.iter().map(|task| task.id).collect();
    assert_eq!(ids.len(), 200);
    let kept = [0, 1, 2].map(|partition| key_in(Partition(partition), "completed"));
    let kept = join_all(kept.iter().map(async |key| replica.ask::<u64>(&["ZCARD", key]).await));
    assert_eq!(kept.await.iter().sum::<u64>(), 100);
    fleet.finish().await;
}

#[tokio::test]
async fn unreplicated_write_is_refused_and_stored_once_when_repeated() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    let other = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;
    fleet.wait_for_replicas(1, HASTE_MS).await;
    replica.freeze();

    assert_refused!(
        fleet.try_submit(keyed("k", "b")).await,
        Error::NotReplicated { reached: 0, wanted: 1 }
    );
    assert_refused!(fleet.try_submit(keyed("k", "b")).await, Error::NotReplicated { .. });
    assert_refused!(fleet.complete(&held).await, Error::NotReplicated { .. });
    // What no caller relies on does not wait: reading, routing and leasing go on.
    assert_eq!(fleet.state_of(other).await, State::Completed);
    fleet.route().await;
    replica.thaw();
    let again = eventually("the repetition is acknowledged", async || {
        fleet.try_submit(keyed("k", "b")).await
    })
    .await;

    assert!(again.is_replay);
    let completed =
        eventually("the outcome is acknowledged", async || fleet.complete(&held).await).await;
    assert_eq!(completed, State::Completed);
    assert_eq!(fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap().items.len(), 2);
    assert_eq!(replica.count_tasks().await, 2);
    fleet.finish().await;
}

#[tokio::test]
async fn a_repetition_through_another_process_waits_for_what_the_first_one_wrote() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    fleet.wait_for_replicas(1, HASTE_MS).await;
    replica.freeze();
    assert_refused!(fleet.try_submit(keyed("k", "b")).await, Error::NotReplicated { .. });

    // Its connection has written nothing, and a repetition does not write.
    fleet.engine = fleet.another_engine().await;

    assert_refused!(fleet.try_submit(keyed("k", "b")).await, Error::NotReplicated { .. });
    replica.thaw();
    fleet.finish().await;
}

#[tokio::test]
async fn every_acknowledged_write_waits_for_the_replica() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    fleet.submit_many("faq", 4).await;
    let (failing, released) = (fleet.claim_one().await, fleet.claim_one().await);
    let (approved, rejected) = (fleet.submit("deploy").await, fleet.submit("deploy").await);
    let cancelled = fleet.submit("faq").await;
    let taken = fleet.submit("faq").await;
    fleet.wait_for_replicas(1, HASTE_MS).await;
    replica.freeze();

    let (engine, people) = (&fleet.engine, &fleet.people);
    let started = StatusChange::InProgress;
    let outcomes = join(fleet.fail(&failing), fleet.release(&released));
    let decisions =
        join(fleet.approve(approved.approval.unwrap()), fleet.reject(rejected.approval.unwrap()));
    let calls =
        join(fleet.cancel(cancelled.id), engine.change_status(&people.agent, taken.id, started));
    let ((outcomes, decisions), (calls, published)) = join(
        join(outcomes, decisions),
        join(calls, engine.publish(&people.alice, new_event("pr.merged"))),
    )
    .await;

    assert_refused!(outcomes.0, Error::NotReplicated { .. });
    assert_refused!(outcomes.1, Error::NotReplicated { .. });
    assert_refused!(decisions.0, Error::NotReplicated { .. });
    assert_refused!(decisions.1, Error::NotReplicated { .. });
    assert_refused!(calls.0, Error::NotReplicated { .. });
    assert_refused!(calls.1, Error::NotReplicated { .. });
    assert_refused!(published, Error::NotReplicated { .. });
    assert_refused!(fleet.requeue(cancelled.id).await, Error::NotReplicated { .. });
    // All of it happened.
    assert_eq!(fleet.state_of(failing.task.id).await, State::Scheduled);
    assert_eq!(fleet.state_of(rejected.id).await, State::Cancelled);
    assert_eq!(fleet.state_of(taken.id).await, State::InProgress);
    replica.thaw();
    fleet.finish().await;
}

#[tokio::test]
async fn cut_replica_wait_is_no_acknowledgement_and_the_next_wait_works() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    fleet.wait_for_replicas(1, PATIENCE_MS).await;
    fleet.submit("faq").await;
    replica.freeze();

    let cut = async {
        eventually("the write waits for the replica", async || {
            let clients: String = fleet.redis.ask(&["CLIENT", "LIST"]).await;
            if clients.contains("cmd=wait") { Ok(()) } else { Err(clients) }
        })
        .await;
        fleet.redis.cut_connections("normal").await
    };
    let refused = within("the refusal", join(fleet.try_submit(keyed("k", "b")), cut));
    let (refused, _) = refused.await;

    assert_refused!(refused, Error::NotReplicated { reached: 0, wanted: 1 });
    replica.thaw();
    assert!(fleet.try_submit(keyed("k", "b")).await.unwrap().is_replay);
    fleet.finish().await;
}

#[tokio::test]
async fn unreplicated_request_gets_retry_after_and_can_be_repeated() {
    let (mut fleet, replica) = replicated(Fleet::build()).await;
    fleet.wait_for_replicas(1, HASTE_MS).await;
    let site = Site::over(fleet).await;
    replica.freeze();
    let body = new_body("faq");
    let submit = async || {
        let call =
            site.call("crew", reqwest::Method::POST, "/tasks").header("idempotency-key", "once");
        call.json(&body).send().await
    };

    let refused = submit().await;

    let problem = refused.refused(503, "not-replicated");
    assert!(refused.header("retry-after").is_some());
    assert!(problem["detail"].as_str().unwrap().contains("0 of 1 replicas"), "{problem}");
    replica.thaw();
    eventually("the repetition is acknowledged", async || match submit().await {
        answer if answer.status == 200 || answer.status == 201 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(site.fleet.redis.count_tasks().await, 1);
    site.finish().await;
}
