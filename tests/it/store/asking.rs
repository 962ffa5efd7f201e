//! Agents that ask a human before a risky step, and content that is not what was approved.

use std::time::Duration;

use orchestrator::domain::approval::{
    ApprovalStatus, Asked, Decision, OnExpiry, OnRejection, TermsSetting,
};
use orchestrator::domain::ids::ApprovalId;
use orchestrator::domain::lease::Proof;
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::engine::{Error, StatusChange};
use orchestrator::store::{Answer, Gate};

use crate::harness::{DAY, Fleet, HOUR, approval_key, assert_refused, key};

#[tokio::test]
async fn an_agent_that_asks_gets_the_answer_with_its_next_claim_and_may_ask_again() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let mut held = fleet.claim_one().await;
    for round in 1..=2 {
        // An agent may not ask again within a second.
        fleet.advance(Duration::from_secs(1));
        let asked = fleet.ask(&held, OnRejection::Cancel).await.unwrap();

        let task = fleet.task(held.task.id).await;
        assert_eq!(
            (task.state, task.approval, task.lease_until),
            (State::Blocked, Some(asked.id), None)
        );
        assert_refused!(fleet.complete(&held).await, Error::LeaseLost { .. });
        assert!(fleet.claim("faq_agent", 1).await.is_empty());
        let Asked::Step { reason, action, .. } = asked.asked else { panic!("{asked:?}") };
        assert_eq!(
            (reason.as_str(), action.unwrap().get()),
            ("may I?", r#"{"run":"rm -rf build"}"#)
        );
        let yes = Decision::approve(Some("go".to_owned()));
        let (_, task) = fleet.decide(&fleet.people.bob, asked.id, yes).await.unwrap();
        assert_eq!(task.state, State::Assigned);
        let again = fleet.claim_one().await;
        assert_eq!((again.task.id, again.task.attempt), (held.task.id, round + 1));
        let answer = again.task.asked.clone().unwrap();
        assert_eq!(
            (answer.status, answer.comment.as_deref()),
            (ApprovalStatus::Approved, Some("go"))
        );
        assert_eq!(again.task.retry_count + again.task.lost_count, 0);
        held = again;
    }

    fleet.complete(&held).await.unwrap();

    let verbs: Vec<_> =
        fleet.task(held.task.id).await.timeline.iter().map(|transition| transition.verb).collect();
    assert_eq!(verbs[3..6], [Verb::Ask, Verb::Approve, Verb::Claim]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_no_ends_the_task_unless_its_agent_wants_to_hear_it() {
    for (on_rejection, state) in
        [(OnRejection::Cancel, State::Cancelled), (OnRejection::Return, State::Assigned)]
    {
        for is_silence in [false, true] {
            let fleet = Fleet::start().await;
            fleet.submit("faq").await;
            let held = fleet.claim_one().await;
            let asked = fleet.ask(&held, on_rejection).await.unwrap();

            if is_silence {
                fleet.advance(25 * HOUR);
                fleet.engine.expire().await.unwrap();
            } else {
                fleet.reject(asked.id).await.unwrap();
            }

            let status =
                if is_silence { ApprovalStatus::Expired } else { ApprovalStatus::Rejected };
            assert_eq!(fleet.state_of(held.task.id).await, state);
            assert_eq!(fleet.approval_of(held.task.id).await.status, status);
            if state == State::Assigned {
                let again = fleet.claim_one().await;
                assert_eq!(again.task.asked.clone().unwrap().status, status);
                fleet.complete(&again).await.unwrap();
            } else {
                // What a human refused is asked for again before it runs after all.
                assert_eq!(fleet.requeue(held.task.id).await.unwrap().state, State::Blocked);
            }
            fleet.finish().await;
        }
    }
}

#[tokio::test]
async fn neither_the_submitter_nor_who_asked_answers() {
    let fleet = Fleet::start().await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    let asked = fleet.ask(&held, OnRejection::Return).await.unwrap();
    let crew = &fleet.people.agent;

    for who in [&fleet.people.alice, crew] {
        let refused = fleet.decide(who, asked.id, Decision::approve(None)).await;
        assert_refused!(refused, Error::OwnSubmission(_));
    }

    fleet.approve(asked.id).await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn only_the_attempt_that_holds_the_task_may_ask() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    fleet.advance(Duration::from_secs(31));
    fleet.engine.reap().await.unwrap();
    let second = fleet.claim_one().await;

    assert_refused!(fleet.ask(&held, OnRejection::Cancel).await, Error::LeaseLost { held: 2, .. });

    fleet.complete(&second).await.unwrap();
    let late = fleet.ask(&second, OnRejection::Cancel).await;
    assert_refused!(late, Error::ResultMismatch { .. });
    assert!(fleet.task(task.id).await.approval.is_none());
    fleet.finish().await;
}

#[tokio::test]
async fn a_question_whose_answer_was_lost_is_asked_once() {
    let fleet = Fleet::build().lossy().start().await;
    fleet.submit("faq").await;
    let held = fleet.claim_one().await;
    let terms = TermsSetting::default().resolve(1_000, OnExpiry::Reject);
    let id = ApprovalId::new(held.task.id.partition());
    let gate = Gate { id, digest: "d".to_owned(), rule: "asked".to_owned(), terms };

    fleet.proxy.as_ref().unwrap().lose_next_answer();
    let asks = ("may I?", None, OnRejection::Cancel);
    let proof = Proof::Lease(held.task.attempt, &held.lease);
    let answer = fleet
        .store
        .ask(held.task.id, "key:crew", (proof, "?q"), &gate, asks, "9,0,0")
        .await
        .unwrap();

    assert!(fleet.proxy.as_ref().unwrap().has_lost_it());
    assert_eq!(answer, Answer::Repeated(State::Blocked));
    let task = fleet.task(held.task.id).await;
    assert_eq!((task.approval, task.timeline.len()), (Some(id), 4));
    fleet.finish().await;
}

#[tokio::test]
async fn content_that_is_not_what_was_approved_reaches_no_agent_and_says_why() {
    for is_routed in [false, true] {
        let fleet = Fleet::start().await;
        let task = fleet.submit("deploy").await;
        fleet.approve(task.approval.unwrap()).await.unwrap();
        let innocent = fleet.submit_with("deploy", |new| {
            new.spec.payload = crate::harness::json(r#"{"environment": "staging"}"#);
        });
        let innocent = innocent.await;
        if is_routed {
            fleet.route().await;
        }
        let (specs, id) = (key("specs"), task.id.to_string());
        let before: String = fleet.redis.ask(&["HGET", &specs, &id]).await;
        fleet
            .redis
            .ask::<i64>(&["HSET", &specs, &id, r#"{"environment":"production","evil":true}"#])
            .await;

        fleet.route().await;
        let claimed = fleet.claim("ops_agent", 10).await;

        assert_eq!(claimed.iter().map(|held| held.task.id).collect::<Vec<_>>(), [innocent.id]);
        let parked = fleet.task(task.id).await;
        assert_eq!(parked.state, if is_routed { State::Assigned } else { State::Pending });
        let last = parked.timeline.last().unwrap();
        assert_eq!(
            (last.verb, last.reason.as_deref()),
            (Verb::Park, Some("its content is not what was approved"))
        );
        let take = fleet
            .engine
            .change_status(&fleet.people.alice, task.id, StatusChange::InProgress)
            .await;
        assert_refused!(take, Error::Uncleared(_));
        fleet.route().await;
        assert!(fleet.claim("ops_agent", 10).await.is_empty());
        assert_eq!(
            fleet.task(task.id).await.timeline.len(),
            parked.timeline.len(),
            "it is said once"
        );
        assert!(!fleet.engine.doctor().await.unwrap().is_empty());
        // What was approved may run.
        fleet.redis.ask::<i64>(&["HSET", &specs, &id, &before]).await;
        fleet.route().await;
        assert_eq!(fleet.claim("ops_agent", 10).await.len(), 1);
        fleet.finish().await;
    }
}

#[tokio::test]
async fn an_approval_whose_digest_was_changed_clears_nothing() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    let approval = task.approval.unwrap();
    fleet.approve(approval).await.unwrap();
    let hash = approval_key(approval);

    fleet.redis.ask::<i64>(&["HSET", &hash, "digest", &"0".repeat(64)]).await;

    fleet.route().await;
    assert!(fleet.claim("ops_agent", 10).await.is_empty());
    fleet.cancel(task.id).await.unwrap();
    fleet.discard();
}

#[tokio::test]
async fn every_approval_of_a_task_goes_with_it() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    fleet.approve(task.approval.unwrap()).await.unwrap();
    let held = fleet.claim_one_of("ops_agent").await;
    let second = fleet.ask(&held, OnRejection::Cancel).await.unwrap();
    assert_eq!(second.previous, task.approval);
    fleet.reject(second.id).await.unwrap();
    fleet.requeue(task.id).await.unwrap();
    fleet.cancel(task.id).await.unwrap();
    assert_eq!(fleet.engine.approvals(&[], 10, None, false).await.unwrap().items.len(), 3);

    fleet.advance(8 * DAY);
    fleet.engine.prune().await.unwrap();

    assert!(fleet.engine.approvals(&[], 10, None, false).await.unwrap().items.is_empty());
    let left: Vec<String> = fleet.redis.ask(&["KEYS", "*approval*"]).await;
    assert!(left.is_empty(), "{left:?}");
    fleet.finish().await;
}
