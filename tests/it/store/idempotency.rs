//! The same key, the same answer.

use std::time::Duration;

use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::submission::NewTask;
use orchestrator::domain::task::Task;
use orchestrator::engine::Error;

use crate::harness::{Fleet, assert_refused, eventually, idempotency, keyed, new_task};

/// What a client sees of a task, without the time of the look.
fn shown(task: &Task) -> String {
    format!("{:?}", Task { observed_at: 0, ..task.clone() })
}

#[tokio::test]
async fn a_replay_says_what_became_of_the_task_since() {
    let fleet = Fleet::start().await;
    let first = fleet.try_submit(keyed("k", "b")).await.unwrap();
    let held = fleet.claim_one().await;
    fleet.fail(&held).await.unwrap();
    fleet.advance(Duration::from_secs(60));
    fleet.engine.promote().await.unwrap();
    fleet.complete(&fleet.claim_one().await).await.unwrap();

    let again = fleet.try_submit(keyed("k", "b")).await.unwrap();

    assert!(!first.is_replay && again.is_replay);
    let now = fleet.engine.task(first.task.id).await.unwrap();
    assert_eq!(shown(&now), shown(&again.task));
    assert_eq!((again.task.state, fleet.redis.count_tasks().await), (State::Completed, 1));
    fleet.finish().await;
}

#[tokio::test]
async fn a_key_that_comes_with_another_body_is_refused() {
    let fleet = Fleet::start().await;
    fleet.try_submit(keyed("k", "b")).await.unwrap();

    let refused = fleet.try_submit(keyed("k", "c")).await;

    assert_refused!(refused, Error::IdempotencyMismatch(key) if key == "k");
    assert_eq!(fleet.redis.count_tasks().await, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn the_same_key_twice_in_one_batch_is_one_task() {
    let fleet = Fleet::start().await;
    let batch = vec![keyed("k", "b"), keyed("other", "b"), keyed("k", "b"), keyed("k", "c")];

    let answers = fleet.engine.submit(&fleet.people.alice, batch).await.unwrap();

    let ids: Vec<Option<TaskId>> =
        answers.iter().map(|answer| Some(answer.as_ref().ok()?.task.id)).collect();
    assert!(
        ids[0].is_some() && ids[0] == ids[2] && ids[0] != ids[1] && ids[3].is_none(),
        "{ids:?}"
    );
    assert!(answers[2].as_ref().unwrap().is_replay);
    assert_eq!(fleet.redis.count_tasks().await, 2);
    fleet.finish().await;
}

#[tokio::test]
async fn two_callers_may_use_the_same_key() {
    let fleet = Fleet::start().await;
    let mine = fleet.try_submit(keyed("k", "b")).await.unwrap();

    let answers =
        fleet.engine.submit(&fleet.people.agent, vec![keyed("k", "another body")]).await.unwrap();
    let theirs = answers.into_iter().next().unwrap().unwrap();

    assert!(!theirs.is_replay && theirs.task.id != mine.task.id);
    fleet.finish().await;
}

#[tokio::test]
async fn many_who_send_the_same_key_at_once_get_one_task() {
    let fleet = Fleet::build().partitions(3).start().await;

    let at_once = (0..40).map(|_| fleet.try_submit(keyed("k", "b")));
    let answers = futures_util::future::join_all(at_once).await;

    let created = answers.iter().filter(|answer| !answer.as_ref().unwrap().is_replay).count();
    let mut ids: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().task.id).collect();
    ids.dedup();
    assert_eq!((created, ids.len()), (1, 1));
    fleet.finish().await;
}

#[tokio::test]
async fn a_key_is_forgotten_when_its_time_is_over() {
    let fleet =
        Fleet::build().settings(|settings| settings.tasks.idempotency_ms = 50).start().await;
    let first = fleet.try_submit(keyed("k", "b")).await.unwrap().task.id;

    let second = eventually("a second task under the same key", async || {
        let submitted = fleet.try_submit(keyed("k", "another body")).await;
        submitted.map_err(|error| error.to_string())
    });

    assert_ne!(second.await.task.id, first);
    fleet.finish().await;
}

#[tokio::test]
async fn a_refused_submission_stores_nothing_and_its_key_stays_free() {
    let fleet = Fleet::start().await;
    let before = fleet.redis.dump().await;
    let (mut unknown, mut stray) = (keyed("k", "b"), keyed("k", "b"));
    unknown.spec.kind = crate::harness::name("no-such-type");
    stray.spec.parent = Some(TaskId::new(orchestrator::domain::ids::Partition(9)));

    for (new, pointer) in [(unknown, "/type"), (stray, "/parent_task_id")] {
        assert_refused!(fleet.try_submit(new).await, Error::Invalid(faults) if faults[0].pointer == pointer);
    }

    assert_eq!(fleet.redis.dump().await, before);
    assert!(!fleet.try_submit(keyed("k", "b")).await.unwrap().is_replay);
    fleet.finish().await;
}

#[tokio::test]
async fn one_bad_task_of_a_batch_does_not_refuse_the_others() {
    let fleet = Fleet::start().await;
    let bad = new_task("no-such-type");
    let batch = vec![new_task("faq"), bad, new_task("deploy")];

    let answers = fleet.engine.submit(&fleet.people.alice, batch).await.unwrap();

    let states: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().ok().map(|done| done.task.state)).collect();
    assert_eq!(states, [Some(State::Pending), None, Some(State::Blocked)]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_replay_names_the_approval_that_gates_the_task_now() {
    let fleet = Fleet::start().await;
    let gated = || NewTask { idempotency: idempotency("k", "b"), ..new_task("deploy") };
    let first = fleet.try_submit(gated()).await.unwrap();
    fleet.reject(first.task.approval.unwrap()).await.unwrap();
    fleet.requeue(first.task.id).await.unwrap();

    let again = fleet.try_submit(gated()).await.unwrap();

    let now = fleet.engine.task(first.task.id).await.unwrap();
    assert_eq!(again.task.approval, now.approval);
    assert_ne!(again.task.approval, first.task.approval);
    fleet.finish().await;
}
