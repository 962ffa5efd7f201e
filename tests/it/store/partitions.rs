//! One keyspace in several partitions.

use std::collections::BTreeSet;

use orchestrator::domain::ids::{Partition, TaskId};
use orchestrator::domain::lease::Lease;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::report::{Outcome, Report};
use orchestrator::engine::Error;
use orchestrator::store;

use crate::harness::{
    Fleet, LAYOUT, Program, assert_refused, eventually, key_in, keyed, report_of,
};

#[tokio::test]
async fn a_fleet_of_four_partitions_works_like_one() {
    let fleet = Fleet::build().partitions(4).start().await;
    let mut submitted = BTreeSet::new();
    for _ in 0..40 {
        submitted.insert(fleet.submit("faq").await.id);
    }
    let used: BTreeSet<_> = submitted.iter().map(TaskId::partition).collect();
    assert_eq!(used.len(), 4);

    fleet.route().await;
    let claimed = fleet.claim("faq_agent", 100).await;

    assert_eq!(claimed.iter().map(|held| held.task.id).collect::<BTreeSet<_>>(), submitted);
    let outcome = || Outcome::Completed { result: None };
    let mut reports: Vec<_> = claimed.iter().map(|held| report_of(held, outcome())).collect();
    let stray = TaskId::new(Partition(9));
    reports.insert(3, Report { id: stray, ..reports[0].clone() });
    let answers = fleet.engine.report(&fleet.people.agent, reports).await.unwrap();
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(State::Completed))).count(), 40);
    assert_refused!(&answers[3], Error::UnknownTask(id) if *id == stray);
    let stats = fleet.engine.stats().await.unwrap();
    assert!(stats.by_status.contains(&(State::Completed, 40)), "{stats:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn a_child_lives_with_its_parent_and_a_key_finds_its_task_anywhere() {
    let fleet = Fleet::build().partitions(4).start().await;
    for nth in 0..12 {
        let parent = fleet.submit("faq").await.id;
        let child = fleet.submit_with("faq", |new| new.spec.parent = Some(parent)).await.id;
        assert_eq!(child.partition(), parent.partition());

        let new = keyed(&format!("k{nth}"), "b");
        let first = fleet.try_submit(new.clone()).await.unwrap();
        let again = fleet.try_submit(new).await.unwrap();
        assert!(again.is_replay && again.task.id == first.task.id);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let fleet = Fleet::build().partitions(4).start().await;

    let other = fleet.open_store(|store| store.partitions = 3).await;

    let refused = other.err().unwrap();
    assert!(matches!(refused, store::Error::Layout { .. }), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("4 partition(s)") && said.contains("3 partition(s)"), "{said}");
    assert!(fleet.open_store(|_| {}).await.is_ok());
    fleet.finish().await;
}

#[tokio::test]
async fn keyspace_of_another_version_is_refused_naming_both_versions() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let program = Program::over(fleet.redis.url());
    let ours: String = fleet.redis.ask(&["HGET", LAYOUT, "version"]).await;
    fleet.redis.ask::<i64>(&["HSET", LAYOUT, "version", "999"]).await;

    for role in ["gateway", "worker", "doctor"] {
        let (code, output, log) = program.run(&[role]).await;
        assert!(code == 1 && output.is_empty(), "{role}: {code} {output}");
        assert!(
            log.contains("key layout 999 ") && log.contains(&format!("key layout {ours} ")),
            "{role}: {log}"
        );
    }

    fleet.redis.ask::<i64>(&["HSET", LAYOUT, "version", &ours]).await;
    assert_eq!(program.run(&["doctor"]).await.0, 0);
    // A process that noticed the other version goes on by itself.
    eventually("the store is ours again", async || fleet.engine.route().await).await;
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    assert_eq!(fleet.state_of(id).await, State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn id_of_a_missing_partition_is_unknown_to_every_call() {
    let fleet = Fleet::start().await;
    let (engine, alice, id) = (&fleet.engine, &fleet.people.alice, TaskId::new(Partition(7)));

    for answer in [
        engine.task(id).await.map(drop),
        engine.task_when_finished(id, std::time::Duration::ZERO).await.map(drop),
        fleet.cancel(id).await.map(drop),
        fleet.requeue(id).await.map(drop),
        engine.extend(alice, id, (1, &Lease::new([0; 16])), None, None).await.map(drop),
        engine
            .change_status(alice, id, orchestrator::engine::StatusChange::InProgress)
            .await
            .map(drop),
    ] {
        assert_refused!(answer, Error::UnknownTask(found) if found == id);
    }
    let stray: Vec<String> = fleet.redis.ask(&["KEYS", &key_in(id.partition(), "*")]).await;
    assert!(stray.is_empty(), "{stray:?}");
    fleet.finish().await;
}
