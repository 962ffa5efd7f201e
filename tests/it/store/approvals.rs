//! What a human must approve, who may, and what comes of it.

use std::time::Duration;

use orchestrator::domain::approval::{ApprovalStatus, Decision, OnExpiry};
use orchestrator::domain::ids::{ApprovalId, Partition};
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::priority::Priority;
use orchestrator::domain::submission::Start;
use orchestrator::engine::Error;

use crate::harness::{DAY, Fleet, assert_refused, json, new_task};

const CHANGE: &str = "production change";
const FLAG: &str = "feature flag";

/// Type, priority, payload and metadata of a task, and the rule that asks for it.
type PolicyCase =
    (&'static str, Priority, &'static str, Option<&'static str>, Option<&'static str>);

#[rustfmt::skip]
const POLICY: &[PolicyCase] = &[
    ("faq", Priority::P2, "{}", None, None),
    ("faq", Priority::P3, r#"{"environment":"production"}"#, None, None),
    ("faq", Priority::P1, "{}", None, Some("urgent")),
    ("bugfix", Priority::P0, r#"{"environment":"staging"}"#, None, Some("urgent")),
    ("deploy", Priority::P2, r#"{"environment":"staging"}"#, None, None),
    ("deploy", Priority::P2, "{}", None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"production"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"Production"}"#, None, Some(CHANGE)),
    ("feature", Priority::P2, r#"{"environment":" PRODUCTION "}"#, None, Some(CHANGE)),
    ("refactor", Priority::P2, r#"{"environment":null}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":{"name":"staging"}}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":["staging"]}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"staging","environment":"production"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"production","environment":"staging"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"staging","environment":"staging"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"Environment":"staging"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"prod"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"live"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":""}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":0}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":1e400}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"\ud800"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"st\u0430ging"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":"staging","Environment":"production"}"#, None, Some(CHANGE)),
    ("deploy", Priority::P2, r#"{"environment":" D\u200bEV\ufeff "}"#, None, None),
    ("deploy", Priority::P2, r#"{"environment":"\uff54\uff45\uff53\uff54"}"#, None, None),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":true}"#), Some(FLAG)),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":"true"}"#), Some(FLAG)),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":"yes"}"#), Some(FLAG)),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":1}"#), Some(FLAG)),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":null}"#), None),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":{}}"#), Some(FLAG)),
    ("faq", Priority::P2, "{}", Some(r#"{"feature_flag_change":false}"#), None),
];

#[tokio::test]
async fn default_policy_gates_harmful_and_unclear_tasks() {
    let fleet = Fleet::start().await;
    for (kind, priority, payload, metadata, rule) in POLICY {
        let task = fleet.submit_with(kind, |new| {
            (new.spec.priority, new.spec.payload, new.spec.metadata) =
                (*priority, json(payload), metadata.map(json));
        });
        let task = task.await;
        let asked = match task.approval {
            Some(id) => Some(fleet.engine.approval(id).await.unwrap().0.rule),
            None => None,
        };
        assert_eq!(asked.as_deref(), *rule, "{kind} {priority:?} {payload} {metadata:?}");
        assert_eq!(task.state == State::Blocked, rule.is_some());
    }
    fleet.finish().await;
}

#[tokio::test]
async fn blocked_task_reaches_no_agent_before_its_approval() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    for _ in 0..2 {
        fleet.advance(DAY / 3);
        fleet.engine.promote().await.unwrap();
        fleet.engine.reap().await.unwrap();
        fleet.route().await;
        assert!(fleet.claim("ops_agent", 10).await.is_empty());
    }

    fleet.approve(task.approval.unwrap()).await.unwrap();

    assert_eq!(fleet.claim_one_of("ops_agent").await.task.id, task.id);
    fleet.finish().await;
}

#[tokio::test]
async fn an_approval_says_who_decided_when_and_why() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    let asked = fleet.approval_of(task.id).await;
    assert_eq!(
        (asked.status, asked.requested_by.as_str(), asked.task),
        (ApprovalStatus::Pending, "user:alice", task.id)
    );
    assert_eq!(asked.expires_at, Some(task.created_at + 86_400_000));

    let comment = Some("looks \"fine\"\n".to_owned());
    let decision = Decision::approve(comment.clone());
    let (approval, task) =
        fleet.engine.decide(&fleet.people.bob, asked.id, decision).await.unwrap();

    assert_eq!(
        (approval.status, approval.comment.clone()),
        (ApprovalStatus::Approved, comment.clone())
    );
    assert_eq!(
        (approval.decided_by.as_deref(), approval.decided_at),
        (Some("user:bob"), Some(task.since))
    );
    assert_eq!(
        (task.state, task.timeline.last().unwrap().reason.clone()),
        (State::Pending, comment)
    );
    assert_eq!(
        fleet.event_types_of(task.id).await,
        ["task.created", "approval.requested", "approval.approved"]
    );
    fleet.finish().await;
}

#[tokio::test]
async fn callers_cannot_decide_on_their_own_task() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    let approval = task.approval.unwrap();

    for decision in [Decision::approve(None), Decision::reject(None)] {
        let refused = fleet.engine.decide(&fleet.people.alice, approval, decision).await;
        assert_refused!(refused, Error::OwnSubmission(found) if found == approval);
    }

    assert_eq!(fleet.state_of(task.id).await, State::Blocked);
    fleet.finish().await;
}

#[tokio::test]
async fn first_decision_stands_and_second_is_refused_with_its_approver() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    let approval = task.approval.unwrap();
    let (decided, _) = fleet.approve(approval).await.unwrap();

    let second = fleet.engine.decide(&fleet.people.carol, approval, Decision::reject(None)).await;

    let when = decided.decided_at.unwrap();
    assert_refused!(second, Error::AlreadyDecided { status: ApprovalStatus::Approved, ref by, at, .. } if by == "user:bob" && at == when);
    assert_eq!(fleet.state_of(task.id).await, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn of_many_decisions_at_once_exactly_one_wins() {
    let fleet = Fleet::start().await;
    for _ in 0..20 {
        let task = fleet.submit("deploy").await;
        let (engine, approval) = (&fleet.engine, task.approval.unwrap());
        let (bob, carol) = (&fleet.people.bob, &fleet.people.carol);

        let answers = futures_util::future::join_all([
            engine.decide(bob, approval, Decision::approve(None)),
            engine.decide(carol, approval, Decision::reject(None)),
            engine.decide(bob, approval, Decision::reject(None)),
            engine.decide(carol, approval, Decision::approve(None)),
        ]);
        let (answers, cancelled) = futures_util::future::join(answers, fleet.cancel(task.id)).await;

        // A cancellation may come after a yes, but never after a no.
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(won == 1 || won == 0 && cancelled.is_ok(), "{answers:?} {cancelled:?}");
        let decisions = fleet.task(task.id).await.timeline.len();
        assert!(decisions == 2 || decisions == 3 && cancelled.is_ok());
    }
    fleet.finish().await;
}

#[tokio::test]
async fn an_approved_task_still_waits_for_its_start() {
    let fleet = Fleet::start().await;
    let task = fleet.submit_with("deploy", |new| new.start = Start::After(60_000)).await;
    assert_eq!(task.state, State::Blocked);

    let (_, approved) = fleet.approve(task.approval.unwrap()).await.unwrap();
    assert_eq!(
        (approved.state, approved.scheduled_for),
        (State::Scheduled, Some(task.created_at + 60_000))
    );

    let late = fleet.submit_with("deploy", |new| new.start = Start::After(1_000)).await;
    fleet.advance(Duration::from_secs(61));
    fleet.engine.promote().await.unwrap();
    assert_eq!(fleet.state_of(task.id).await, State::Pending);
    let (_, approved) = fleet.approve(late.approval.unwrap()).await.unwrap();
    assert_eq!(approved.state, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn a_rejected_task_is_cancelled_with_the_reason_as_its_error() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;

    let (approval, task) = fleet.reject(task.approval.unwrap()).await.unwrap();

    assert_eq!((approval.status, task.state), (ApprovalStatus::Rejected, State::Cancelled));
    assert_eq!(task.error.as_deref(), Some("rejected by user:bob: no"));
    assert_eq!(fleet.event_types_of(task.id).await[2..], ["approval.rejected", "task.cancelled"]);
    fleet.finish().await;
}

#[tokio::test]
async fn silence_means_no_unless_the_settings_say_to_hold() {
    for (on_expiry, status, state) in [
        (OnExpiry::Reject, ApprovalStatus::Expired, State::Cancelled),
        (OnExpiry::Hold, ApprovalStatus::Pending, State::Blocked),
    ] {
        let fleet = Fleet::build()
            .settings(|settings| settings.approvals.on_expiry = on_expiry)
            .start()
            .await;
        let task = fleet.submit("deploy").await;
        fleet.advance(DAY - Duration::from_secs(100));
        assert_eq!(fleet.engine.expire().await.unwrap().moved, 0);
        fleet.advance(Duration::from_secs(100));

        fleet.engine.expire().await.unwrap();

        assert_eq!(
            (fleet.approval_of(task.id).await.status, fleet.state_of(task.id).await),
            (status, state)
        );
        if on_expiry == OnExpiry::Reject {
            assert_refused!(
                fleet.approve(task.approval.unwrap()).await,
                Error::AlreadyDecided { status: ApprovalStatus::Expired, .. }
            );
            // Its time to finish ended before, and no sweep had said so.
            let told = ["approval.expired", "sla.warning", "sla.violation", "task.cancelled"];
            assert_eq!(fleet.event_types_of(task.id).await[2..], told);
        } else {
            fleet.approve(task.approval.unwrap()).await.unwrap();
        }
        fleet.finish().await;
    }
}

#[tokio::test]
async fn a_cancelled_task_needs_no_decision_any_more() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;

    fleet.cancel(task.id).await.unwrap();

    assert_eq!(fleet.approval_of(task.id).await.status, ApprovalStatus::Cancelled);
    assert!(
        fleet
            .engine
            .approvals(&[ApprovalStatus::Pending], 10, None, false)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let late = fleet.approve(task.approval.unwrap()).await;
    assert_refused!(late, Error::AlreadyDecided { status: ApprovalStatus::Cancelled, .. });
    fleet.finish().await;
}

#[tokio::test]
async fn rejected_or_cancelled_task_needs_a_new_approval_on_retry() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    let first = task.approval.unwrap();
    fleet.reject(first).await.unwrap();

    let again = fleet.requeue(task.id).await.unwrap();

    let second = again.approval.unwrap();
    assert!(second != first && again.state == State::Blocked);
    let asked = fleet.approval_of(task.id).await;
    assert_eq!(
        (asked.status, asked.requested_by.as_str(), asked.rule.as_str()),
        (ApprovalStatus::Pending, "user:alice", "production change")
    );
    fleet.route().await;
    assert!(fleet.claim("ops_agent", 1).await.is_empty());
    fleet.approve(second).await.unwrap();
    fleet.cancel(task.id).await.unwrap();
    assert_eq!(fleet.requeue(task.id).await.unwrap().state, State::Blocked);
    fleet.finish().await;
}

#[tokio::test]
async fn an_approval_that_does_not_exist_is_unknown() {
    let fleet = Fleet::start().await;
    for partition in [0, 200] {
        let id = ApprovalId::new(Partition(partition));
        assert_refused!(fleet.approve(id).await, Error::UnknownApproval(found) if found == id);
        assert_refused!(fleet.engine.approval(id).await, Error::UnknownApproval(found) if found == id);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn approvals_are_listed_by_status_page_by_page() {
    let fleet = Fleet::build().partitions(2).start().await;
    let batch = vec![new_task("deploy"); 25];
    let answers = fleet.engine.submit(&fleet.people.alice, batch).await.unwrap();
    let mut waiting: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap().task.approval.unwrap()).collect();
    fleet.approve(waiting.pop().unwrap()).await.unwrap();
    fleet.reject(waiting.pop().unwrap()).await.unwrap();

    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = fleet
            .engine
            .approvals(&[ApprovalStatus::Pending], 10, cursor.as_deref(), false)
            .await
            .unwrap();
        found.extend(page.items.into_iter().map(|approval| approval.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }

    found.sort();
    waiting.sort();
    assert_eq!(found, waiting);
    let decided = [ApprovalStatus::Approved, ApprovalStatus::Rejected];
    assert_eq!(fleet.engine.approvals(&decided, 10, None, false).await.unwrap().items.len(), 2);
    assert_eq!(fleet.engine.approvals(&[], 200, None, false).await.unwrap().items.len(), 25);
    fleet.finish().await;
}

#[tokio::test]
async fn concurrent_approval_and_expiry_one_wins() {
    let fleet =
        Fleet::build().settings(|settings| settings.approvals.expires_after_ms = 0).start().await;
    let elsewhere = fleet.another_engine().await;
    for _ in 0..20 {
        let task = fleet.submit("deploy").await;
        let yes =
            elsewhere.decide(&fleet.people.bob, task.approval.unwrap(), Decision::approve(None));

        let (yes, expired) = futures_util::future::join(yes, fleet.engine.expire()).await;
        expired.unwrap();

        let stands = (fleet.approval_of(task.id).await.status, fleet.state_of(task.id).await);
        match yes {
            Ok(_) => assert_eq!(stands, (ApprovalStatus::Approved, State::Pending)),
            Err(Error::AlreadyDecided { status, .. }) => {
                assert_eq!(
                    (status, stands),
                    (ApprovalStatus::Expired, (ApprovalStatus::Expired, State::Cancelled))
                );
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(fleet.task(task.id).await.timeline.len(), 2);
    }
    fleet.finish().await;
}
