//! Deadlines that are near or have passed are announced: each once, in order, by the first worker
//! or call that finds it.

use std::time::Duration;

use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::Verb;
use orchestrator::domain::sla::{Clock, Sla, SlaState};
use orchestrator::domain::submission::Start;
use serde_json::Value;

use crate::harness::{Fleet, Seen, finish_within, key, new_task};

/// Ten minutes to finish and, if so, five to start; warned of after half of it. The clock of the
/// store goes on while a test works: on a busy machine that takes seconds.
pub fn promise(has_start: bool) -> Option<Sla> {
    Some(Sla { start_within_ms: has_start.then_some(300_000), ..finish_within(600_000) })
}

pub fn minutes(fleet: &Fleet, count: u64) {
    fleet.advance(Duration::from_secs(60 * count));
}

async fn sweep(fleet: &Fleet) {
    fleet.engine.deadlines().await.unwrap();
}

/// Lets so many minutes pass, and does what is due.
pub async fn after(fleet: &Fleet, count: u64) {
    minutes(fleet, count);
    sweep(fleet).await;
}

async fn announcements(fleet: &Fleet, id: TaskId) -> Vec<Seen> {
    let mut events = fleet.events().await;
    events.retain(|event| {
        event.event_type().starts_with("sla.") && event.body["task_id"] == id.to_string()
    });
    events
}

/// What was announced of the task, such as `finish warn`.
async fn told(fleet: &Fleet, id: TaskId) -> Vec<String> {
    let words = |event: &Seen| {
        format!("{} {}", event.body["payload"]["clock"].as_str().unwrap(), event.verb().unwrap())
    };
    announcements(fleet, id).await.iter().map(words).collect()
}

fn field<'e>(event: &'e Seen, name: &str) -> &'e Value {
    &event.body["payload"][name]
}

#[tokio::test]
async fn a_batch_is_watched_as_one_until_its_first_threshold_and_none_is_missed() {
    let fleet = Fleet::start().await;
    let mut tasks = vec![new_task("faq"); 250];
    tasks.iter_mut().for_each(|new| new.sla = promise(false));
    tasks[249].sla = promise(true);
    let answers = fleet.engine.submit(&fleet.people.alice, tasks).await.unwrap();
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().task.id).collect();
    // Groups of 100, 100 and 50, and the task with another deadline.
    assert_eq!(fleet.redis.count("timers").await, 4);
    for id in &ids[..120] {
        fleet.cancel(*id).await.unwrap();
    }
    assert_eq!(fleet.redis.count("timers").await, 4);

    after(&fleet, 2).await;
    assert_eq!(told(&fleet, ids[249]).await, [""; 0]);
    after(&fleet, 1).await;
    assert_eq!(told(&fleet, ids[249]).await, ["start warn"]);
    while fleet.engine.deadlines().await.unwrap().next_in == Some(Duration::ZERO) {}
    minutes(&fleet, 8);
    while fleet.engine.deadlines().await.unwrap().next_in == Some(Duration::ZERO) {}

    assert_eq!(told(&fleet, ids[0]).await, [""; 0]);
    assert_eq!(told(&fleet, ids[119]).await, [""; 0]);
    for id in &ids[120..249] {
        assert_eq!(told(&fleet, *id).await, ["finish warn", "finish violate"]);
    }
    assert_eq!(
        told(&fleet, ids[249]).await,
        ["start warn", "start violate", "finish warn", "finish violate"]
    );
    assert_eq!(fleet.redis.count("timers").await, 0);
    fleet.finish().await;
}

#[tokio::test]
async fn a_thousand_deadlines_of_one_batch_are_watched_and_forgotten() {
    let fleet = Fleet::start().await;
    let task = |nth: u64| {
        let mut new = new_task("faq");
        new.sla = Some(finish_within(6_000_000 + nth * 10));
        new
    };
    let answers = fleet.engine.submit(&fleet.people.alice, (0..1_000).map(task).collect()).await;
    let ids: Vec<_> = answers.unwrap().into_iter().map(|one| one.unwrap().task.id).collect();

    // Different deadlines do not break the groups of the index.
    assert_eq!(fleet.redis.count("tasks").await, 10);
    assert_eq!(fleet.engine.doctor().await.unwrap(), []);
    for id in &ids {
        fleet.cancel(*id).await.unwrap();
    }
    // Only the groups are left; a task with a timer of its own takes it along.
    assert_eq!(fleet.redis.count("timers").await, 10);
    minutes(&fleet, 8 * 24 * 60);
    while fleet.engine.prune().await.unwrap().moved > 0 {}
    while fleet.engine.deadlines().await.unwrap().next_in == Some(Duration::ZERO) {}

    assert_eq!((fleet.redis.count("tasks").await, fleet.redis.count("timers").await), (0, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn two_calls_in_the_same_moment_keep_their_deadlines() {
    let fleet = Fleet::start().await;
    let soon = fleet.submit_with("faq", |new| new.sla = promise(false)).await.id;
    let late = fleet
        .submit_with("faq", |new| {
            new.sla = Some(Sla { start_within_ms: None, ..finish_within(3_600_000) });
        })
        .await
        .id;
    // As if both had come in the same moment: one place, and the sooner timer.
    let groups: Vec<(String, String)> =
        fleet.redis.ask(&["ZRANGE", &key("tasks"), "0", "-1", "WITHSCORES"]).await;
    let [(_, at), (_, other)] = groups.as_slice() else { panic!("{groups:?}") };
    fleet.redis.ask::<i64>(&["ZADD", &key("tasks"), at, &late.to_string()]).await;
    fleet.redis.ask::<i64>(&["ZREM", &key("timers"), other]).await;

    minutes(&fleet, 11);
    while fleet.engine.deadlines().await.unwrap().next_in == Some(Duration::ZERO) {}
    assert_eq!(told(&fleet, soon).await, ["finish warn", "finish violate"]);
    assert_eq!(told(&fleet, late).await, [""; 0]);
    minutes(&fleet, 50);
    while fleet.engine.deadlines().await.unwrap().next_in == Some(Duration::ZERO) {}

    assert_eq!(told(&fleet, late).await, ["finish warn", "finish violate"]);
    fleet.engine.repair().await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn each_threshold_is_announced_once_in_the_log_and_in_the_timeline() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    let mut expected = Vec::new();
    for (passes_at, what) in
        [(150_000, "start warn"), (300_000, "start violate"), (600_000, "finish violate")]
    {
        let task = fleet.task(id).await;
        fleet.advance(Duration::from_millis(task.created_at + passes_at - task.observed_at));

        sweep(&fleet).await;
        sweep(&fleet).await;

        // The warning of the finish comes with the violation of the start.
        expected.push(what);
        if what == "start violate" {
            expected.push("finish warn");
        }
        assert_eq!(told(&fleet, id).await, expected);
    }
    let timeline = fleet.task(id).await.timeline;
    let verbs: Vec<_> = timeline.iter().map(|one| one.verb).collect();
    assert_eq!(verbs, [Verb::Submit, Verb::Warn, Verb::Violate, Verb::Warn, Verb::Violate]);
    assert!(timeline[1..].iter().all(|one| one.actor == "orchestrator" && one.reason.is_some()));
    fleet.finish().await;
}

#[tokio::test]
async fn an_announcement_says_what_was_promised_and_whether_it_is_late() {
    let fleet = Fleet::start().await;
    let task = fleet.submit_with("deploy", |new| new.sla = promise(false)).await;
    after(&fleet, 5).await;
    fleet.approve(task.approval.unwrap()).await.unwrap();
    after(&fleet, 7).await;

    let [warning, violation] = announcements(&fleet, task.id).await.try_into().unwrap();

    assert_eq!((warning.event_type(), violation.event_type()), ("sla.warning", "sla.violation"));
    assert_eq!(
        (field(&warning, "threshold"), field(&violation, "threshold")),
        (&50.into(), &100.into())
    );
    assert_eq!((field(&warning, "late"), field(&violation, "late")), (&false.into(), &true.into()));
    assert_eq!(*field(&warning, "approval_id"), task.approval.unwrap().to_string());
    assert!(field(&violation, "approval_id").is_null());
    for event in [&warning, &violation] {
        assert_eq!(
            (field(event, "target_ms"), field(event, "agent")),
            (&600_000.into(), &"ops_agent".into())
        );
        assert_eq!(
            (field(event, "type"), field(event, "actor")),
            (&"deploy".into(), &"orchestrator".into())
        );
        assert!(
            field(event, "due_at").is_string()
                && field(event, "deadline") == field(&violation, "due_at")
        );
    }
    fleet.finish().await;
}

#[tokio::test]
async fn the_first_start_ends_the_start_clock_for_good() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    minutes(&fleet, 2);
    let held = fleet.claim_one().await;
    assert_eq!(fleet.task(id).await.sla_state(Clock::Start), SlaState::Met);
    fleet.release(&held).await.unwrap();

    after(&fleet, 4).await;

    assert_eq!(told(&fleet, id).await, ["finish warn"]);
    assert_eq!(fleet.task(id).await.sla_state(Clock::Start), SlaState::Met);
    fleet.finish().await;
}

#[tokio::test]
async fn what_no_sweep_announced_is_announced_by_the_start_and_by_the_end() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    minutes(&fleet, 8);

    let held = fleet.claim_one().await;
    assert_eq!(told(&fleet, id).await, ["start warn", "start violate", "finish warn"]);
    minutes(&fleet, 8);
    fleet.complete(&held).await.unwrap();

    assert_eq!(
        told(&fleet, id).await,
        ["start warn", "start violate", "finish warn", "finish violate"]
    );
    sweep(&fleet).await;
    let task = fleet.task(id).await;
    assert_eq!(
        (task.sla_state(Clock::Start), task.sla_state(Clock::Finish)),
        (SlaState::Violated, SlaState::Violated)
    );
    let types = fleet.event_types_of(id).await;
    assert_eq!(types.last().unwrap(), "task.completed", "{types:?}");
    assert_eq!(types.iter().filter(|one| one.starts_with("sla.")).count(), 4, "{types:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_that_ends_in_time_is_not_spoken_of() {
    let fleet = Fleet::start().await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(fleet.submit_with("faq", |new| new.sla = promise(true)).await.id);
    }
    fleet.cancel(tasks[0]).await.unwrap();
    let (done, failed) = (fleet.claim_one().await, fleet.claim_one().await);
    fleet.complete(&done).await.unwrap();
    fleet.give_up(&failed).await.unwrap();

    after(&fleet, 60).await;

    for id in tasks {
        assert_eq!(told(&fleet, id).await, Vec::<String>::new());
    }
    fleet.finish().await;
}

#[tokio::test]
async fn thresholds_missed_in_an_outage_are_announced_in_order_as_late() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    after(&fleet, 60).await;

    assert_eq!(
        told(&fleet, id).await,
        ["start warn", "start violate", "finish warn", "finish violate"]
    );
    let events = announcements(&fleet, id).await;
    assert!(events.iter().all(|event| *field(event, "late") == true));
    assert!(fleet.task(id).await.timeline[1].reason.as_ref().unwrap().ends_with("announced late"));
    fleet.finish().await;
}

#[tokio::test]
async fn a_delayed_task_has_its_time_from_when_it_may_start() {
    let fleet = Fleet::start().await;
    let delayed = fleet
        .submit_with("faq", |new| (new.sla, new.start) = (promise(true), Start::After(3_600_000)));
    let id = delayed.await.id;

    after(&fleet, 61).await;
    assert_eq!(told(&fleet, id).await, Vec::<String>::new());
    after(&fleet, 2).await;

    assert_eq!(told(&fleet, id).await, ["start warn"]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_requeued_task_has_the_same_time_again() {
    let fleet = Fleet::start().await;
    let id = fleet.submit_with("faq", |new| new.sla = promise(true)).await.id;
    after(&fleet, 20).await;
    fleet.cancel(id).await.unwrap();
    assert_eq!(told(&fleet, id).await.len(), 4);

    let task = fleet.requeue(id).await.unwrap();

    let sla = task.sla.clone().unwrap();
    assert_eq!(
        (sla.start_deadline, sla.deadline),
        (Some(task.since + 300_000), Some(task.since + 600_000))
    );
    assert_eq!(
        (task.sla_state(Clock::Start), task.sla_state(Clock::Finish)),
        (SlaState::OnTrack, SlaState::OnTrack)
    );
    after(&fleet, 3).await;
    assert_eq!(told(&fleet, id).await[4..], ["start warn"]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_at_the_submission_is_announced_at_once() {
    let fleet = Fleet::start().await;
    let now = fleet.engine.check().await.unwrap();
    let past = |sla: Sla| Sla { deadline: Some(now - 5_000), within_ms: None, ..sla };
    let id = fleet.submit_with("faq", |new| new.sla = promise(false).map(past)).await.id;

    sweep(&fleet).await;

    assert_eq!(told(&fleet, id).await, ["finish warn", "finish violate"]);
    fleet.finish().await;
}

#[tokio::test]
async fn clocks_run_while_a_human_is_waited_for_unless_the_settings_say_otherwise() {
    for stands in [false, true] {
        let fleet = Fleet::build()
            .settings(|settings| settings.sla.exclude_approval_time = stands)
            .start()
            .await;
        let task = fleet.submit_with("deploy", |new| new.sla = promise(true)).await;
        after(&fleet, 60).await;
        let while_blocked = if stands { 0 } else { 4 };
        assert_eq!(told(&fleet, task.id).await.len(), while_blocked);
        assert!((3_600_000..3_660_000).contains(&fleet.task(task.id).await.waiting_for_human_ms()));

        fleet.approve(task.approval.unwrap()).await.unwrap();
        after(&fleet, 3).await;

        let after = fleet.task(task.id).await;
        assert!(
            (3_600_000..3_660_000).contains(&after.waiting_for_human_ms()),
            "{}",
            after.waiting_for_human_ms()
        );
        let moved = after.sla.unwrap().deadline.unwrap() - task.sla.unwrap().deadline.unwrap();
        assert_eq!(moved, if stands { after.human_ms } else { 0 });
        let all = told(&fleet, task.id).await;
        assert_eq!(all.len(), if stands { 1 } else { 4 }, "{all:?}");
        fleet.finish().await;
    }
}

#[tokio::test]
async fn a_wait_for_a_human_before_the_task_could_start_costs_nothing() {
    let fleet =
        Fleet::build().settings(|settings| settings.sla.exclude_approval_time = true).start().await;
    let delayed = fleet.submit_with("deploy", |new| {
        (new.sla, new.start) = (promise(true), Start::After(3_600_000))
    });
    let task = delayed.await;
    minutes(&fleet, 30);

    fleet.approve(task.approval.unwrap()).await.unwrap();

    let after = fleet.task(task.id).await;
    assert_eq!((after.human_ms, after.sla.unwrap().deadline), (0, task.sla.unwrap().deadline));
    fleet.finish().await;
}
