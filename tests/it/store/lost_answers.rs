//! The script ran and its answer was lost: the store asks again, and nothing happens twice.

use std::time::Duration;

use orchestrator::domain::approval::{ApprovalStatus, Decision};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::submission::NewTask;
use orchestrator::engine::StatusChange;

use crate::harness::{
    Fate, Fleet, digest_of, eventually, failed, idempotency, json, name, new_event, new_task,
};

/// A fleet whose scripts are all known to Redis, and whose next answer will be lost once armed.
async fn lossy() -> Fleet {
    Fleet::build().lossy().start().await
}

fn lose(fleet: &Fleet) {
    fleet.proxy.as_ref().unwrap().lose_next_answer();
}

/// Ends the test: an answer was lost, or it has shown nothing.
async fn finish(fleet: Fleet) {
    assert!(fleet.proxy.as_ref().unwrap().has_lost_it(), "no answer was lost");
    fleet.finish().await;
}

#[tokio::test]
async fn a_submission_is_stored_once_with_a_key_or_without() {
    for key in [None, idempotency("k", "b")] {
        let fleet = lossy().await;
        lose(&fleet);

        let task = fleet
            .try_submit(NewTask { idempotency: key, ..new_task("deploy") })
            .await
            .unwrap()
            .task;

        assert_eq!(fleet.redis.count_tasks().await, 1);
        assert_eq!((task.state, fleet.state_of(task.id).await), (State::Blocked, State::Blocked));
        finish(fleet).await;
    }
}

#[tokio::test]
async fn a_batch_is_stored_once() {
    let fleet = lossy().await;
    lose(&fleet);

    let ids = fleet.submit_many("faq", 50).await;

    assert_eq!((ids.len(), fleet.redis.count_tasks().await), (50, 50));
    finish(fleet).await;
}

#[tokio::test]
async fn an_outcome_counts_once() {
    for (outcome, state) in [
        (Outcome::Completed { result: Some(json("1")) }, State::Completed),
        (failed(true, None), State::Scheduled),
        (failed(false, None), State::Failed),
        (Outcome::Released, State::Assigned),
    ] {
        let fleet = lossy().await;
        let id = fleet.submit("faq").await.id;
        let held = fleet.claim_one().await;
        lose(&fleet);

        assert_eq!(fleet.report(&held, outcome).await.unwrap(), state);

        let task = fleet.task(id).await;
        assert_eq!((task.state, task.timeline.len()), (state, 4));
        assert_eq!(task.retry_count, u32::from(state == State::Scheduled));
        finish(fleet).await;
    }
}

#[tokio::test]
async fn decision_with_a_lost_answer_succeeds_once_for_its_approver() {
    for (decision, status, state) in [
        (Decision::approve(None), ApprovalStatus::Approved, State::Pending),
        (Decision::reject(None), ApprovalStatus::Rejected, State::Cancelled),
    ] {
        let fleet = lossy().await;
        let task = fleet.submit("deploy").await;
        lose(&fleet);

        let (approval, task) =
            fleet.engine.decide(&fleet.people.bob, task.approval.unwrap(), decision).await.unwrap();

        assert_eq!((approval.status, task.state, task.timeline.len()), (status, state, 2));
        finish(fleet).await;
    }
}

#[tokio::test]
async fn cancel_requeue_and_take_are_done_once() {
    let fleet = lossy().await;
    let id = fleet.submit("faq").await.id;

    lose(&fleet);
    assert_eq!(fleet.cancel(id).await.unwrap().state, State::Cancelled);
    lose(&fleet);
    assert_eq!(fleet.requeue(id).await.unwrap().state, State::Pending);
    lose(&fleet);
    let taken = fleet
        .engine
        .change_status(&fleet.people.alice, id, StatusChange::InProgress)
        .await
        .unwrap();

    assert_eq!((taken.state, taken.attempt, taken.timeline.len()), (State::InProgress, 1, 4));
    finish(fleet).await;
}

#[tokio::test]
async fn a_heartbeat_and_the_duties_are_simply_done_again() {
    let fleet = lossy().await;
    fleet.submit("faq").await;
    lose(&fleet);
    fleet.route().await;
    let held = fleet.claim("faq_agent", 1).await.pop().unwrap();
    lose(&fleet);
    assert!(fleet.extend(&held, None).await.unwrap() >= held.lease_until);
    fleet.advance(std::time::Duration::from_secs(60));
    lose(&fleet);
    fleet.engine.reap().await.unwrap();

    let task = fleet.task(held.task.id).await;
    assert_eq!((task.state, task.lost_count, task.timeline.len()), (State::Assigned, 1, 4));
    finish(fleet).await;
}

#[tokio::test]
async fn tasks_whose_claim_was_not_answered_go_back_and_are_not_counted() {
    let fleet = lossy().await;
    fleet.submit_many("faq", 2).await;
    fleet.route().await;
    lose(&fleet);

    // Sent again, the claim leases the other task; no agent knows of the first lease.
    let held = fleet.claim("faq_agent", 1).await.pop().unwrap();
    let orphan = fleet.claim_when_back().await;

    assert_ne!(orphan.task.id, held.task.id);
    assert_eq!((orphan.task.attempt, orphan.task.lost_count), (2, 0));
    // What the second answer named stays leased.
    fleet.extend(&held, None).await.unwrap();
    fleet.complete(&held).await.unwrap();
    fleet.complete(&orphan).await.unwrap();
    finish(fleet).await;
}

#[tokio::test]
async fn tasks_whose_claim_is_answered_too_late_go_back_and_are_not_counted() {
    let fleet = Fleet::build().lossy().response_timeout_ms(500).start().await;
    let ids = fleet.submit_many("faq", 300).await;
    fleet.route().await;
    // From now on Redis knows the script.
    fleet.claim("dev_agent", 1).await;
    let proxy = fleet.proxy.as_ref().unwrap();

    proxy.slow_by(Duration::from_secs(1));
    let late = fleet.engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 100)).await;
    proxy.slow_by(Duration::ZERO);

    assert!(late.is_err(), "{late:?}");
    eventually("all tasks are back", async || {
        let agent = fleet.engine.agent(&name("faq_agent")).await.unwrap();
        if (agent.depth, agent.in_progress) == (300, 0) { Ok(()) } else { Err(agent) }
    })
    .await;
    let mut came_late = 0;
    for id in ids {
        let task = fleet.task(id).await;
        assert_eq!((task.state, task.lost_count, task.retry_count), (State::Assigned, 0, 0));
        came_late += task.attempt;
    }
    assert_eq!(came_late, 100, "the claim ran");
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_that_redis_runs_after_it_was_given_up_leases_nothing() {
    let fleet = Fleet::build().lossy().response_timeout_ms(500).start().await;
    let id = fleet.submit("faq").await.id;
    fleet.route().await;
    fleet.claim("dev_agent", 1).await;
    let proxy = fleet.proxy.as_ref().unwrap();
    proxy.arm(Some(digest_of("claim")), Fate::QuestionHeld);

    let claim = fleet.engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 1));
    let (given_up, sent) = tokio::join!(claim, proxy.caught());
    assert!(given_up.is_err(), "{given_up:?}");
    let marks = async || fleet.redis.ask::<Vec<String>>(&["KEYS", "*:void:*"]).await;
    eventually(
        "the claim is void",
        async || {
            if marks().await.is_empty() { Err("not yet") } else { Ok(()) }
        },
    )
    .await;
    let answer = fleet.redis.send(&sent).await;

    assert!(!answer.contains(&id.to_string()), "{answer}");
    let task = fleet.task(id).await;
    assert_eq!((task.state, task.attempt), (State::Assigned, 0));
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn tasks_of_a_claim_go_back_after_an_outage_within_their_lease() {
    let fleet = Fleet::build().lossy().response_timeout_ms(300).start().await;
    fleet.submit("faq").await;
    fleet.route().await;
    let proxy = fleet.proxy.as_ref().unwrap();
    proxy.arm(Some(digest_of("claim")), Fate::AnswerCut);
    let url = fleet.redis.url().to_owned();

    // The answer is cut, and from then on no store is there.
    proxy.lead_new_connections_to("redis+unix:///nonexistent");
    let lost = fleet.engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 1)).await;
    assert!(lost.is_err(), "{lost:?}");
    proxy.lead_to(&url);

    let again = fleet.claim_when_back().await;
    assert_eq!((again.task.attempt, again.task.lost_count), (2, 0));
    fleet.complete(&again).await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn an_event_from_outside_is_in_the_log() {
    let fleet = lossy().await;
    lose(&fleet);

    let id = fleet.engine.publish(&fleet.people.agent, new_event("pr.merged")).await.unwrap();

    let events = fleet.events().await;
    assert_eq!(events.last().unwrap().id.to_uuid(), id);
    assert_eq!(events.len(), 1, "it is in the log once");
    finish(fleet).await;
}
