//! Children, and what becomes of them when their parent ends.

use orchestrator::domain::ids::{Partition, TaskId};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::parent::OnParentCancel;
use orchestrator::domain::submission::{NewTask, Spec};
use orchestrator::domain::task::Task;
use orchestrator::engine::Error;

use crate::harness::{Fleet, assert_refused, idempotency, new_task};

fn child_of(parent: TaskId, on_parent_cancel: OnParentCancel) -> NewTask {
    Spec { parent: Some(parent), on_parent_cancel, ..new_task("faq").spec }.into()
}

async fn child(fleet: &Fleet, parent: &Task, on_parent_cancel: OnParentCancel) -> Task {
    fleet.try_submit(child_of(parent.id, on_parent_cancel)).await.unwrap().task
}

#[tokio::test]
async fn cancelled_parent_cancels_only_children_set_to_follow_it() {
    let fleet = Fleet::start().await;
    let parent = fleet.submit("deploy").await;
    let goes_on = child(&fleet, &parent, OnParentCancel::Continue).await;
    let ends = child(&fleet, &parent, OnParentCancel::Cancel).await;
    let done = child(&fleet, &parent, OnParentCancel::Cancel).await;
    let gated = Spec {
        parent: Some(ends.id),
        on_parent_cancel: OnParentCancel::Cancel,
        ..new_task("deploy").spec
    };
    let grandchild = fleet.try_submit(gated.into()).await.unwrap().task;
    fleet.route().await;
    for held in fleet.claim("faq_agent", 10).await {
        if held.task.id == done.id {
            fleet.complete(&held).await.unwrap();
        }
    }
    fleet.reject(parent.approval.unwrap()).await.unwrap();

    // The children of each generation come with the next step.
    for _ in 0..3 {
        fleet.engine.cascade().await.unwrap();
    }

    let ended = fleet.task(ends.id).await;
    assert_eq!(
        (ended.state, ended.spec.on_parent_cancel),
        (State::Cancelled, OnParentCancel::Cancel)
    );
    assert_eq!(ended.error, Some(format!("its parent {} was cancelled", parent.id)));
    assert_eq!(fleet.state_of(grandchild.id).await, State::Cancelled);
    assert_eq!(fleet.state_of(goes_on.id).await, State::InProgress);
    assert_eq!(fleet.state_of(done.id).await, State::Completed);
    assert_eq!(fleet.redis.count("cascade").await, 0);
    fleet.finish().await;
}

#[tokio::test]
async fn more_children_than_one_call_takes_end_with_their_parent() {
    let fleet = Fleet::start().await;
    let parent = fleet.submit("faq").await;
    let children = vec![child_of(parent.id, OnParentCancel::Cancel); 250];
    let children = fleet.engine.submit(&fleet.people.alice, children).await.unwrap();
    fleet.cancel(parent.id).await.unwrap();

    fleet.engine.cascade().await.unwrap();

    for child in children {
        assert_eq!(fleet.state_of(child.unwrap().task.id).await, State::Cancelled);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_parent_that_ended_or_is_not_there_gets_no_child() {
    let fleet = Fleet::start().await;
    let parent = fleet.submit("faq").await;
    let keyed = || NewTask {
        idempotency: idempotency("k", "b"),
        ..child_of(parent.id, OnParentCancel::Cancel)
    };
    let first = fleet.try_submit(keyed()).await.unwrap().task;
    fleet.cancel(parent.id).await.unwrap();

    let late = fleet.try_submit(child_of(parent.id, OnParentCancel::Continue)).await;
    assert_refused!(late, Error::FinalParent { state: State::Cancelled, .. });
    let unknown = child_of(TaskId::new(Partition(0)), OnParentCancel::Continue);
    assert_refused!(fleet.try_submit(unknown).await, Error::Invalid(_));
    // The answer to a submission that was accepted stays the same.
    let again = fleet.try_submit(keyed()).await.unwrap();
    assert_eq!((again.is_replay, again.task.id), (true, first.id));

    assert_eq!(fleet.redis.count_tasks().await, 2);
    fleet.finish().await;
}

#[tokio::test]
async fn children_in_other_partitions_are_found_and_their_parents_too() {
    let fleet = Fleet::build().partitions(3).start().await;
    let parent = fleet.submit("faq").await;
    let mut children = Vec::new();
    for nth in 0..12 {
        let child = child_of(parent.id, OnParentCancel::Cancel);
        let keyed = NewTask { idempotency: idempotency(&format!("k{nth}"), "b"), ..child };
        children.push(fleet.try_submit(keyed).await.unwrap().task.id);
    }
    assert!(children.iter().any(|id| id.partition() != parent.id.partition()));
    fleet.cancel(parent.id).await.unwrap();
    fleet.engine.cascade().await.unwrap();

    for id in children {
        assert_eq!(fleet.state_of(id).await, State::Cancelled);
    }
    for nth in 0..12 {
        let child = child_of(parent.id, OnParentCancel::Continue);
        let late = NewTask { idempotency: idempotency(&format!("late{nth}"), "b"), ..child };
        assert_refused!(fleet.try_submit(late).await, Error::FinalParent { .. });
        let unknown = child_of(TaskId::new(Partition(nth % 3)), OnParentCancel::Continue);
        let unknown = NewTask { idempotency: idempotency(&format!("none{nth}"), "b"), ..unknown };
        assert_refused!(fleet.try_submit(unknown).await, Error::Invalid(_));
    }
    fleet.finish().await;
}
