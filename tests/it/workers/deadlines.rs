//! The duty of deadlines: by itself, side by side, and with ten thousand at once.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::domain::ids::TaskId;
use orchestrator::workers::Deadlines;

use crate::harness::{BOUND, Fleet, eventually, finish_within, key, new_task};

/// How many events of each kind there are of each task.
async fn told(fleet: &Fleet) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for event in fleet.events().await {
        if event.event_type().starts_with("sla.") {
            let id = event.body["task_id"].as_str().unwrap().to_owned();
            *told.entry((event.event_type().to_owned(), id)).or_default() += 1;
        }
    }
    told
}

#[tokio::test]
async fn resting_duty_announces_a_deadline_in_time_and_then_stops() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Deadlines::new(fleet.engine.clone()));
    let id = fleet.submit_with("faq", |new| new.sla = Some(finish_within(300))).await.id;

    eventually("both thresholds are announced", async || match fleet.redis.count("timers").await {
        0 => Ok(()),
        left => Err(left),
    })
    .await;

    let events = fleet.events().await;
    let late: Vec<_> =
        events.iter().filter_map(|event| event.body["payload"]["late"].as_bool()).collect();
    assert_eq!(late, [false, false], "{id}");
    let pulses = supervisor.pulses();
    assert!(pulses.values().all(|pulse| pulse.panics == 0 && pulse.faults == 0), "{pulses:?}");
    assert_eq!(supervisor.finish(BOUND).await, Vec::<&str>::new());
    fleet.submit_with("faq", |new| new.sla = Some(finish_within(1))).await;
    assert_eq!(fleet.redis.count("timers").await, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn three_workers_announce_ten_thousand_close_deadlines_once_each() {
    let fleet = Fleet::start().await;
    let mut ids: Vec<TaskId> = Vec::new();
    for nth in 0..10 {
        let task = |one: u64| {
            let mut new = new_task("faq");
            new.sla = Some(finish_within(3_600_000 + nth * 100 + one / 10));
            new
        };
        let answers =
            fleet.engine.submit(&fleet.people.alice, (0..1_000).map(task).collect()).await.unwrap();
        ids.extend(answers.into_iter().map(|answer| answer.unwrap().task.id));
    }
    fleet.advance(Duration::from_secs(1_799));
    let workers = [(); 3].map(|()| fleet.supervise(Deadlines::new(fleet.engine.clone())));

    // Half of the time has passed: what is ahead afterwards are the violations.
    let soon = (fleet.engine.check().await.unwrap() + 600_000).to_string();
    eventually("every warning is announced", async || {
        match fleet.redis.ask::<i64>(&["ZCOUNT", &key("timers"), "-inf", &soon]).await {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;

    let told = told(&fleet).await;
    assert!(told.values().all(|count| *count == 1));
    assert!(ids.iter().all(|id| told.contains_key(&("sla.warning".to_owned(), id.to_string()))));
    for worker in workers {
        assert_eq!(worker.finish(BOUND).await, Vec::<&str>::new());
    }
    fleet.finish().await;
}
