//! Starting later: delays, start times, back-off; and in which order what waits is taken.

use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::Claimed;

use crate::harness::{Fleet, failed};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn a_delayed_task_waits_for_its_time_and_not_longer() {
    let fleet = Fleet::start().await;
    let task = fleet.submit_with("faq", |new| new.start = Start::After(60_000)).await;
    assert_eq!(
        (task.state, task.scheduled_for),
        (State::Scheduled, Some(task.created_at + 60_000))
    );

    fleet.advance(seconds(59));
    let early = fleet.engine.promote().await.unwrap();
    assert_eq!(early.moved, 0);
    assert!(early.next_in.unwrap() <= seconds(1), "{early:?}");

    fleet.advance(seconds(1));
    assert_eq!(fleet.engine.promote().await.unwrap().moved, 1);
    assert_eq!(fleet.claim_one().await.task.id, task.id);
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_starts_at_a_given_time_and_one_in_the_past_means_now() {
    let fleet = Fleet::start().await;
    let now = fleet.engine.check().await.unwrap();

    let ahead = fleet.submit_with("faq", |new| new.start = Start::At(now + 5_000)).await;
    let past = fleet.submit_with("faq", |new| new.start = Start::At(now - 5_000)).await;

    assert_eq!((ahead.state, ahead.scheduled_for), (State::Scheduled, Some(now + 5_000)));
    assert_eq!((past.state, past.scheduled_for), (State::Pending, None));
    fleet.advance(seconds(6));
    fleet.engine.promote().await.unwrap();
    assert_eq!(fleet.state_of(ahead.id).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn delayed_task_does_not_overtake_tasks_queued_before_its_start() {
    let fleet = Fleet::start().await;
    let late = fleet.submit_with("faq", |new| new.start = Start::After(10_000)).await.id;
    fleet.advance(seconds(5));
    let first = fleet.submit("faq").await.id;
    fleet.advance(seconds(10));
    let last = fleet.submit("faq").await.id;
    fleet.engine.promote().await.unwrap();

    fleet.route().await;
    let order: Vec<_> =
        fleet.claim("faq_agent", 10).await.into_iter().map(|held| held.task.id).collect();

    assert_eq!(order, [first, late, last]);
    fleet.finish().await;
}

/// How long the task is to wait after a failure, in ms.
async fn wait_after_failure(fleet: &Fleet, held: &Claimed) -> u64 {
    assert_eq!(fleet.fail(held).await.unwrap(), State::Scheduled);
    let task = fleet.task(held.task.id).await;
    task.scheduled_for.unwrap() - task.since
}

#[tokio::test]
async fn the_wait_after_each_failure_doubles_and_is_between_a_half_and_the_whole() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.spec.max_retries = 12).await.id;
    for (failures, full) in
        [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]
            .iter()
            .enumerate()
    {
        let wait = wait_after_failure(&fleet, &fleet.claim_one().await).await;

        assert!((full / 2..=*full).contains(&wait), "{wait} ms after {} failures", failures + 1);
        fleet.advance(Duration::from_millis(wait));
        fleet.engine.promote().await.unwrap();
    }
    assert_eq!(fleet.task(id).await.retry_count, 10);
    fleet.finish().await;
}

#[tokio::test]
async fn tasks_that_failed_apart_do_not_come_back_together() {
    let fleet = Fleet::start().await;
    fleet.submit_many("faq", 20).await;
    let mut waits = Vec::new();
    for _ in 0..20 {
        waits.push(wait_after_failure(&fleet, &fleet.claim_one().await).await);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 5, "{waits:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn an_agent_may_say_how_long_to_wait() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    for wait in [7_200_000, 0] {
        fleet.report(&fleet.claim_one().await, failed(true, Some(wait))).await.unwrap();
        let task = fleet.task(id).await;
        assert_eq!(task.scheduled_for.unwrap() - task.since, wait);
        fleet.advance(Duration::from_millis(wait));
        fleet.engine.promote().await.unwrap();
    }
    assert_eq!(fleet.state_of(id).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_is_tried_once_more_than_it_may_be_retried_and_then_failed() {
    let fleet = Fleet::start().await;
    for max_retries in [0, 2] {
        let id = fleet.submit_with("faq", |new| new.spec.max_retries = max_retries).await.id;
        for _ in 0..max_retries {
            assert_eq!(fleet.fail(&fleet.claim_one().await).await.unwrap(), State::Scheduled);
            fleet.advance(seconds(300));
            fleet.engine.promote().await.unwrap();
        }

        assert_eq!(fleet.fail(&fleet.claim_one().await).await.unwrap(), State::Failed);

        let task = fleet.task(id).await;
        assert_eq!((task.attempt, task.error.as_deref()), (max_retries + 1, Some("it broke")));
        assert!(task.completed_at().is_some());
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_failure_that_cannot_be_repaired_by_trying_again_is_final() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;

    assert_eq!(fleet.give_up(&fleet.claim_one().await).await.unwrap(), State::Failed);

    assert_eq!(fleet.event_types_of(id).await.last().unwrap(), "task.failed");
    fleet.finish().await;
}

/// Routes, claims everything of `faq_agent`, and names the priorities in the order of the claims.
async fn claimed_priorities(fleet: &Fleet) -> Vec<Priority> {
    fleet.route().await;
    fleet.claim("faq_agent", 100).await.into_iter().map(|held| held.task.spec.priority).collect()
}

#[tokio::test]
async fn the_most_urgent_goes_first_and_equals_go_in_the_order_of_their_coming() {
    let fleet = Fleet::build().without_approvals().start().await;
    use Priority::{P0, P1, P2, P3};
    let mut submitted = Vec::new();
    for priority in [P3, P2, P1, P0, P2, P0] {
        submitted.push(fleet.submit_with("faq", |new| new.spec.priority = priority).await.id);
        fleet.advance(Duration::from_millis(1));
    }

    fleet.route().await;
    let claimed = fleet.claim("faq_agent", 10).await;

    let order: Vec<_> = claimed
        .iter()
        .map(|held| submitted.iter().position(|id| *id == held.task.id).unwrap())
        .collect();
    assert_eq!(order, [3, 5, 2, 1, 4, 0]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_p3_task_waits_behind_later_ones_no_longer_than_their_head_start() {
    let fleet = Fleet::build().without_approvals().start().await;
    use Priority::{P0, P1, P2, P3};
    let submit =
        async |priority| fleet.submit_with("faq", |new| new.spec.priority = priority).await;
    submit(P3).await;
    fleet.advance(seconds(59));
    submit(P2).await;
    fleet.advance(seconds(2));
    submit(P2).await;
    fleet.advance(seconds(538));
    submit(P1).await;
    fleet.advance(seconds(2));
    submit(P1).await;
    submit(P0).await;

    // P0 always first; the first P1 and P2 came within their head starts, the second ones too late to overtake.
    assert_eq!(claimed_priorities(&fleet).await, [P0, P2, P1, P3, P2, P1]);
    fleet.finish().await;
}

#[tokio::test]
async fn more_tasks_than_one_step_moves_are_routed_in_order_all_the_same() {
    let fleet = Fleet::build().without_approvals().start().await;
    fleet.submit_many("faq", 250).await;
    fleet.submit_with("faq", |new| new.spec.priority = Priority::P0).await;

    let first = fleet.engine.route().await.unwrap();
    assert!(first.moved == 100 && first.is_more, "{first:?}");
    fleet.route().await;

    let priorities = claimed_priorities(&fleet).await;
    assert_eq!((priorities[0], priorities.len()), (Priority::P0, 100));
    fleet.finish().await;
}
