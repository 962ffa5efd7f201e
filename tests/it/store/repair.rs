//! `orchestrator doctor --repair`: what is broken is repaired, and the task finishes its life.

use orchestrator::domain::ids::{ApprovalId, Partition, TaskId};
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::Repair;

use super::ward::Ward;
use crate::harness::{
    Fleet, LEAVE_INDEX, LOSE_TIMER, approval_key, assert_refused, key, key_in, looking_on,
};
use orchestrator::engine::Error;

/// One entry is deleted from, or put wrong in, each index in turn; the command may name `{…}` of the ward.
async fn is_repaired_and_ends_well(damage: &[&str], what: &str) {
    let ward = Ward::open().await;
    let stray = TaskId::new(Partition(0));
    let names = [
        ("{blocked}", ward.blocked.id.to_string()),
        ("{approval}", ward.blocked.approval.unwrap().to_string()),
        ("{approved}", ward.approved.id.to_string()),
        ("{approved_by}", ward.approved.approval.unwrap().to_string()),
        ("{scheduled}", ward.scheduled.to_string()),
        ("{pending}", ward.pending.to_string()),
        ("{child}", ward.child.to_string()),
        ("{assigned}", ward.assigned.to_string()),
        ("{held}", ward.held.to_string()),
        ("{completed}", ward.completed.to_string()),
        ("{stray}", stray.to_string()),
        ("{p}", key("")),
    ];
    let fill =
        |word: &str| names.iter().fold(word.to_owned(), |word, (name, id)| word.replace(name, id));
    let words: Vec<_> = damage.iter().map(|word| fill(word)).collect();
    ward.redis(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;

    ward.is_repaired(&fill(what)).await;
    ward.ends_well().await;
}

macro_rules! damages {
    ($($name:ident: $damage:expr, $what:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                is_repaired_and_ends_well(&$damage, $what).await;
            }
        )*
    };
}

damages! {
    a_blocked_task_out_of_its_set_is_put_back: ["ZREM", "{p}blocked", "{blocked}"], "is missing from";
    a_timer_that_is_lost_is_set_again: ["ZREM", "{p}scheduled", "{scheduled}"], "is scheduled but is missing from";
    a_task_lost_from_the_queue_is_put_back: ["ZREM", "{p}pending", "{pending}"], "is pending but is missing from";
    a_task_lost_from_its_subject_is_put_back: ["ZREM", "{p}assigned:faq_agent", "{assigned}"], "is missing from";
    a_subject_that_is_lost_is_made_again: ["DEL", "{p}assigned:ops_agent"], "is assigned but is missing from";
    a_lease_that_is_lost_ends: ["ZREM", "{p}in_progress:faq_agent", "{held}"], "is in_progress but is missing from";
    a_lease_without_an_end_ends: ["ZADD", "{p}in_progress:faq_agent", "inf", "{held}"], "longer than any lease";
    a_finished_task_out_of_its_set_is_put_back: ["ZREM", "{p}completed", "{completed}"], "is missing from";
    a_finished_task_at_another_time_is_put_there: ["ZADD", "{p}completed", "1", "{completed}"], "at 1, not at";
    a_task_at_a_wrong_place_is_put_there: ["ZADD", "{p}pending", "77", "{pending}"], "at 77, not at";
    a_task_in_two_sets_leaves_the_wrong_one: ["ZADD", "{p}assigned:faq_agent", "1", "{held}"], "is in_progress but stands in";
    a_finished_task_leaves_the_queue: ["ZADD", "{p}pending", "1", "{completed}"], "is completed but stands in";
    a_member_without_a_task_leaves_its_set: ["ZADD", "{p}pending", "1", "{stray}"], "but has no record";
    a_spec_without_a_task_is_removed: ["HSET", "{p}specs", "{stray}", "{}"], "has a spec but no record";
    a_result_without_a_task_is_removed: ["HSET", "{p}results", "{stray}", "1"], "has a result but no record";
    progress_without_a_task_is_removed: ["HSET", "{p}progress", "{stray}", "{}"], "has progress but no record";
    what_is_left_of_a_record_is_removed: ["HDEL", "{p}records", "{assigned}"], "but has no record";
    an_entry_missing_from_the_index_of_tasks_is_added: ["EVAL", LEAVE_INDEX, "1", "{p}tasks", "{held}"], "is missing from the index of tasks";
    an_index_of_tasks_that_is_lost_is_made_again: ["DEL", "{p}tasks"], "is missing from the index of tasks";
    a_group_at_a_wrong_place_of_the_index_is_taken_apart: ["ZADD", "{p}tasks", "5", "{held} {pending} {assigned}"], "not at its acceptance";
    a_task_that_is_gone_leaves_its_group: ["ZADD", "{p}tasks", "9", "{held}  {stray}"], "is in the index of tasks but has no record";
    an_entry_at_a_wrong_place_of_the_index_is_put_there: ["ZADD", "{p}tasks", "5", "{held}"], "not at its acceptance";
    a_child_that_is_missing_is_added: ["ZREM", "{p}children:{pending}", "{child}"], "is missing from the children of {pending}";
    a_child_at_a_wrong_place_is_put_there: ["ZADD", "{p}children:{pending}", "5", "{child}"], "stands among the children of {pending} at 5";
    a_reminder_without_need_is_taken_out: ["ZADD", "{p}reminders", "9e15", "{approval}"], "is to be reminded of without need";
    an_agent_that_is_looked_at_too_late_is_looked_at_now: ["ZADD", "{p}roster", "9e15", "faq_agent"], "after its lease ends";
    a_child_of_somebody_else_is_taken_out: ["ZADD", "{p}children:{pending}", "1", "{held}"], "which is not its parent";
    a_child_that_is_gone_is_taken_out: ["ZADD", "{p}children:{held}", "1", "{stray}"], "but has no record";
    an_approval_missing_from_its_list_is_put_back: ["ZREM", "{p}approvals:pending", "{approval}"], "is missing from approvals:pending";
    a_decision_missing_from_its_list_is_put_back: ["ZREM", "{p}approvals:approved", "{approved_by}"], "is missing from approvals:approved";
    an_approval_in_two_lists_leaves_the_wrong_one: ["ZADD", "{p}approvals:rejected", "1", "{approval}"], "stands in approvals:rejected too";
    an_approval_at_a_wrong_expiry_is_put_there: ["ZADD", "{p}approvals:pending", "9e15", "{approval}"], "stands in approvals:pending at 9000000000000000";
    an_entry_without_an_approval_is_taken_out: ["ZADD", "{p}approvals:expired", "1", "{stray}"], "but has no hash";
    a_counter_that_is_too_high_is_corrected: ["HINCRBY", "{p}open", "P2", "5"], "counts 12 open tasks of P2 where there are 7";
    a_counter_that_is_too_low_is_corrected: ["HSET", "{p}open", "P2", "-2"], "counts -2 open tasks of P2";
    counters_that_are_lost_are_counted_again: ["DEL", "{p}open"], "counts 0 open tasks of P2 where there are 7";
    a_counter_of_nothing_is_removed: ["HSET", "{p}open", "P9", "4"], "counts 4 open tasks of P9 where there are 0";
    an_agent_that_is_forgotten_is_known_again: ["ZREM", "{p}roster", "faq_agent"], "is missing from the roster";
    agents_that_are_all_forgotten_are_known_again: ["DEL", "{p}roster"], "is missing from the roster";
    a_paused_agent_that_is_forgotten_is_known_again: ["SADD", "{p}paused", "idle_agent"], "is missing from the roster";
    a_session_of_the_future_is_put_to_now: ["ZADD", "{p}sessions:faq_agent", "9e15", "ghost"], "last seen in the future";
    a_deadline_that_nobody_watches_is_watched_again: ["EVAL", LOSE_TIMER, "2", "{p}tasks", "{p}timers", "{pending}"], "has its timer at -";
    deadlines_that_are_all_forgotten_are_watched_again: ["DEL", "{p}timers"], "has its timer at -";
    a_deadline_that_is_watched_at_a_wrong_time_is_put_there: ["ZADD", "{p}timers", "77", "{held}"], "has its timer at 77";
    a_timer_for_a_group_that_is_gone_is_forgotten: ["ZADD", "{p}timers", "9e12", "1234567890123000"], "has a timer but no record";
    the_deadline_of_a_finished_task_is_forgotten: ["ZADD", "{p}timers", "77", "{completed}"], "is completed but has a timer";
    a_deadline_without_a_task_is_forgotten: ["ZADD", "{p}timers", "77", "{stray}"], "has a timer but no record";
    a_task_in_the_subject_of_an_unknown_agent_leaves_it: ["ZADD", "{p}assigned:ghost", "1", "{assigned}"], "assigned:ghost too";
}

#[tokio::test]
async fn an_approval_whose_task_is_gone_is_removed() {
    let ward = Ward::open().await;
    let approval = ApprovalId::new(Partition(0));
    let (hash, gone) = (approval_key(approval), TaskId::new(Partition(0)).to_string());
    ward.redis(&[
        "HSET",
        &hash,
        "task",
        &gone,
        "status",
        "pending",
        "rule",
        "\"x\"",
        "by",
        "key:alice",
    ])
    .await;
    ward.redis(&["ZADD", &key("approvals:pending"), "1", &approval.to_string()]).await;

    ward.is_repaired("which is gone").await;

    assert_eq!(ward.fleet.redis.ask::<i64>(&["EXISTS", &hash]).await, 0);
    ward.ends_well().await;
}

#[tokio::test]
async fn task_with_a_lost_payload_fails_and_reaches_no_agent() {
    let ward = Ward::open().await;
    let lost =
        [ward.blocked.id, ward.scheduled, ward.pending, ward.assigned, ward.held, ward.approved.id];
    for id in lost {
        ward.redis(&["HDEL", &key("specs"), &id.to_string()]).await;
    }

    ward.is_repaired("has no spec").await;

    for id in lost {
        let task = ward.fleet.task(id).await;
        assert_eq!(
            (task.state, task.error.as_deref()),
            (State::Failed, Some("its payload is lost")),
            "{id}"
        );
        assert_refused!(ward.fleet.requeue(id).await, Error::Illegal { .. });
    }
    ward.ends_well().await;
}

#[tokio::test]
async fn agent_gets_no_task_without_payload_even_before_the_doctor_runs() {
    let ward = Ward::open().await;
    ward.redis(&["HDEL", &key("specs"), &ward.assigned.to_string()]).await;

    ward.fleet.route().await;
    let claimed = ward.fleet.claim("faq_agent", 10).await;

    assert!(
        claimed.iter().all(|held| held.task.id != ward.assigned) && claimed.len() == 2,
        "{claimed:#?}"
    );
    assert_eq!(ward.fleet.state_of(ward.assigned).await, State::Failed);
    for held in claimed {
        ward.fleet.complete(&held).await.unwrap();
    }
    ward.ends_well().await;
}

#[tokio::test]
async fn unrepairable_findings_are_reported_and_hold_up_no_agent() {
    let ward = Ward::open().await;
    ward.redis(&["HSET", &key("records"), &ward.pending.to_string(), "nonsense"]).await;
    ward.redis(&["HDEL", &key("specs"), &ward.completed.to_string()]).await;

    let findings = ward.fleet.engine.repair().await.unwrap();
    let again = ward.fleet.engine.repair().await.unwrap();

    let left = |what: &str| {
        let is_it =
            |found: &&orchestrator::engine::Finding| found.problem.to_string().contains(what);
        again.iter().find(is_it).unwrap().repair == Repair::Impossible
    };
    assert!(left("has a record that cannot be read") && left("has no spec"), "{again:#?}");
    assert_eq!(again.len(), 2, "{findings:#?} {again:#?}");
    ward.fleet.route().await;
    assert_eq!(ward.fleet.claim("faq_agent", 10).await.len(), 2);
    ward.fleet.discard();
}

#[tokio::test]
async fn counters_are_corrected_while_tasks_come_and_go() {
    let fleet = Fleet::build().partitions(2).start().await;
    for partition in 0..2 {
        let open = key_in(Partition(partition), "open");
        fleet.redis.ask::<i64>(&["HINCRBY", &open, "P2", "40"]).await;
    }
    let corrected = std::cell::Cell::new(0);
    let work = async {
        // As long as it takes to correct them, and a little longer.
        for _ in (0..500).take_while(|_| corrected.get() < 2).chain(0..3) {
            fleet.submit_many("faq", 20).await;
            fleet.route().await;
            for held in fleet.claim("faq_agent", 15).await {
                fleet.complete(&held).await.unwrap();
            }
        }
    };

    let repair = async || {
        let findings = fleet.engine.repair().await.unwrap();
        corrected.set(corrected.get() + findings.len());
        findings
    };
    let findings = looking_on(work, repair).await.concat();

    assert!(
        findings.iter().all(|found| found.problem.to_string().starts_with("counts ")),
        "{findings:#?}"
    );
    assert_eq!(corrected.get(), 2, "each of two counters once");
    fleet.finish().await;
}

#[tokio::test]
async fn a_sound_fleet_at_work_is_not_changed_by_a_repair() {
    let ward = Ward::open().await;
    let before = ward.fleet.redis.dump().await;

    assert_eq!(ward.fleet.engine.repair().await.unwrap(), []);

    assert_eq!(ward.fleet.redis.dump().await, before);
    ward.ends_well().await;
}
