//! The doctor finds every inconsistency, and names it.

use orchestrator::domain::ids::TaskId;
use orchestrator::engine::Finding;

use super::ward::Ward;
use crate::harness::{Fleet, LEAVE_INDEX, approval_key, key, looking_on};

#[tokio::test]
async fn a_sound_store_has_no_findings_in_any_partition() {
    Ward::open().await.fleet.finish().await;
    let fleet = Fleet::build().partitions(3).start().await;
    fleet.submit_many("faq", 30).await;
    fleet.route().await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_that_is_missing_from_its_set_is_found_in_every_state() {
    for nth in 0..6 {
        let ward = Ward::open().await;
        let (set, id) = [
            ("blocked", ward.blocked.id),
            ("scheduled", ward.scheduled),
            ("pending", ward.pending),
            ("assigned:faq_agent", ward.assigned),
            ("in_progress:faq_agent", ward.held),
            ("completed", ward.completed),
        ][nth];

        ward.redis(&["ZREM", &key(set), &id.to_string()]).await;

        let missing = format!("is missing from {}", key(set));
        ward.finds(id, &[&missing]).await;
    }
}

#[tokio::test]
async fn a_task_that_stands_in_two_sets_is_found() {
    let ward = Ward::open().await;
    let id = ward.held;

    ward.redis(&["ZADD", &key("assigned:faq_agent"), "1", &id.to_string()]).await;

    ward.finds(id, &["is in_progress but stands in", "assigned:faq_agent too"]).await;
}

#[tokio::test]
async fn a_task_at_a_wrong_place_of_its_set_is_found() {
    for nth in 0..3 {
        let ward = Ward::open().await;
        let (set, id) = [
            ("pending", ward.pending),
            ("assigned:faq_agent", ward.assigned),
            ("scheduled", ward.scheduled),
        ][nth];

        ward.redis(&["ZADD", &key(set), "77", &id.to_string()]).await;

        let stands = format!("stands in {} at 77", key(set));
        ward.finds(id, &[&stands]).await;
    }
}

#[tokio::test]
async fn what_is_left_of_a_task_without_its_record_is_found() {
    let ward = Ward::open().await;
    let id = ward.completed;

    ward.redis(&["HDEL", &key("records"), &id.to_string()]).await;

    let set = format!("is in {} but has no record", key("completed"));
    let rest = [
        "has a spec but no record",
        "has a result but no record",
        "is in the index of tasks but has no record",
    ];
    ward.finds(id, &[&[set.as_str()], &rest[..]].concat()).await;
}

#[tokio::test]
async fn a_spec_without_anything_else_is_found() {
    let ward = Ward::open().await;
    let id = TaskId::new(orchestrator::domain::ids::Partition(0));

    ward.redis(&["HSET", &key("specs"), &id.to_string(), "{}"]).await;

    ward.finds(id, &["has a spec but no record"]).await;
}

#[tokio::test]
async fn a_task_without_its_spec_or_its_place_in_the_index_is_found() {
    let ward = Ward::open().await;
    let id = ward.assigned;

    ward.redis(&["HDEL", &key("specs"), &id.to_string()]).await;
    ward.redis(&["EVAL", LEAVE_INDEX, "1", &key("tasks"), &id.to_string()]).await;

    ward.finds(id, &["has no spec", "is missing from the index of tasks"]).await;
}

#[tokio::test]
async fn an_approval_that_is_missing_from_its_list_is_found() {
    let ward = Ward::open().await;
    let approval = ward.blocked.approval.unwrap().to_string();

    ward.redis(&["ZREM", &key("approvals:pending"), &approval]).await;

    ward.finds(approval, &["is missing from approvals:pending"]).await;
}

#[tokio::test]
async fn an_approval_that_cannot_be_read_is_found() {
    let ward = Ward::open().await;
    let approval = ward.blocked.approval.unwrap();

    ward.redis(&["HDEL", &approval_key(approval), "gate"]).await;

    ward.finds(approval, &["is an approval that cannot be read"]).await;
}

#[tokio::test]
async fn a_state_that_the_timeline_does_not_end_with_is_found() {
    let ward = Ward::open().await;
    let id = ward.completed;
    ward.fleet.redis.edit_record(id, "state", "failed").await;
    let ended: String = ward.fleet.redis.ask(&["ZSCORE", &key("completed"), &id.to_string()]).await;

    ward.redis(&["ZREM", &key("completed"), &id.to_string()]).await;
    ward.redis(&["ZADD", &key("failed"), &ended, &id.to_string()]).await;

    ward.finds(id, &["is failed, but its timeline ends with completed"]).await;
}

#[tokio::test]
async fn an_approval_that_is_gone_is_found() {
    let ward = Ward::open().await;
    let id = ward.blocked.id;

    ward.lose_approval(ward.blocked.approval.unwrap(), "pending").await;

    ward.finds(id, &["which is not its own"]).await;
}

#[tokio::test]
async fn an_entry_of_the_approvals_without_an_approval_is_found() {
    let ward = Ward::open().await;
    let stray = TaskId::new(orchestrator::domain::ids::Partition(0));

    ward.redis(&["ZADD", &key("approvals:rejected"), "1", &stray.to_string()]).await;

    ward.finds(stray, &["is in approvals:rejected but has no hash"]).await;
}

#[tokio::test]
async fn a_task_that_went_on_without_a_yes_is_found() {
    let ward = Ward::open().await;
    let id = ward.blocked.id;
    ward.fleet.redis.edit_record(id, "state", "pending").await;
    let rank = ward.fleet.redis.edit_record(id, "rank", "0000000000000").await;
    ward.fleet.redis.edit_record(id, "rank", &rank).await;

    ward.redis(&["ZREM", &key("blocked"), &id.to_string()]).await;
    ward.redis(&["ZADD", &key("pending"), &rank, &id.to_string()]).await;

    ward.finds(id, &["is pending though its approval is pending"]).await;
}

#[tokio::test]
async fn doctor_finds_a_blocked_task_and_approval_whose_link_is_lost() {
    let ward = Ward::open().await;
    let (id, approval) = (ward.blocked.id.to_string(), ward.blocked.approval.unwrap().to_string());

    ward.fleet.redis.edit_record(ward.blocked.id, "approval", "-").await;

    let findings = ward.fleet.engine.doctor().await.unwrap();
    let found: Vec<_> =
        findings.iter().map(|found| (found.subject.clone(), found.problem.to_string())).collect();
    let request = format!("asks about the task {id}, which does not wait for it");
    assert_eq!(found, [(approval, request), (id, "is blocked without an approval".to_owned())]);
    ward.fleet.discard();
}

#[tokio::test]
async fn a_wrong_count_of_open_tasks_is_found() {
    for (priority, what) in
        [("P2", "counts 8 open tasks of P2 where there are 7"), ("P1", "counts 1 open tasks of P1")]
    {
        let ward = Ward::open().await;

        ward.redis(&["HINCRBY", &key("open"), priority, "1"]).await;

        ward.finds("open of partition 0", &[what]).await;
    }
}

#[tokio::test]
async fn a_key_that_has_no_place_or_is_of_another_kind_is_found() {
    let ward = Ward::open().await;
    ward.redis(&["HSET", &key("nonsense"), "a", "b"]).await;
    ward.finds(key("nonsense"), &["is no key of this layout"]).await;

    let ward = Ward::open().await;
    ward.redis(&["SADD", &key("failed"), "x"]).await;
    let findings = ward.fleet.engine.repair().await.unwrap();
    let is_it = |found: &Finding| {
        found.subject == key("failed")
            && found.problem.to_string() == "is a set where a zset belongs"
    };
    assert!(findings.iter().any(is_it), "{findings:#?}");
    let others = findings.iter().filter(|found| !is_it(found));
    assert!(
        others
            .clone()
            .all(|found| found.problem.to_string().starts_with("cannot be checked in full")),
        "{findings:#?}"
    );
    ward.fleet.discard();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_found_and_hides_no_other() {
    let ward = Ward::open().await;
    let id = ward.pending.to_string();
    ward.redis(&["HSET", &key("records"), &id, "nonsense"]).await;
    let other = ward.assigned.to_string();
    ward.redis(&["EVAL", LEAVE_INDEX, "1", &key("tasks"), &other]).await;

    let findings = ward.fleet.engine.doctor().await.unwrap();

    let has = |subject: &str, what: &str| {
        findings
            .iter()
            .any(|found| found.subject == subject && found.problem.to_string().contains(what))
    };
    assert!(has(&id, "has a record that cannot be read"), "{findings:#?}");
    assert!(has(&other, "is missing from the index of tasks"), "{findings:#?}");
    ward.fleet.discard();
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_a_fleet_at_work() {
    let fleet = Fleet::start().await;
    let work = async {
        for _ in 0..15 {
            fleet.submit_many("faq", 10).await;
            fleet.route().await;
            for held in fleet.claim("faq_agent", 8).await {
                fleet.complete(&held).await.unwrap();
            }
        }
    };

    let looks = looking_on(work, async || fleet.engine.doctor().await.unwrap()).await;

    assert!(!looks.is_empty(), "the doctor never came to an end while the fleet worked");
    assert_eq!(looks.concat(), []);
    fleet.finish().await;
}
