//! The examiner finds what is broken while the fleet works, tells of it once, and is one however many run.

use std::time::Duration;

use orchestrator::engine::Round;
use orchestrator::store::Rounds;
use orchestrator::workers::Examiner;

use crate::harness::{BOUND, Fleet, eventually};

/// Examines on until so many rounds are over, in which the last one is told of.
async fn rounds(fleet: &Fleet, count: u64) -> Rounds {
    eventually("the rounds are over", async || {
        let rounds = fleet.store.rounds().await.unwrap();
        if rounds.rounds >= count { Ok(rounds) } else { Err(rounds) }
    })
    .await
}

/// A fleet whose next round is due as soon as the clock is moved by a minute.
async fn fleet() -> Fleet {
    Fleet::build().settings(|settings| settings.doctor.every_ms = 60_000).start().await
}

const MINUTE: Duration = Duration::from_secs(60);

/// One round, step by step.
async fn examine(fleet: &Fleet, round: &mut Round) -> Rounds {
    let before = fleet.store.rounds().await.unwrap().rounds;
    loop {
        fleet.engine.examine_on("one", round).await.unwrap();
        let rounds = fleet.store.rounds().await.unwrap();
        if rounds.rounds > before {
            return rounds;
        }
    }
}

#[tokio::test]
async fn what_is_broken_is_found_once_and_its_repair_is_noticed() {
    let fleet = fleet().await;
    let id = fleet.submit("faq").await.id.to_string();
    let mut round = Round::default();
    assert_eq!(examine(&fleet, &mut round).await.findings, 0);

    fleet.redis.ask::<i64>(&["ZREM", "orchestrator:{0}:tasks", &id]).await;
    fleet.redis.ask::<i64>(&["HINCRBY", "orchestrator:{0}:open", "P2", "1"]).await;
    for _ in 0..3 {
        fleet.advance(MINUTE);
        let rounds = examine(&fleet, &mut round).await;
        assert_eq!((rounds.findings, rounds.found), (2, 2));
    }
    fleet.engine.repair().await.unwrap();
    fleet.advance(MINUTE);
    let rounds = examine(&fleet, &mut round).await;

    assert_eq!((rounds.rounds, rounds.findings, rounds.found), (5, 0, 2));
    fleet.finish().await;
}

#[tokio::test]
async fn several_workers_share_one_round() {
    let fleet = fleet().await;
    fleet.submit_many("faq", 50).await;
    let supervisors: Vec<_> =
        (0..3).map(|_| fleet.supervise(Examiner::new(fleet.engine.clone()))).collect();

    let first = rounds(&fleet, 1).await;

    // Were it three rounds, they would be over at about the same time.
    let steps: Vec<_> =
        supervisors.iter().map(|supervisor| supervisor.pulses()["examiner"].steps).collect();
    assert_eq!(first.rounds, 1);
    assert_eq!(steps.iter().filter(|steps| **steps > 2).count(), 1, "{steps:?}");
    for supervisor in supervisors {
        supervisor.finish(BOUND).await;
    }
    fleet.finish().await;
}

#[tokio::test]
async fn another_one_begins_anew_when_an_examiner_falls_silent() {
    let fleet = fleet().await;
    let (mut dead, mut heir) = (Round::default(), Round::default());
    fleet.engine.examine_on("dead", &mut dead).await.unwrap();
    let rest = fleet.engine.examine_on("one", &mut heir).await.unwrap();
    assert!(rest > Duration::from_secs(10), "{rest:?}");

    fleet.advance(MINUTE);
    let rounds = examine(&fleet, &mut heir).await;

    assert_eq!(rounds.rounds, 1);
    let rest = fleet.engine.examine_on("dead", &mut dead).await.unwrap();
    assert!(rest > Duration::from_secs(10), "{rest:?}");
    fleet.finish().await;
}
