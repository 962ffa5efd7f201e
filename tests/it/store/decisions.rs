//! How humans decide: who may, how many, on what exactly, and what silence leads to.

use std::time::Duration;

use orchestrator::domain::approval::{
    ApprovalStatus, Decision, Level, OnExpiry, TermsSetting, Verdict,
};
use orchestrator::domain::content::Content;
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::principal::{Principal, Role, Subject};
use orchestrator::domain::priority::Priority;
use orchestrator::engine::Error;
use orchestrator::store::{Decided, NewContent};

use crate::harness::{Fleet, HOUR, assert_refused, json, open_level};

/// A fleet whose deployments are approved under these terms; the group `oncall` is carol.
async fn under(terms: TermsSetting) -> Fleet {
    let build = Fleet::build().settings(|settings| {
        settings.approvals.groups = [("oncall".to_owned(), vec!["user:carol".to_owned()])].into();
        settings.approvals.rules[1].terms = terms;
    });
    build.start().await
}

fn level(groups: &[&str], hours: u64) -> Level {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Level { groups, ..open_level(hours * 3_600_000) }
}

fn dora() -> Principal {
    Principal::new(Subject::User("dora".to_owned()), Role::Approver).unwrap()
}

/// Yes, to another payload.
fn edit(payload: &str, digest: &str) -> Decision {
    let verdict = Verdict::Approve { payload: Some(json(payload)) };
    Decision { verdict, comment: Some("safer".to_owned()), digest: Some(digest.to_owned()) }
}

#[tokio::test]
async fn a_quorum_needs_as_many_different_humans_as_it_says() {
    let fleet = under(TermsSetting { quorum: Some(2), ..TermsSetting::default() }).await;
    let (task, people) = (fleet.submit("deploy").await, &fleet.people);
    let approval = task.approval.unwrap();

    let (after, task) = fleet
        .decide(&people.bob, approval, Decision::approve(Some("fine".to_owned())))
        .await
        .unwrap();

    assert_eq!((after.status, task.state), (ApprovalStatus::Pending, State::Blocked));
    assert_eq!(after.votes.iter().map(|vote| vote.by.as_str()).collect::<Vec<_>>(), ["user:bob"]);
    assert_eq!(after.votes[0].comment.as_deref(), Some("fine"));
    let twice = fleet.decide(&people.bob, approval, Decision::approve(None)).await;
    assert_refused!(twice, Error::AlreadyVoted(id) if id == approval);
    fleet.route().await;
    assert!(fleet.claim("ops_agent", 1).await.is_empty());
    let (after, task) =
        fleet.decide(&people.carol, approval, Decision::approve(None)).await.unwrap();
    assert_eq!(
        (after.status, task.state, after.votes.len()),
        (ApprovalStatus::Approved, State::Pending, 2)
    );
    assert_eq!(after.decided_by.as_deref(), Some("user:carol"));
    let verbs: Vec<_> = task.timeline.iter().map(|transition| transition.verb).collect();
    assert_eq!(verbs, [Verb::Submit, Verb::Vote, Verb::Approve]);
    fleet.finish().await;
}

#[tokio::test]
async fn one_rejection_ends_an_approval_despite_its_quorum() {
    let fleet = under(TermsSetting { quorum: Some(3), ..TermsSetting::default() }).await;
    let approval = fleet.submit("deploy").await.approval.unwrap();
    fleet.approve(approval).await.unwrap();

    let (after, task) =
        fleet.decide(&fleet.people.carol, approval, Decision::reject(None)).await.unwrap();

    assert_eq!((after.status, task.state), (ApprovalStatus::Rejected, State::Cancelled));
    fleet.finish().await;
}

#[tokio::test]
async fn only_those_who_are_asked_may_decide() {
    let fleet =
        under(TermsSetting { groups: vec!["oncall".to_owned()], ..TermsSetting::default() }).await;
    let approval = fleet.submit("deploy").await.approval.unwrap();

    for decision in [Decision::approve(None), Decision::reject(None)] {
        let refused = fleet.decide(&fleet.people.bob, approval, decision).await;
        assert_refused!(refused, Error::NotAsked { asked, .. } if asked == "group oncall");
    }

    let (after, _) =
        fleet.decide(&fleet.people.carol, approval, Decision::approve(None)).await.unwrap();
    assert_eq!(after.status, ApprovalStatus::Approved);
    fleet.finish().await;
}

#[tokio::test]
async fn approver_can_edit_the_payload_and_the_agent_sees_both_versions() {
    let fleet = Fleet::start().await;
    let submitted = r#"{"environment": "production", "replicas": 40}"#;
    let task = fleet.submit_with("deploy", |new| new.spec.payload = json(submitted)).await;
    let asked = fleet.approval_of(task.id).await;

    let changed = r#"{"environment": "production", "replicas": 4}"#;
    let (after, task) = fleet
        .engine
        .decide(&fleet.people.bob, asked.id, edit(changed, &asked.digest))
        .await
        .unwrap();

    assert_eq!(
        (after.status, task.state, task.version),
        (ApprovalStatus::Approved, State::Pending, 2)
    );
    assert_ne!(after.digest, asked.digest);
    assert_eq!(after.digest, task.content(None).digest());
    let held = fleet.claim_one_of("ops_agent").await.task;
    assert_eq!(held.spec.payload.get(), changed);
    let edit = held.asked.unwrap().edit.unwrap();
    assert_eq!((edit.by.as_str(), edit.original.get()), ("user:bob", submitted));
    assert_eq!(edit.changes.get(), r#"[{"pointer":"/replicas","before":40,"after":4}]"#);
    let told: Vec<_> = fleet.event_types_of(task.id).await;
    assert_eq!(told[2..4], ["approval.changed", "approval.approved"]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_yes_counts_only_for_what_its_sender_saw() {
    let fleet = under(TermsSetting { quorum: Some(2), ..TermsSetting::default() }).await;
    let task = fleet.submit("deploy").await;
    let seen = fleet.approval_of(task.id).await;
    let (engine, people) = (&fleet.engine, &fleet.people);
    engine.decide(&dora(), seen.id, Decision::approve(None)).await.unwrap();

    let (changed, _) =
        engine.decide(&people.bob, seen.id, edit(r#"{"x":1}"#, &seen.digest)).await.unwrap();

    // Dora approved something else; bob wrote this payload, so the approval of bob counts.
    assert_eq!(changed.votes.iter().map(|vote| vote.by.as_str()).collect::<Vec<_>>(), ["user:bob"]);
    for digest in [None, Some(seen.digest.clone())] {
        for decision in [Decision::approve(None), Decision::reject(None)] {
            let decision = Decision { digest: digest.clone(), ..decision };
            let refused = engine.decide(&people.carol, seen.id, decision).await;
            assert_refused!(refused, Error::ContentChanged { digest, .. } if digest == changed.digest);
        }
    }
    let (after, task) =
        fleet.decide(&people.carol, seen.id, Decision::approve(None)).await.unwrap();
    assert_eq!((after.status, task.spec.payload.get()), (ApprovalStatus::Approved, r#"{"x":1}"#));
    fleet.finish().await;
}

#[tokio::test]
async fn four_eyes_requires_another_approver_for_an_edited_payload() {
    let fleet = under(TermsSetting { four_eyes: true, ..TermsSetting::default() }).await;
    let task = fleet.submit("deploy").await;
    let asked = fleet.approval_of(task.id).await;

    let (after, task) = fleet
        .engine
        .decide(&fleet.people.bob, asked.id, edit(r#"{"x":1}"#, &asked.digest))
        .await
        .unwrap();

    assert_eq!(
        (after.status, after.votes.len(), task.state),
        (ApprovalStatus::Pending, 0, State::Blocked)
    );
    let (after, _) =
        fleet.decide(&fleet.people.carol, asked.id, Decision::approve(None)).await.unwrap();
    assert_eq!(after.status, ApprovalStatus::Approved);
    fleet.finish().await;
}

#[tokio::test]
async fn silence_goes_up_level_by_level_and_at_the_top_means_no() {
    let terms = TermsSetting {
        groups: vec!["oncall".to_owned()],
        expires_after_ms: Some(3_600_000),
        on_expiry: Some(OnExpiry::Escalate),
        escalate_to: vec![level(&[], 2)],
        ..TermsSetting::default()
    };
    let fleet = under(terms).await;
    let (first, second) = (fleet.submit("deploy").await, fleet.submit("deploy").await);
    fleet.advance(HOUR);

    assert_eq!(fleet.engine.expire().await.unwrap().moved, 2);

    let asked = fleet.approval_of(first.id).await;
    assert_eq!((asked.status, asked.level), (ApprovalStatus::Pending, 1));
    assert!(asked.expires_at.unwrap() >= asked.requested_at + 3 * 3_600_000);
    assert_eq!(fleet.event_types_of(first.id).await[2..], ["approval.escalated"]);
    // Now bob is asked too.
    fleet.approve(asked.id).await.unwrap();
    fleet.advance(2 * HOUR);
    fleet.engine.expire().await.unwrap();
    let task = fleet.task(second.id).await;
    assert_eq!(
        (task.state, task.error.as_deref()),
        (State::Cancelled, Some("its approval was not decided in time"))
    );
    assert_eq!(fleet.approval_of(second.id).await.status, ApprovalStatus::Expired);
    fleet.finish().await;
}

#[tokio::test]
async fn those_who_are_asked_are_reminded_until_they_decide() {
    let terms = TermsSetting { remind_every_ms: Some(600_000), ..TermsSetting::default() };
    let fleet = under(terms).await;
    let task = fleet.submit("deploy").await;
    let reminders = async || {
        let types = fleet.event_types_of(task.id).await;
        types.iter().filter(|kind| *kind == "approval.reminder").count()
    };

    for _ in 0..3 {
        fleet.advance(Duration::from_secs(600));
        fleet.engine.expire().await.unwrap();
        fleet.engine.expire().await.unwrap();
    }

    assert_eq!(reminders().await, 3);
    fleet.approve(task.approval.unwrap()).await.unwrap();
    fleet.advance(HOUR);
    fleet.engine.expire().await.unwrap();
    assert_eq!(reminders().await, 3);
    fleet.finish().await;
}

#[tokio::test]
async fn a_rule_may_wave_through_what_a_later_one_would_ask_for() {
    let build = Fleet::build().settings(|settings| {
        let mut rule = settings.approvals.rules[0].clone();
        (rule.name, rule.required, rule.when.priorities) =
            ("trusted source".to_owned(), false, Vec::new());
        rule.when.sources = vec![crate::harness::name("release-bot")];
        settings.approvals.rules.insert(0, rule);
    });
    let fleet = build.sources("user:alice", &["release-bot", "user"]).start().await;

    let trusted = fleet.submit_with("deploy", |new| {
        (new.spec.source, new.spec.priority) = (crate::harness::name("release-bot"), Priority::P0);
    });

    assert_eq!(trusted.await.state, State::Pending);
    assert_eq!(fleet.submit("deploy").await.state, State::Blocked);
    fleet.finish().await;
}

#[tokio::test]
async fn a_decision_that_is_sent_again_because_its_answer_was_lost_is_made_once() {
    let build = Fleet::build()
        .lossy()
        .settings(|settings| settings.approvals.rules[1].terms.quorum = Some(2));
    let fleet = build.start().await;
    let task = fleet.submit("deploy").await;
    let asked = fleet.approval_of(task.id).await;
    let (proxy, payload) = (fleet.proxy.as_ref().unwrap(), json(r#"{"x":1}"#));
    let decision = edit(payload.get(), &asked.digest);
    let digest = Content { version: 2, payload: &payload, ..task.content(None) }.digest();
    let content = NewContent {
        task: &task,
        payload: &payload,
        digest: &digest,
        original: &task.spec.payload,
        changes: "[]",
    };

    for (who, decision, edit, outcome) in [
        (&fleet.people.bob, &decision, Some(&content), Decided::Voted),
        (&dora(), &Decision::approve(None), None, Decided::Done),
    ] {
        let seen = fleet.approval_of(task.id).await;
        proxy.lose_next_answer();
        let decided = fleet.store.decide(&seen, who, decision, edit).await.unwrap();
        assert!(proxy.has_lost_it());
        assert_eq!(decided, outcome);
    }

    let (after, task) = fleet.engine.approval(asked.id).await.unwrap();
    assert_eq!((after.votes.len(), task.version, task.state), (2, 2, State::Pending));
    assert_eq!(
        fleet.event_types_of(task.id).await[2..],
        ["approval.changed", "approval.voted", "approval.approved"]
    );
    fleet.finish().await;
}
