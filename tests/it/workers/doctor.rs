//! The background doctor finds what is broken while the fleet works, logs it once, and is one
//! however many processes run it.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::engine::BackgroundCheck;
use orchestrator::store::DoctorStats;
use orchestrator::workers::Doctor;

use crate::harness::{BOUND, Fleet, LEAVE_INDEX, MINUTE, eventually, key};

/// The figures once so many checks have ended.
async fn stats(fleet: &Fleet, count: u64) -> DoctorStats {
    eventually("the checks have ended", async || {
        let stats = fleet.store.doctor_stats().await.unwrap();
        if stats.checks >= count { Ok(stats) } else { Err(stats) }
    })
    .await
}

/// A fleet whose next check is due as soon as the clock is moved by a minute.
async fn fleet() -> Fleet {
    Fleet::build().settings(|settings| settings.doctor.every_ms = 60_000).start().await
}

/// One check, step by step.
async fn check(fleet: &Fleet, background: &mut BackgroundCheck) -> DoctorStats {
    let before = fleet.store.doctor_stats().await.unwrap().checks;
    loop {
        fleet.engine.check_on("one", background).await.unwrap();
        let stats = fleet.store.doctor_stats().await.unwrap();
        if stats.checks > before {
            return stats;
        }
    }
}

/// The findings that were logged, by kind.
fn logged(stats: &DoctorStats) -> BTreeMap<&'static str, u64> {
    let found = stats.found.iter().filter(|(_, count)| **count > 0);
    found.map(|(kind, count)| (*kind, *count)).collect()
}

#[tokio::test]
async fn what_is_broken_is_found_once_and_its_repair_is_noticed() {
    let fleet = fleet().await;
    let id = fleet.submit_many("faq", 2).await[0].to_string();
    let mut background = BackgroundCheck::default();
    assert_eq!(check(&fleet, &mut background).await.findings, 0);

    fleet.redis.ask::<i64>(&["EVAL", LEAVE_INDEX, "1", &key("tasks"), &id]).await;
    fleet.redis.ask::<i64>(&["HINCRBY", &key("open"), "P2", "1"]).await;
    // A task that left its group has no timer either.
    let all = BTreeMap::from([("index_missing", 1), ("sum_wrong", 1), ("timer_wrong", 1)]);
    for _ in 0..3 {
        fleet.advance(MINUTE);
        let stats = check(&fleet, &mut background).await;
        assert_eq!((stats.findings, logged(&stats)), (3, all.clone()));
    }
    fleet.engine.repair().await.unwrap();
    fleet.advance(MINUTE);
    let stats = check(&fleet, &mut background).await;

    assert_eq!((stats.checks, stats.findings, logged(&stats)), (5, 0, all));
    fleet.finish().await;
}

#[tokio::test]
async fn several_workers_share_one_check() {
    let fleet = fleet().await;
    fleet.submit_many("faq", 50).await;
    let supervisors: Vec<_> =
        (0..3).map(|_| fleet.supervise(Doctor::new(fleet.engine.clone()))).collect();

    let first = stats(&fleet, 1).await;

    // Three checks would end at about the same time.
    let steps: Vec<_> =
        supervisors.iter().map(|supervisor| supervisor.pulses()["doctor"].steps).collect();
    assert_eq!(first.checks, 1);
    assert_eq!(steps.iter().filter(|steps| **steps > 2).count(), 1, "{steps:?}");
    for supervisor in supervisors {
        supervisor.finish(BOUND).await;
    }
    fleet.finish().await;
}

#[tokio::test]
async fn another_one_begins_anew_when_a_doctor_falls_silent() {
    let fleet = fleet().await;
    let (mut dead, mut heir) = (BackgroundCheck::default(), BackgroundCheck::default());
    fleet.engine.check_on("dead", &mut dead).await.unwrap();
    let rest = fleet.engine.check_on("one", &mut heir).await.unwrap();
    assert!(rest > Duration::from_secs(10), "{rest:?}");

    fleet.advance(MINUTE);
    let stats = check(&fleet, &mut heir).await;

    assert_eq!(stats.checks, 1);
    let rest = fleet.engine.check_on("dead", &mut dead).await.unwrap();
    assert!(rest > Duration::from_secs(10), "{rest:?}");
    fleet.finish().await;
}
