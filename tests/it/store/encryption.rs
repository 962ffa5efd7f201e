//! Payloads, results and actions at rest: encrypted, put under another key, and refused where they do not belong.

use std::collections::BTreeMap;

use orchestrator::domain::approval::{Decision, OnRejection, Verdict};
use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::submission::NewTask;
use orchestrator::domain::task::Task;
use orchestrator::engine::{BackgroundCheck, Engine, Error, Parts, TaskFilter};
use serde_json::value::RawValue;

use crate::harness::{Fleet, assert_refused, idempotency, json, key, new_task};

/// A JSON object with a word that is nowhere else.
fn planted(word: &str) -> Box<RawValue> {
    json(&format!(r#"{{"planted":"{word}"}}"#))
}

fn keyed(payload: &str, body: &str) -> NewTask {
    let mut new = NewTask { idempotency: idempotency("k", body), ..new_task("faq") };
    new.spec.payload = json(payload);
    new
}

async fn submit(fleet: &Fleet, engine: &Engine, new: NewTask) -> Result<Task, Error> {
    let answers = engine.submit(&fleet.people.alice, vec![new]).await.unwrap();
    answers.into_iter().next().unwrap().map(|submitted| submitted.task)
}

/// Lets the background doctor of a process make one whole check.
async fn check_once(engine: &Engine) {
    let mut background = BackgroundCheck::default();
    let before = engine.figures().await.unwrap().doctor.checks;
    while engine.figures().await.unwrap().doctor.checks == before {
        engine.check_on("one", &mut background).await.unwrap();
    }
}

async fn dump(fleet: &Fleet) -> String {
    format!("{:?}", fleet.redis.dump().await)
}

/// Works on everything that holds texts, with planted words.
async fn work(fleet: &Fleet) -> (TaskId, TaskId) {
    let done = fleet.submit_with("faq", |new| {
        new.spec.payload = planted("SUBMITTED");
        new.spec.metadata = Some(planted("METADATA"));
    });
    let done = done.await.id;
    let held = fleet.claim_one().await;
    assert_eq!(held.task.spec.payload.get(), planted("SUBMITTED").get());
    let asked = fleet.ask(&held, OnRejection::Cancel).await.unwrap();
    fleet.approve(asked.id).await.unwrap();
    let held = fleet.claim_one().await;
    let outcome = Outcome::Completed { result: Some(planted("RESULT")) };
    fleet.report(&held, outcome.clone()).await.unwrap();
    fleet.report(&held, outcome).await.expect("a repeated report");
    let other = Outcome::Completed { result: Some(planted("OTHER")) };
    assert_refused!(fleet.report(&held, other).await, Error::ResultMismatch(_));

    let gated = fleet.submit_with("deploy", |new| new.spec.payload = planted("ORIGINAL")).await;
    let verdict = Verdict::Approve { payload: Some(planted("EDITED")) };
    let edit = Decision { verdict, comment: None, digest: None };
    fleet.decide(&fleet.people.bob, gated.approval.unwrap(), edit).await.unwrap();
    (done, gated.id)
}

async fn is_whole(fleet: &Fleet, engine: &Engine, (done, gated): (TaskId, TaskId)) {
    let task = engine.task(done).await.unwrap();
    assert_eq!(task.spec.payload.get(), planted("SUBMITTED").get());
    assert_eq!(task.spec.metadata.unwrap().get(), planted("METADATA").get());
    assert_eq!(task.result.unwrap().get(), planted("RESULT").get());
    let task = engine.task(gated).await.unwrap();
    assert_eq!(task.spec.payload.get(), planted("EDITED").get());
    let (approval, _) = engine.approval(task.approval.unwrap()).await.unwrap();
    let edit = approval.edit.unwrap();
    assert_eq!(edit.original.get(), planted("ORIGINAL").get());
    assert!(edit.changes.get().contains("EDITED"), "{}", edit.changes);
    let listed = engine.approvals(&[], 10, None, true).await.unwrap().items;
    assert_eq!(listed.len(), 2);
    let filter = TaskFilter { parts: Parts::ALL, ..TaskFilter::default() };
    assert_eq!(engine.tasks(&filter, 10, None).await.unwrap().items.len(), 2);
    assert!(engine.doctor().await.unwrap().is_empty(), "{}", dump(fleet).await);
}

#[tokio::test]
async fn planted_payloads_and_results_are_not_in_redis() {
    let fleet = Fleet::build().encrypted("one", &["one"]).start().await;

    let ids = work(&fleet).await;

    is_whole(&fleet, &fleet.engine, ids).await;
    let dump = dump(&fleet).await;
    for word in ["SUBMITTED", "METADATA", "RESULT", "ORIGINAL", "EDITED", "planted", "rm -rf"] {
        assert!(!dump.contains(word), "{word} is in {dump}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn rotation_moves_all_texts_while_tasks_live() {
    let fleet = Fleet::build().encrypted("one", &["one", "two"]).start().await;
    let ids = work(&fleet).await;
    let blocked = fleet.submit_with("deploy", |new| new.spec.payload = planted("LATER")).await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;

    let both = fleet.engine_with_keys("two", &["one", "two"]).await;
    check_once(&both).await;
    let counted = both.figures().await.unwrap().doctor.texts;

    // Four specs, a result, an action, and an edit's two texts.
    assert_eq!(counted, BTreeMap::from([("two".to_owned(), 8)]));
    assert!(!dump(&fleet).await.contains("~one~"));
    fleet.cancel(blocked.id).await.unwrap();
    fleet.requeue(blocked.id).await.unwrap();
    fleet.complete(&held).await.unwrap();
    let only_new = fleet.engine_with_keys("two", &["two"]).await;
    assert_eq!(only_new.task(ids.0).await.unwrap().result.unwrap().get(), planted("RESULT").get());
    // What was approved before the rotation is still what was approved.
    let ops = fleet.claim_one_of("ops_agent").await;
    assert_eq!((ops.task.id, ops.task.spec.payload.get()), (ids.1, planted("EDITED").get()));
    fleet.finish().await;
}

#[tokio::test]
async fn encryption_goes_on_and_off_without_a_loss() {
    let fleet = Fleet::start().await;
    let ids = work(&fleet).await;
    let clear = submit(&fleet, &fleet.engine, keyed("{}", "body")).await.unwrap().id;
    fleet.cancel(clear).await.unwrap();

    let on = fleet.engine_with_keys("one", &["one"]).await;
    assert_eq!(submit(&fleet, &on, keyed("{}", "body")).await.unwrap().id, clear);
    let other = submit(&fleet, &on, keyed("{}", "other")).await;
    assert_refused!(other, Error::IdempotencyMismatch(_));
    check_once(&on).await;
    assert!(!dump(&fleet).await.contains("planted"));
    let mut new = keyed("{}", "body");
    new.idempotency = idempotency("second", "body");
    let sealed = submit(&fleet, &on, new.clone()).await.unwrap().id;
    on.cancel(&fleet.people.alice, sealed, None).await.unwrap();

    let off = fleet.engine_with_keys("", &["one"]).await;
    assert_eq!(submit(&fleet, &off, new).await.unwrap().id, sealed);
    off.repair().await.unwrap();
    let texts = off.diagnosis(false).await.unwrap().texts;
    assert_eq!(texts.keys().collect::<Vec<_>>(), [""]);
    for id in [clear, sealed] {
        assert_eq!(fleet.task(id).await.spec.payload.get(), "{}");
    }
    let result = fleet.task(ids.0).await.result.unwrap();
    assert_eq!(result.get(), planted("RESULT").get());
    fleet.finish().await;
}

/// Two tasks whose payloads were exchanged in Redis; the first one's agent is `faq_agent`.
async fn exchanged(fleet: &Fleet) -> (TaskId, TaskId) {
    let one = fleet.submit("faq").await.id;
    let other = fleet.submit("bugfix").await.id;
    let specs = key("specs");
    let mut texts = Vec::new();
    for id in [one, other] {
        texts.push(fleet.redis.ask::<String>(&["HGET", &specs, &id.to_string()]).await);
    }
    for (id, text) in [other, one].into_iter().zip(&texts) {
        fleet.redis.ask::<i64>(&["HSET", &specs, &id.to_string(), text]).await;
    }
    (one, other)
}

#[tokio::test]
async fn exchanged_payloads_are_refused_and_found() {
    let fleet = Fleet::build().encrypted("one", &["one"]).start().await;
    let (one, other) = exchanged(&fleet).await;

    for id in [one, other] {
        let Err(Error::Undecryptable(why)) = fleet.engine.task(id).await else { panic!("{id}") };
        assert!(why.contains(&format!("payload of task {id} cannot be decrypted")), "{why}");
    }
    let listed = fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    assert_eq!(listed.items.len(), 2, "a list without payloads shows both");
    let found = fleet.engine.doctor().await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (one.subject.clone(), one.problem.kind())).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for id in [one, other] {
        assert!(found.contains(&(id.to_string(), "undecryptable")), "{found:?}");
    }
    fleet.discard();
}

#[tokio::test]
async fn task_that_cannot_be_decrypted_fails_and_others_go_on() {
    let fleet = Fleet::build().encrypted("one", &["one"]).start().await;
    let (lost, _) = exchanged(&fleet).await;
    let good = fleet.submit("faq").await.id;

    let held = fleet.claim_one().await;

    assert_eq!(held.task.id, good);
    let listed = fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    let failed = listed.items.iter().find(|task| task.id == lost).unwrap();
    assert_eq!(failed.state, State::Failed);
    let error = failed.error.as_deref().unwrap();
    assert!(error.contains("it was changed, or belongs elsewhere"), "{error}");
    fleet.discard();
}

#[tokio::test]
async fn missing_key_is_named_and_its_return_restores_the_task() {
    let fleet = Fleet::build().encrypted("one", &["one"]).start().await;
    let id = fleet.submit_with("faq", |new| new.spec.payload = planted("KEPT")).await.id;
    let without = fleet.engine_with_keys("two", &["two"]).await;

    let Err(Error::Undecryptable(why)) = without.task(id).await else { panic!("no key, but read") };
    let texts = without.diagnosis(true).await.unwrap();

    assert!(why.contains("its key `one` is not among store.encryption.keys"), "{why}");
    assert_eq!((texts.findings.len(), texts.texts["one"]), (1, 1), "{texts:?}");
    assert_eq!(fleet.task(id).await.spec.payload.get(), planted("KEPT").get());
    fleet.finish().await;
}
