//! No repair leads a task past an approval that it needs.

use orchestrator::domain::approval::ApprovalStatus;
use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::State;

use super::ward::Ward;
use crate::harness::{approval_key, key};

/// After the repair the task waits for a human, in a list that humans see; and after a yes it is done.
async fn waits_for_a_human(ward: Ward, id: TaskId) {
    assert_eq!(ward.fleet.state_of(id).await, State::Blocked);
    let approval = ward.fleet.approval_of(id).await;
    assert_eq!((approval.status, approval.task), (ApprovalStatus::Pending, id));
    let (pending, _) = ward.fleet.engine.approval(approval.id).await.unwrap();
    assert!(pending.expires_at.is_some());
    ward.ends_well().await;
}

#[tokio::test]
async fn a_blocked_task_whose_request_is_lost_is_asked_about_again() {
    let ward = Ward::open().await;
    let id = ward.blocked.id;
    ward.lose_approval(ward.blocked.approval.unwrap(), "pending").await;

    ward.is_repaired("which is not its own").await;

    waits_for_a_human(ward, id).await;
}

#[tokio::test]
async fn a_blocked_task_that_names_no_request_is_asked_about() {
    let ward = Ward::open().await;
    let id = ward.blocked.id;
    ward.fleet.redis.edit_record(id, "approval", "-").await;

    ward.is_repaired("is blocked without an approval").await;

    waits_for_a_human(ward, id).await;
}

#[tokio::test]
async fn a_task_whose_approval_is_lost_waits_for_a_new_one() {
    let ward = Ward::open().await;
    let id = ward.approved.id;
    ward.lose_approval(ward.approved.approval.unwrap(), "approved").await;

    ward.is_repaired("which is not its own").await;

    waits_for_a_human(ward, id).await;
}

#[tokio::test]
async fn a_task_at_work_whose_approval_is_lost_is_taken_from_its_agent() {
    let ward = Ward::open().await;
    let id = ward.approved.id;
    let held = ward.fleet.claim_one_of("ops_agent").await;
    ward.redis(&["DEL", &approval_key(ward.approved.approval.unwrap())]).await;

    ward.is_repaired("which is not its own").await;

    assert!(ward.fleet.complete(&held).await.is_err());
    waits_for_a_human(ward, id).await;
}

#[tokio::test]
async fn a_task_that_went_on_without_a_yes_is_put_back() {
    for state in ["scheduled", "pending", "assigned", "in_progress"] {
        let ward = Ward::open().await;
        let id = ward.blocked.id;
        ward.fleet.redis.edit_record(id, "state", state).await;

        ward.is_repaired("though its approval is pending").await;

        waits_for_a_human(ward, id).await;
    }
}

#[tokio::test]
async fn a_blocked_task_that_looks_approved_is_asked_about_again() {
    let ward = Ward::open().await;
    let (id, approval) = (ward.blocked.id, ward.blocked.approval.unwrap().to_string());
    ward.redis(&["HSET", &approval_key(&approval), "status", "approved", "decided_at", "1"]).await;

    ward.is_repaired("is blocked though its approval is approved").await;

    waits_for_a_human(ward, id).await;
}

#[tokio::test]
async fn an_open_task_that_was_refused_is_cancelled() {
    for status in ["rejected", "expired", "cancelled"] {
        let ward = Ward::open().await;
        let approval = ward.approved.approval.unwrap().to_string();
        ward.redis(&["HSET", &approval_key(&approval), "status", status]).await;

        ward.is_repaired(&format!("is assigned though its approval is {status}")).await;

        assert_eq!(ward.fleet.state_of(ward.approved.id).await, State::Cancelled);
        ward.ends_well().await;
    }
}

#[tokio::test]
async fn a_request_that_its_task_does_not_wait_for_is_closed() {
    let ward = Ward::open().await;
    let stray = orchestrator::domain::ids::ApprovalId::new(orchestrator::domain::ids::Partition(0));
    let (hash, id) = (approval_key(stray), ward.blocked.id.to_string());
    ward.redis(&["HSET", &hash, "task", &id, "status", "pending", "by", "key:mallory"]).await;
    let gate = "1\n0\nreject\n-\n1000\n{\"levels\":[],\"quorum\":1,\"four_eyes\":false,\"on_expiry\":\"reject\",\"remind_every_ms\":null}\n\"x\"";
    ward.redis(&[
        "HSET",
        &hash,
        "requested_at",
        "1",
        "expires_at",
        "9000000000000",
        "digest",
        "d",
        "gate",
        gate,
    ])
    .await;
    ward.redis(&["ZADD", &key("approvals:pending"), "9000000000000", &stray.to_string()]).await;

    ward.is_repaired("which does not wait for it").await;

    assert!(ward.fleet.approve(stray).await.is_err());
    assert_eq!(ward.fleet.state_of(ward.blocked.id).await, State::Blocked);
    ward.ends_well().await;
}

#[tokio::test]
async fn a_finished_task_whose_approval_is_lost_is_asked_about_when_it_is_requeued() {
    let ward = Ward::open().await;
    let id = ward.approved.id;
    let held = ward.fleet.claim_one_of("ops_agent").await;
    ward.fleet.give_up(&held).await.unwrap();
    ward.redis(&["DEL", &approval_key(ward.approved.approval.unwrap())]).await;
    ward.fleet.engine.repair().await.unwrap();

    ward.fleet.requeue(id).await.unwrap();

    waits_for_a_human(ward, id).await;
}
