//! Who holds a task, for how long, and what becomes of late words.

use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::submission::Start;
use orchestrator::engine::{Claim, Error, Settings, StatusChange};

use crate::harness::{Fleet, assert_refused, failed};

const PAST_LEASE: Duration = Duration::from_secs(31);

#[tokio::test]
async fn a_late_agent_cannot_complete_a_task_that_was_taken_back() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let first = fleet.claim_one().await;
    fleet.advance(PAST_LEASE);
    fleet.engine.reap().await.unwrap();

    assert_refused!(fleet.complete(&first).await, Error::LeaseLost { attempt: 1, held: 1, .. });
    let second = fleet.claim_one().await;

    assert_eq!((second.task.id, second.task.attempt), (id, 2));
    for late in
        [fleet.complete(&first).await, fleet.fail(&first).await, fleet.release(&first).await]
    {
        assert_refused!(late, Error::LeaseLost { attempt: 1, held: 2, .. });
    }
    assert_refused!(fleet.extend(&first, None).await, Error::LeaseLost { held: 2, .. });
    fleet.complete(&second).await.unwrap();
    let task = fleet.task(id).await;
    assert_eq!((task.state, task.lost_count, task.retry_count), (State::Completed, 1, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn agent_may_complete_past_its_lease_until_the_task_is_taken_back() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;

    fleet.advance(PAST_LEASE);

    assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn a_lease_that_has_not_ended_is_left_alone_and_one_that_has_goes_back_in_time() {
    let an_hour = |settings: &mut Settings| settings.agents.lease_ms = 3_600_000;
    let fleet = Fleet::build().settings(an_hour).start().await;
    let id = fleet.submit("faq").await.id;
    fleet.claim_one().await;

    fleet.advance(Duration::from_secs(3_500));
    let early = fleet.engine.reap().await.unwrap();
    assert_eq!((early.moved, fleet.state_of(id).await), (0, State::InProgress));
    assert!(early.next_in.unwrap() <= Duration::from_secs(100), "{early:?}");

    fleet.advance(Duration::from_secs(100));
    assert_eq!(fleet.engine.reap().await.unwrap().moved, 1);
    assert_eq!(fleet.event_types_of(id).await.last().unwrap(), "task.lost");
    fleet.finish().await;
}

#[tokio::test]
async fn task_losing_too_many_leases_fails_and_retry_starts_over() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    for lost in 1..=3 {
        fleet.claim_one().await;
        fleet.advance(PAST_LEASE);
        fleet.engine.reap().await.unwrap();
        assert_eq!(fleet.task(id).await.lost_count, lost);
    }
    let failed = fleet.task(id).await;
    assert_eq!((failed.state, failed.retry_count, failed.attempt), (State::Failed, 0, 3));
    assert!(failed.error.unwrap().contains("lost 3 leases"));
    assert_eq!(fleet.event_types_of(id).await.last().unwrap(), "task.failed");

    let again = fleet.requeue(id).await.unwrap();

    assert_eq!((again.state, again.lost_count, again.retry_count), (State::Pending, 0, 0));
    assert_eq!((again.error, fleet.claim_one().await.task.attempt), (None, 4));
    fleet.finish().await;
}

#[tokio::test]
async fn requeue_forgets_failures_result_and_progress_of_the_life_before() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.spec.max_retries = 1).await.id;
    fleet.fail(&fleet.claim_one().await).await.unwrap();
    fleet.advance(Duration::from_secs(2));
    fleet.engine.promote().await.unwrap();
    let result = Some(crate::harness::json("[1]"));
    let outcome = Outcome::Failed {
        error: "no".to_owned(),
        is_retryable: true,
        retry_after_ms: None,
        result,
    };
    fleet.report(&fleet.claim_one().await, outcome).await.unwrap();
    let failed = fleet.task(id).await;
    assert_eq!(
        (failed.state, failed.retry_count, failed.result.is_some()),
        (State::Failed, 1, true)
    );

    fleet.requeue(id).await.unwrap();

    let again = fleet.task(id).await;
    assert_eq!((again.retry_count, again.result.is_none(), again.error), (0, true, None));
    assert_eq!(fleet.fail(&fleet.claim_one().await).await.unwrap(), State::Scheduled);
    fleet.finish().await;
}

#[tokio::test]
async fn attempt_past_its_timeout_counts_as_failure_despite_extensions() {
    let fleet = Fleet::start().await;
    let id = fleet
        .submit_with("faq", |new| (new.spec.timeout_ms, new.spec.max_retries) = (Some(40_000), 1))
        .await
        .id;
    for (nth, expected) in [(1, State::Scheduled), (2, State::Failed)] {
        let held = fleet.claim_one().await;
        let limit = fleet.task(id).await.started_at().unwrap() + 40_000;
        fleet.advance(Duration::from_secs(20));
        assert_eq!(fleet.extend(&held, Some(3_600_000)).await.unwrap(), limit, "attempt {nth}");

        fleet.advance(Duration::from_secs(20));
        fleet.engine.reap().await.unwrap();

        let task = fleet.task(id).await;
        assert_eq!((task.state, task.lost_count, task.attempt), (expected, 0, nth));
        assert!(task.error.unwrap().contains("timeout_ms"));
        fleet.advance(Duration::from_secs(3));
        fleet.engine.promote().await.unwrap();
    }
    assert_eq!(fleet.task(id).await.retry_count, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn a_short_timeout_ends_the_lease_and_an_agent_lost_before_it_is_only_lost() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.spec.timeout_ms = Some(5_000)).await.id;
    let held = fleet.claim_one().await;
    assert_eq!(held.lease_until, fleet.task(id).await.started_at().unwrap() + 5_000);
    fleet.complete(&held).await.unwrap();

    let id = fleet.submit_with("faq", |new| new.spec.timeout_ms = Some(120_000)).await.id;
    fleet.claim_one().await;
    fleet.advance(PAST_LEASE);
    fleet.engine.reap().await.unwrap();

    let task = fleet.task(id).await;
    assert_eq!((task.state, task.lost_count, task.retry_count), (State::Assigned, 1, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn a_heartbeat_moves_the_lease_on() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;
    fleet.advance(Duration::from_secs(20));

    let until = fleet.extend(&held, None).await.unwrap();

    assert!(until >= held.lease_until + 20_000);
    assert_eq!(fleet.task(id).await.lease_until, Some(until));
    fleet.advance(Duration::from_secs(20));
    assert_eq!(fleet.engine.reap().await.unwrap().moved, 0);
    assert_eq!(fleet.extend(&held, Some(90_000)).await.unwrap() / 1_000, until / 1_000 + 80);
    fleet.finish().await;
}

#[tokio::test]
async fn an_agent_learns_from_its_next_word_that_its_task_was_cancelled() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;

    fleet.cancel(id).await.unwrap();

    assert_refused!(fleet.extend(&held, None).await, Error::TaskCancelled(found) if found == id);
    for late in [fleet.complete(&held).await, fleet.fail(&held).await, fleet.release(&held).await] {
        assert_refused!(late, Error::TaskCancelled(found) if found == id);
    }
    assert_eq!(fleet.state_of(id).await, State::Cancelled);
    fleet.finish().await;
}

#[tokio::test]
async fn a_released_task_costs_nothing_and_keeps_its_place() {
    let fleet = Fleet::start().await;
    let ids = fleet.submit_many("faq", 3).await;
    let first = fleet.claim_one().await;
    assert_eq!(first.task.id, ids[0]);

    fleet.release(&first).await.unwrap();

    let task = fleet.task(ids[0]).await;
    assert_eq!((task.state, task.retry_count, task.lost_count), (State::Assigned, 0, 0));
    assert_eq!(fleet.claim_one().await.task.id, ids[0]);
    fleet.finish().await;
}

#[tokio::test]
async fn the_same_report_twice_is_accepted_twice_and_counted_once() {
    let fleet = Fleet::start().await;
    fleet.submit_many("faq", 3).await;
    let (done, broken, given_up) =
        (fleet.claim_one().await, fleet.claim_one().await, fleet.claim_one().await);

    for _ in 0..2 {
        assert_eq!(fleet.complete(&done).await.unwrap(), State::Completed);
        assert_eq!(fleet.fail(&broken).await.unwrap(), State::Scheduled);
        assert_eq!(fleet.give_up(&given_up).await.unwrap(), State::Failed);
    }

    assert_eq!(fleet.task(broken.task.id).await.retry_count, 1);
    assert_eq!(
        fleet
            .event_types_of(done.task.id)
            .await
            .iter()
            .filter(|kind| *kind == "task.completed")
            .count(),
        1
    );
    assert_refused!(fleet.give_up(&done).await, Error::ResultMismatch { .. });
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_may_ask_for_its_own_lease_and_for_several_tasks() {
    let fleet = Fleet::start().await;
    fleet.submit_many("faq", 5).await;
    fleet.route().await;

    let claim = Claim { lease_ms: Some(90_000), ..fleet.ask_for("faq_agent", 3) };
    let claimed = fleet.engine.claim(&fleet.people.agent, claim).await.unwrap();

    assert_eq!(claimed.len(), 3);
    let task = &claimed[0].task;
    assert_eq!(claimed[0].lease_until, task.started_at().unwrap() + 90_000);
    assert_eq!((task.holder.as_deref(), task.attempt), (None, 1));
    let read = fleet.task(task.id).await;
    assert_eq!(
        format!("{task:?}"),
        format!("{:?}", orchestrator::domain::task::Task { observed_at: task.observed_at, ..read })
    );
    fleet.finish().await;
}

#[tokio::test]
async fn a_caller_that_takes_a_task_by_patch_is_the_only_one_who_may_end_it_so() {
    let fleet = Fleet::start().await;
    let (engine, alice, crew) = (&fleet.engine, &fleet.people.alice, &fleet.people.agent);
    let id = fleet.submit("faq").await.id;
    let completed = || StatusChange::Ended(Outcome::Completed { result: None });

    let taken = engine.change_status(crew, id, StatusChange::InProgress).await.unwrap();

    assert_eq!(
        (taken.state, taken.attempt, taken.holder.as_deref()),
        (State::InProgress, 1, Some("key:crew"))
    );
    assert_eq!(taken.lease_until.unwrap(), taken.started_at().unwrap() + 900_000);
    // Once more by the same caller is no second attempt.
    assert_eq!(engine.change_status(crew, id, StatusChange::InProgress).await.unwrap().attempt, 1);
    assert_refused!(
        engine.change_status(alice, id, StatusChange::InProgress).await,
        Error::Illegal { .. }
    );
    assert_refused!(engine.change_status(alice, id, completed()).await, Error::NotHolder { holder: Some(holder), .. } if holder == "key:crew");
    engine.change_status(crew, id, completed()).await.unwrap();
    assert_refused!(engine.change_status(alice, id, completed()).await, Error::Illegal { .. });
    fleet.finish().await;
}

#[tokio::test]
async fn status_change_cannot_skip_lease_or_approval_and_failed_is_final() {
    let fleet = Fleet::start().await;
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    let gated = fleet.submit("deploy").await.id;
    let open = fleet.submit("faq").await.id;
    let failed = || StatusChange::Ended(failed(false, None));

    assert_refused!(
        engine.change_status(alice, gated, StatusChange::InProgress).await,
        Error::Illegal { .. }
    );
    assert_refused!(engine.change_status(alice, open, failed()).await, Error::Illegal { .. });
    engine.change_status(alice, open, StatusChange::InProgress).await.unwrap();
    let task = engine.change_status(alice, open, failed()).await.unwrap();

    assert_eq!(
        (task.state, task.retry_count, task.error.as_deref()),
        (State::Failed, 0, Some("it broke"))
    );
    fleet.finish().await;
}

#[tokio::test]
async fn a_local_clock_ten_minutes_behind_the_stores_changes_nothing() {
    let fleet = Fleet::start().await;
    fleet.advance(Duration::from_secs(600));
    let task = fleet.submit_with("faq", |new| new.start = Start::After(60_000)).await;

    assert_eq!(fleet.engine.promote().await.unwrap().moved, 0);
    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.engine.promote().await.unwrap().moved, 1);
    let held = fleet.claim_one().await;
    let now = fleet.engine.check().await.unwrap();
    assert!((now..=now + 30_000).contains(&held.lease_until), "{} at {now}", held.lease_until);
    assert_eq!(fleet.engine.reap().await.unwrap().moved, 0);
    fleet.advance(Duration::from_secs(29));
    fleet.complete(&held).await.unwrap();

    let timeline = fleet.task(task.id).await.timeline;
    assert!(timeline.is_sorted_by_key(|transition| transition.at), "{timeline:?}");
    fleet.finish().await;
}
