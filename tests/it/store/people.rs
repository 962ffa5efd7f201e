//! Rules about people: one person is one, whichever credential submits, asks, edits or approves.

use std::collections::BTreeMap;

use orchestrator::domain::approval::{ApprovalStatus, Decision, TermsSetting, Verdict};
use orchestrator::domain::ids::ApprovalId;
use orchestrator::domain::people::People as Registry;
use orchestrator::domain::principal::{Principal, Role, Subject};
use orchestrator::domain::task::Task;
use orchestrator::engine::{Error, StatusChange};

use crate::harness::{Fleet, assert_refused, json, new_task, question};

/// The identities that are configured.
const IDENTITIES: [(&str, &str); 3] =
    [("ops", "alice"), ("user:auth0|5f7c", "Alice"), ("user:O'Brien@example.com", "alice")];

/// Pairs of credentials that are one person's.
const SAME: [(&str, &str); 10] = [
    ("key:alice", "key:alice"),
    ("key:alice", "user:alice"),
    ("user:alice", "user:ALICE"),
    ("user:alice", "user: alice "),
    ("key:alice", "user:\u{ff41}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"),
    ("user:alice", "user:al\u{200b}ice\u{feff}"),
    ("key:ops", "user:alice"),
    ("key:ops", "key:OPS"),
    ("user:auth0|5f7c", "key:alice"),
    ("user:O'Brien@example.com", "user:auth0|5F7C"),
];

/// Pairs of credentials that are not.
const OTHERS: [(&str, &str); 4] = [
    ("key:alice", "user:\u{430}lice"),
    ("user:alice", "user:alice@example.com"),
    ("key:ops", "user:ops"),
    ("user:auth0|5f7c", "key:auth0|5f7c"),
];

fn caller(text: &str) -> Principal {
    let (kind, name) = text.split_once(':').unwrap();
    let subject = match kind {
        "key" => Subject::Key(name.to_owned()),
        _ => Subject::User(name.to_owned()),
    };
    Principal::new(subject, Role::Admin).unwrap()
}

/// Both orders of each pair.
fn both_ways(pairs: &[(&str, &str)]) -> Vec<(Principal, Principal)> {
    let turned = pairs.iter().map(|(one, other)| (*other, *one));
    let all = pairs.iter().copied().chain(turned);
    all.map(|(one, other)| (caller(one), caller(other))).collect()
}

/// A fleet that knows who is who, and whose deployments are approved under these terms.
async fn under(terms: TermsSetting) -> Fleet {
    let own = |(who, person): (&str, &str)| (who.to_owned(), person.to_owned());
    let identities = BTreeMap::from(IDENTITIES.map(own));
    let build = Fleet::build().settings(|settings| {
        settings.people = Registry::new(&identities, &BTreeMap::new());
        settings.approvals.rules[1].terms = terms;
    });
    build.start().await
}

fn strict(quorum: u32) -> TermsSetting {
    TermsSetting { quorum: Some(quorum), four_eyes: true, ..TermsSetting::default() }
}

/// This caller submits a deployment; the approval that it waits for.
async fn submitted_by(fleet: &Fleet, who: &Principal) -> (Task, ApprovalId) {
    let answers = fleet.engine.submit(who, vec![new_task("deploy")]).await.unwrap();
    let task = answers.into_iter().next().unwrap().unwrap().task;
    let approval = task.approval.unwrap();
    (task, approval)
}

async fn approve(fleet: &Fleet, who: &Principal, id: ApprovalId) -> Result<ApprovalStatus, Error> {
    let decided = fleet.decide(who, id, Decision::approve(None)).await?;
    Ok(decided.0.status)
}

/// This caller puts another payload in place, and says yes to it.
async fn edit(fleet: &Fleet, who: &Principal, id: ApprovalId, payload: &str) -> ApprovalStatus {
    let verdict = Verdict::Approve { payload: Some(json(payload)) };
    let decision = Decision { verdict, comment: None, digest: None };
    fleet.decide(who, id, decision).await.unwrap().0.status
}

#[tokio::test]
async fn no_person_decides_on_an_own_submission_with_any_credential() {
    let fleet = under(TermsSetting::default()).await;
    for (one, other) in both_ways(&SAME) {
        let (task, approval) = submitted_by(&fleet, &one).await;
        for decision in [Decision::approve(None), Decision::reject(None)] {
            let refused = fleet.decide(&other, approval, decision).await;
            assert_refused!(refused, Error::OwnSubmission(id) if id == approval);
        }
        let edited = Verdict::Approve { payload: Some(json("{}")) };
        let decision = Decision { verdict: edited, comment: None, digest: None };
        let refused = fleet.decide(&other, approval, decision).await;
        assert_refused!(refused, Error::OwnSubmission(id) if id == approval);

        // Nor on the same task again.
        fleet.reject(approval).await.unwrap();
        let again = fleet.engine.requeue(&fleet.people.dave, task.id).await.unwrap();
        let refused = approve(&fleet, &other, again.approval.unwrap()).await;
        assert_refused!(refused, Error::OwnSubmission(_));
    }
    for (one, other) in both_ways(&OTHERS) {
        let (_, approval) = submitted_by(&fleet, &one).await;
        let status = approve(&fleet, &other, approval).await.unwrap();
        assert_eq!(status, ApprovalStatus::Approved, "{one} {other}");
    }
    fleet.finish().await;
}

/// This caller claims a task and asks about it.
async fn asked_by(fleet: &Fleet, who: &Principal) -> ApprovalId {
    fleet.engine.submit(&caller("key:eve"), vec![new_task("faq")]).await.unwrap();
    fleet.route().await;
    let claim = fleet.ask_for("faq_agent", 1);
    let held = fleet.engine.claim(who, claim).await.unwrap().pop().unwrap();
    let (id, proof) = (held.task.id, (held.task.attempt, &held.lease));
    fleet.engine.ask(who, id, proof, question()).await.unwrap().0.id
}

#[tokio::test]
async fn no_person_answers_an_own_question_with_any_credential() {
    let fleet = under(TermsSetting::default()).await;
    for (one, other) in both_ways(&SAME) {
        let approval = asked_by(&fleet, &one).await;
        let refused = approve(&fleet, &other, approval).await;
        assert_refused!(refused, Error::OwnSubmission(id) if id == approval);
    }
    for (one, other) in both_ways(&OTHERS) {
        let approval = asked_by(&fleet, &one).await;
        let status = approve(&fleet, &other, approval).await.unwrap();
        assert_eq!(status, ApprovalStatus::Approved, "{one} {other}");
        // So that the next claim finds the next task.
        fleet.cancel(fleet.engine.approval(approval).await.unwrap().0.task).await.unwrap();
    }
    fleet.finish().await;
}

#[tokio::test]
async fn one_person_counts_once_towards_a_quorum() {
    let fleet = under(TermsSetting { quorum: Some(2), ..TermsSetting::default() }).await;
    let eve = caller("key:eve");
    for (one, other) in both_ways(&SAME) {
        let (_, approval) = submitted_by(&fleet, &eve).await;
        assert_eq!(approve(&fleet, &one, approval).await.unwrap(), ApprovalStatus::Pending);
        let twice = approve(&fleet, &other, approval).await;
        assert_refused!(twice, Error::AlreadyVoted(id) if id == approval);

        // With an edit neither: it wipes out the vote before it.
        assert_eq!(edit(&fleet, &other, approval, "{}").await, ApprovalStatus::Pending);
        assert_refused!(approve(&fleet, &one, approval).await, Error::AlreadyVoted(_));
        let status = approve(&fleet, &fleet.people.bob, approval).await.unwrap();
        assert_eq!(status, ApprovalStatus::Approved);
    }
    for (one, other) in both_ways(&OTHERS) {
        let (_, approval) = submitted_by(&fleet, &eve).await;
        approve(&fleet, &one, approval).await.unwrap();
        let status = approve(&fleet, &other, approval).await.unwrap();
        assert_eq!(status, ApprovalStatus::Approved, "{one} {other}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn two_votes_of_one_person_at_the_same_moment_count_once() {
    let fleet = under(TermsSetting { quorum: Some(2), ..TermsSetting::default() }).await;
    let eve = caller("key:eve");
    for (one, other) in both_ways(&SAME[1..]) {
        let (task, approval) = submitted_by(&fleet, &eve).await;

        let (first, second) = tokio::join!(
            fleet.engine.decide(&one, approval, Decision::approve(None)),
            fleet.engine.decide(&other, approval, Decision::approve(None)),
        );

        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert_eq!(fleet.approval_of(task.id).await.status, ApprovalStatus::Pending);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn with_four_eyes_no_person_approves_what_it_wrote_in_any_call() {
    for quorum in [1, 2] {
        let fleet = under(strict(quorum)).await;
        let eve = caller("key:eve");
        for (one, other) in both_ways(&SAME) {
            let (_, approval) = submitted_by(&fleet, &eve).await;
            assert_eq!(edit(&fleet, &one, approval, "{}").await, ApprovalStatus::Pending);
            for author in [&one, &other] {
                let refused = approve(&fleet, author, approval).await;
                assert_refused!(refused, Error::OwnContent(id) if id == approval);
            }
            if quorum == 2 {
                let first = approve(&fleet, &fleet.people.bob, approval).await.unwrap();
                assert_eq!(first, ApprovalStatus::Pending);
                assert_refused!(approve(&fleet, &other, approval).await, Error::OwnContent(_));
            }
            let status = approve(&fleet, &fleet.people.carol, approval).await.unwrap();
            assert_eq!(status, ApprovalStatus::Approved);
        }
        for (one, other) in both_ways(&OTHERS).into_iter().filter(|_| quorum == 1) {
            let (_, approval) = submitted_by(&fleet, &eve).await;
            edit(&fleet, &one, approval, "{}").await;
            let status = approve(&fleet, &other, approval).await.unwrap();
            assert_eq!(status, ApprovalStatus::Approved, "{one} {other}");
        }
        fleet.finish().await;
    }
}

#[tokio::test]
async fn payload_stays_its_authors_when_another_approver_restores_it() {
    let fleet = under(strict(1)).await;
    let (alice, ops) = (caller("user:alice"), caller("key:ops"));
    let (bob, carol) = (&fleet.people.bob, &fleet.people.carol);
    let eve = caller("key:eve");

    // Alice did not write what bob made of hers.
    let (_, approval) = submitted_by(&fleet, &eve).await;
    edit(&fleet, &alice, approval, r#"{"n":1,"m":[2]}"#).await;
    edit(&fleet, bob, approval, r#"{"n":2}"#).await;
    assert_refused!(approve(&fleet, bob, approval).await, Error::OwnContent(_));
    // But it is hers again when carol restores it, also in another spelling.
    edit(&fleet, carol, approval, r#"{ "m": [2], "n": 1 }"#).await;
    for author in [&alice, &ops, carol] {
        assert_refused!(approve(&fleet, author, approval).await, Error::OwnContent(_));
    }
    assert_eq!(approve(&fleet, bob, approval).await.unwrap(), ApprovalStatus::Approved);

    let (_, approval) = submitted_by(&fleet, &eve).await;
    edit(&fleet, &alice, approval, r#"{"n":1}"#).await;
    edit(&fleet, bob, approval, r#"{"n":2}"#).await;
    assert_eq!(approve(&fleet, &ops, approval).await.unwrap(), ApprovalStatus::Approved);
    fleet.finish().await;
}

#[tokio::test]
async fn an_author_does_not_approve_the_same_payload_when_the_task_asks_again() {
    let fleet = under(strict(1)).await;
    let (alice, ops) = (caller("user:alice"), caller("key:ops"));
    let (task, approval) = submitted_by(&fleet, &caller("key:eve")).await;
    edit(&fleet, &alice, approval, "{}").await;
    fleet.decide(&fleet.people.bob, approval, Decision::reject(None)).await.unwrap();

    let again = fleet.engine.requeue(&fleet.people.dave, task.id).await.unwrap();

    let again = again.approval.unwrap();
    assert_ne!(again, approval);
    assert_refused!(approve(&fleet, &ops, again).await, Error::OwnContent(id) if id == again);
    assert_eq!(
        approve(&fleet, &fleet.people.carol, again).await.unwrap(),
        ApprovalStatus::Approved
    );
    fleet.finish().await;
}

#[tokio::test]
async fn one_who_writes_more_payloads_than_are_kept_is_the_author_of_every_one() {
    let fleet = under(strict(1)).await;
    let (alice, bob) = (caller("user:alice"), &fleet.people.bob);
    let (_, approval) = submitted_by(&fleet, &caller("key:eve")).await;
    for n in 0..300 {
        edit(&fleet, &alice, approval, &format!(r#"{{"n":{n}}}"#)).await;
    }
    edit(&fleet, bob, approval, r#"{"n":299}"#).await;

    assert_refused!(approve(&fleet, &alice, approval).await, Error::OwnContent(_));
    assert!(fleet.engine.approval(approval).await.unwrap().0.authors.len() < 300);
    fleet.finish().await;
}

#[tokio::test]
async fn a_person_is_a_member_of_a_group_with_every_credential() {
    for (one, other) in SAME {
        let terms = TermsSetting { groups: vec!["oncall".to_owned()], ..TermsSetting::default() };
        let fleet = under(terms).await;
        let mut settings = fleet.engine.settings().clone();
        settings.approvals.groups = [("oncall".to_owned(), vec![one.to_owned()])].into();
        let engine = fleet.engine_with(settings);
        let (_, approval) = submitted_by(&fleet, &caller("key:eve")).await;

        let stranger = engine.decide(&fleet.people.bob, approval, Decision::approve(None)).await;
        assert_refused!(stranger, Error::NotAsked { .. });
        let decided = engine.decide(&caller(other), approval, Decision::approve(None)).await;
        assert_eq!(decided.unwrap().0.status, ApprovalStatus::Approved, "{one} {other}");
        fleet.finish().await;
    }
}

#[tokio::test]
async fn that_two_credentials_are_one_person_holds_for_what_waits_already() {
    let fleet = Fleet::start().await;
    let (bob_key, bob) = (caller("key:robert"), &fleet.people.bob);
    let (_, approval) = submitted_by(&fleet, &bob_key).await;
    let mut settings = fleet.engine.settings().clone();
    let identities = BTreeMap::from([("robert".to_owned(), "bob".to_owned())]);
    settings.people = Registry::new(&identities, &BTreeMap::new());

    let told = fleet.engine_with(settings);

    let refused = told.decide(bob, approval, Decision::approve(None)).await;
    assert_refused!(refused, Error::OwnSubmission(_));
    assert_eq!(approve(&fleet, bob, approval).await.unwrap(), ApprovalStatus::Approved);
    fleet.finish().await;
}

/// Names as identity providers give them, and some that would break a record, a JSON string or a line.
const NAMES: [&str; 9] = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "O'Brien@example.com",
    "arn:aws:sts::123456789012:assumed-role/Role/session",
    "CN=Jürgen Groß, O=\"Big\\Co\"",
    "- - -",
    "\"by\":\"user:bob\"",
    "100%20 50",
    "a\u{202e}b \u{1f600}",
    "key:alice",
];

#[tokio::test]
async fn a_task_lives_under_every_name_that_an_identity_provider_gives() {
    let fleet = Fleet::start().await;
    let longest = "ü".repeat(256);
    let judge = caller("user:judge|\u{1f600} 1");
    for sub in NAMES.into_iter().chain([&*longest]) {
        let who = Principal::new(Subject::User(sub.to_owned()), Role::Admin).unwrap();
        let (task, approval) = submitted_by(&fleet, &who).await;
        assert_eq!(task.submitted_by, who.to_string());
        let asked = fleet.approval_of(task.id).await;
        assert_eq!(asked.requested_by, who.to_string());
        assert_refused!(approve(&fleet, &who, approval).await, Error::OwnSubmission(_));
        assert_eq!(approve(&fleet, &judge, approval).await.unwrap(), ApprovalStatus::Approved);
        fleet.route().await;
        let taken = fleet.engine.change_status(&who, task.id, StatusChange::InProgress).await;
        assert_eq!(taken.unwrap().holder, Some(who.to_string()));
        fleet.cancel(task.id).await.unwrap();
        let read = fleet.task(task.id).await;
        assert_eq!(read.timeline[0].actor, who.to_string());
        assert_eq!(read.timeline[1].actor, judge.to_string());
    }
    // Every event and entry can be read.
    assert!(fleet.events().await.iter().all(|event| event.body.is_object()));
    fleet.finish().await;
}
