//! What was promised in time.

use std::time::Duration;

use orchestrator::domain::priority::Priority;
use orchestrator::domain::sla::{Clock, Sla, SlaState};
use orchestrator::domain::submission::Start;
use orchestrator::domain::task::Task;

use crate::harness::{Fleet, finish_within, json};

fn promise(deadline: Option<u64>, within_ms: Option<u64>) -> Option<Sla> {
    Some(Sla { target: Some("soon".to_owned()), deadline, within_ms, ..finish_within(0) })
}

fn state_of(task: &Task) -> SlaState {
    task.sla_state(Clock::Finish)
}

/// How long after the acceptance the task must be finished.
fn allowed_ms(task: &Task) -> u64 {
    task.sla.as_ref().unwrap().deadline.unwrap() - task.created_at
}

#[tokio::test]
async fn what_a_submission_does_not_promise_the_settings_do_by_type_and_priority() {
    let fleet = Fleet::build().without_approvals();
    let fleet = fleet.settings(|settings| {
        settings.sla.targets.insert("faq/P3".to_owned(), 5_000);
    });
    let fleet = fleet.start().await;
    for (kind, priority, allowed) in [
        ("faq", Priority::P3, 5_000),
        ("bugfix", Priority::P3, 259_200_000),
        ("faq", Priority::P0, 900_000),
    ] {
        let task = fleet.submit_with(kind, |new| new.spec.priority = priority).await;

        assert_eq!(allowed_ms(&task), allowed, "{kind} {priority:?}");
        assert_eq!(allowed_ms(&fleet.task(task.id).await), allowed);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_submission_may_promise_a_deadline_or_a_time_from_its_start() {
    let fleet = Fleet::start().await;
    let now = fleet.engine.check().await.unwrap();

    let by = fleet.submit_with("faq", |new| new.sla = promise(Some(now + 77_000), None)).await;
    let within = fleet.submit_with("faq", |new| new.sla = promise(None, Some(60_000))).await;
    let delayed = fleet.submit_with("faq", |new| {
        (new.sla, new.start) = (promise(None, Some(60_000)), Start::After(10_000));
    });
    let delayed = delayed.await;

    assert_eq!(by.sla.as_ref().unwrap().deadline, Some(now + 77_000));
    assert_eq!((allowed_ms(&within), allowed_ms(&delayed)), (60_000, 70_000));
    let read = fleet.task(by.id).await.sla.unwrap();
    assert_eq!((read.target.as_deref(), read.alert_threshold), (Some("soon"), 50));
    fleet.finish().await;
}

#[tokio::test]
async fn a_promise_is_warned_of_violated_or_met_when_that_is_announced() {
    let fleet = Fleet::start().await;
    let slow = fleet.submit_with("faq", |new| new.sla = promise(None, Some(20_000))).await.id;
    let quick = fleet.submit_with("faq", |new| new.sla = promise(None, Some(20_000))).await.id;
    assert_eq!(state_of(&fleet.task(slow).await), SlaState::OnTrack);

    fleet.advance(Duration::from_secs(10));
    fleet.engine.deadlines().await.unwrap();
    assert_eq!(state_of(&fleet.task(slow).await), SlaState::Warned);
    fleet.cancel(quick).await.unwrap();
    fleet.advance(Duration::from_secs(11));
    fleet.engine.deadlines().await.unwrap();

    assert_eq!(state_of(&fleet.task(slow).await), SlaState::Violated);
    assert_eq!(state_of(&fleet.task(quick).await), SlaState::Met);
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    assert_eq!(state_of(&fleet.task(slow).await), SlaState::Violated);
    fleet.finish().await;
}

#[tokio::test]
async fn what_else_a_submission_says_is_kept() {
    let fleet = Fleet::build().sources("user:alice", &["slack", "user"]).start().await;
    let parent = fleet.submit("faq").await.id;

    let task = fleet.submit_with("faq", |new| {
        (new.spec.parent, new.spec.source) = (Some(parent), crate::harness::name("slack"));
        new.spec.trace_id = Some("trace-1".to_owned());
        new.spec.traceparent =
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        (new.spec.timeout_ms, new.spec.max_retries, new.spec.payload) =
            (Some(9_000), 7, json(r#"{"q":1}"#));
    });
    let task = task.await;

    let read = fleet.task(task.id).await;
    assert_eq!(
        format!("{:?}", Task { observed_at: task.observed_at, ..read }),
        format!("{task:?}")
    );
    assert_eq!(
        (task.spec.parent, task.spec.source.as_str(), task.spec.max_retries),
        (Some(parent), "slack", 7)
    );
    let told = fleet.events().await.pop().unwrap();
    assert_eq!(told.body["trace_id"], "trace-1");
    fleet.finish().await;
}
