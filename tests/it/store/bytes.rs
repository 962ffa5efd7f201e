//! What a client sends comes back byte for byte.

use std::time::Duration;

use orchestrator::domain::report::Outcome;
use orchestrator::domain::task::Progress;

use crate::harness::{Fleet, json};

/// Everything that a careless reader would change.
const AWKWARD: &str = r#"{ "z":1,  "a" : [ ], "big": 123456789012345678901234567890,
	"exact": 1.0000000000000000001, "e": 1E+2, "twice": 1, "twice": 2, "empty": {},
  "escaped": "\u00e9\/\ud83d\ude00\u0000", "plain": "é😀", "": null, "nested": {"b":[1,[2,{"c":[]}]],"a":-0.0} }"#;

#[tokio::test]
async fn payload_metadata_and_result_come_back_byte_for_byte() {
    let fleet = Fleet::start().await;
    let submitted = fleet.submit_with("faq", |new| {
        (new.spec.payload, new.spec.metadata) = (json(AWKWARD), Some(json(AWKWARD)));
    });
    let submitted = submitted.await;
    assert_eq!(submitted.spec.payload.get(), AWKWARD);

    let held = fleet.claim_one().await;
    assert_eq!(held.task.spec.payload.get(), AWKWARD);
    fleet.report(&held, Outcome::Completed { result: Some(json(AWKWARD)) }).await.unwrap();

    let task = fleet.task(submitted.id).await;
    assert_eq!(task.spec.payload.get(), AWKWARD);
    assert_eq!(task.spec.metadata.unwrap().get(), AWKWARD);
    assert_eq!(task.result.unwrap().get(), AWKWARD);
    fleet.finish().await;
}

#[tokio::test]
async fn a_result_may_be_any_json_and_null_is_one() {
    let fleet = Fleet::start().await;
    for text in ["null", "false", "0", r#""""#, "[]", " [ 1 ] "] {
        fleet.submit("faq").await;
        let held = fleet.claim_one().await;

        fleet.report(&held, Outcome::Completed { result: Some(json(text)) }).await.unwrap();

        // Space around a value belongs to the message that carried it.
        assert_eq!(fleet.task(held.task.id).await.result.unwrap().get(), text.trim());
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_payload_of_a_megabyte_comes_back_whole() {
    let fleet = Fleet::start().await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));

    let task = fleet.submit_with("faq", |new| new.spec.payload = json(&large)).await;

    assert_eq!(fleet.task(task.id).await.spec.payload.get(), large);
    assert_eq!(fleet.claim_one().await.task.spec.payload.get(), large);
    fleet.finish().await;
}

#[tokio::test]
async fn what_people_and_agents_write_comes_back_as_they_wrote_it() {
    let fleet = Fleet::start().await;
    let text = "line one\nline \"two\" \\ \u{0} é😀 {curly} %d 100% <b>";
    let id = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;
    let progress = Progress { percent: 12.5, message: Some(text.to_owned()) };
    let (crew, proof) = (&fleet.people.agent, (1, &held.lease));
    fleet.engine.extend(crew, id, proof, Some(progress.clone()), None).await.unwrap();
    let outcome = Outcome::Failed {
        error: text.to_owned(),
        is_retryable: true,
        retry_after_ms: None,
        result: None,
    };
    fleet.report(&held, outcome).await.unwrap();

    let failed = fleet.task(id).await;
    fleet.engine.cancel(&fleet.people.alice, id, Some(text.to_owned())).await.unwrap();
    let cancelled = fleet.task(id).await;

    assert_eq!(failed.error.as_deref(), Some(text));
    assert_eq!(failed.progress, Some(progress));
    assert_eq!(cancelled.timeline.last().unwrap().reason.as_deref(), Some(text));
    let told = fleet.events().await.pop().unwrap();
    assert_eq!(told.body["payload"]["reason"], text);
    fleet.finish().await;
}

#[tokio::test]
async fn a_task_that_is_bounced_about_keeps_its_newest_transitions_only() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    for _ in 0..100 {
        let held = fleet.claim_one().await;
        fleet.release(&held).await.unwrap();
        fleet.advance(Duration::from_millis(3));
    }

    let task = fleet.task(id).await;

    assert_eq!(task.timeline.len(), 128);
    assert!(task.timeline.is_sorted_by_key(|transition| transition.at));
    assert_eq!((task.timeline[127].attempt, task.attempt), (100, 100));
    fleet.finish().await;
}
