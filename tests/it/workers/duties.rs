//! Each duty does its work without being asked, and stops when told to.

use std::time::Duration;

use orchestrator::domain::approval::ApprovalStatus;
use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::submission::Start;
use orchestrator::workers::{self, Expirer, Promoter, Pruner, Reaper, Router, Supervisor};

use crate::harness::{BOUND, DAY, Fleet, HOUR, eventually};

/// Waits until the task is in this state.
async fn becomes(fleet: &Fleet, id: TaskId, state: State) {
    let look = async || match fleet.state_of(id).await {
        found if found == state => Ok(()),
        found => Err(found),
    };
    eventually(&format!("the task is {state}"), look).await;
}

/// Stops the duties; after that they do nothing more.
async fn stop(supervisor: Supervisor) {
    let pulses = supervisor.pulses();
    assert!(
        pulses.values().all(|pulse| pulse.panics == 0 && pulse.faults == 0 && !pulse.has_stopped),
        "{pulses:?}"
    );
    assert_eq!(supervisor.finish(BOUND).await, Vec::<&str>::new());
}

#[tokio::test]
async fn the_router_assigns_what_is_submitted_and_stops() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Router::new(fleet.engine.clone()));
    let before = fleet.submit("faq").await.id;
    becomes(&fleet, before, State::Assigned).await;

    stop(supervisor).await;

    let after = fleet.submit("faq").await.id;
    assert_eq!(fleet.state_of(after).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn the_promoter_moves_what_is_due_and_stops() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Promoter::new(fleet.engine.clone()));
    let soon = fleet.submit_with("faq", |new| new.start = Start::After(20)).await.id;
    let late = fleet.submit_with("faq", |new| new.start = Start::After(3_600_000)).await.id;
    becomes(&fleet, soon, State::Pending).await;
    assert_eq!(fleet.state_of(late).await, State::Scheduled);

    stop(supervisor).await;

    fleet.advance(HOUR);
    assert_eq!(fleet.state_of(late).await, State::Scheduled);
    fleet.finish().await;
}

#[tokio::test]
async fn the_reaper_takes_back_what_was_lost_and_stops() {
    let fleet = Fleet::start().await;
    fleet.submit_many("faq", 2).await;
    let (lost, kept) = (fleet.claim_one().await.task.id, fleet.claim_one().await);
    fleet.advance(Duration::from_secs(20));
    fleet.extend(&kept, None).await.unwrap();
    let supervisor = fleet.supervise(Reaper::new(fleet.engine.clone()));
    fleet.advance(Duration::from_secs(11));
    becomes(&fleet, lost, State::Assigned).await;
    assert_eq!(fleet.state_of(kept.task.id).await, State::InProgress);

    stop(supervisor).await;

    fleet.advance(Duration::from_secs(60));
    assert_eq!(fleet.state_of(kept.task.id).await, State::InProgress);
    fleet.finish().await;
}

#[tokio::test]
async fn expirer_ends_undecided_approvals_and_stops() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Expirer::new(fleet.engine.clone()));
    let id = fleet.submit("deploy").await.id;
    fleet.advance(DAY);
    becomes(&fleet, id, State::Cancelled).await;
    assert_eq!(fleet.approval_of(id).await.status, ApprovalStatus::Expired);
    let later = fleet.submit("deploy").await.id;

    stop(supervisor).await;

    fleet.advance(DAY);
    assert_eq!(fleet.state_of(later).await, State::Blocked);
    fleet.finish().await;
}

#[tokio::test]
async fn the_pruner_forgets_what_ended_long_ago_and_stops() {
    let fleet = Fleet::start().await;
    let (first, second) = (fleet.submit("faq").await.id, fleet.submit("faq").await.id);
    fleet.cancel(first).await.unwrap();
    fleet.advance(7 * DAY);
    let supervisor = fleet.supervise(Pruner::new(fleet.engine.clone()));
    let look = async || fleet.engine.task(first).await.map_or(Ok(()), |task| Err(task.state));
    eventually("the task is forgotten", look).await;

    stop(supervisor).await;

    fleet.cancel(second).await.unwrap();
    fleet.advance(7 * DAY);
    assert_eq!(fleet.state_of(second).await, State::Cancelled);
    fleet.finish().await;
}

#[tokio::test]
async fn all_duties_together_carry_a_task_through_failure_loss_and_back() {
    let fleet =
        Fleet::build().settings(|settings| settings.tasks.backoff.base_ms = 1).start().await;
    let supervisor = Supervisor::default();
    workers::start_all(&supervisor, &fleet.engine);
    let id = fleet.submit_with("deploy", |new| new.start = Start::After(30)).await.id;
    fleet.approve(fleet.task(id).await.approval.unwrap()).await.unwrap();
    let next = async || {
        let look = async || fleet.claim("ops_agent", 1).await.pop().ok_or("nothing to claim");
        eventually("the task can be claimed", look).await
    };

    fleet.fail(&next().await).await.unwrap();
    next().await;
    fleet.advance(Duration::from_secs(31));
    let last = next().await;
    fleet.complete(&last).await.unwrap();

    let task = fleet.task(id).await;
    assert_eq!((task.attempt, task.retry_count, task.lost_count), (3, 1, 1));
    assert_eq!(supervisor.pulses().len(), 9);
    stop(supervisor).await;
    fleet.finish().await;
}
