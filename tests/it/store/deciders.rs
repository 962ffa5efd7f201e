//! Approvals whose deciders are gone: what is said of them, and how others decide.

use orchestrator::domain::approval::{ApprovalStatus, Decision, OnExpiry, TermsSetting, Verdict};
use orchestrator::domain::audit::AuditFilter;
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::principal::Role;
use orchestrator::engine::{Engine, Error, Settings, Target};

use crate::harness::{Fleet, assert_refused, open_level};

/// A fleet whose deployments two of the group `oncall` (bob and carol) approve, for ever; it is reminded of them.
async fn asking_the_group() -> Fleet {
    let build = Fleet::build().settings(|settings| {
        settings.approvals.groups = group(&["user:bob", "user:carol"]);
        settings.approvals.rules[1].terms = TermsSetting {
            groups: vec!["oncall".to_owned()],
            quorum: Some(2),
            on_expiry: Some(OnExpiry::Hold),
            remind_every_ms: Some(60_000),
            ..TermsSetting::default()
        };
    });
    build.start().await
}

fn group(members: &[&str]) -> orchestrator::domain::approval::Groups {
    [("oncall".to_owned(), members.iter().map(|one| (*one).to_owned()).collect())].into()
}

/// The fleet's engine, told something else.
fn told(fleet: &Fleet, change: impl FnOnce(&mut Settings)) -> Engine {
    let mut settings = fleet.engine.settings().clone();
    change(&mut settings);
    fleet.engine_with(settings)
}

/// An engine whose settings lack the group, and name no other in its place.
fn without_group(fleet: &Fleet) -> Engine {
    told(fleet, |settings| {
        settings.approvals.groups.clear();
        settings.approvals.rules[1].terms = TermsSetting::default();
    })
}

fn to(roles: &[Role], groups: &[&str], quorum: Option<u32>) -> Target {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Target::People { roles: roles.to_vec(), groups, quorum }
}

#[tokio::test]
async fn people_who_are_gone_are_named_with_the_approvals_that_ask_them() {
    let fleet = asking_the_group().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(fleet.submit("deploy").await.approval.unwrap());
    }
    assert_eq!(fleet.engine.unreachable().await.unwrap(), []);
    let short = "`oncall` has 1 of the 2 people who must approve";
    let none = "`oncall` has 0 of the 2 people who must approve";

    for (members, expected) in [
        (None, vec![none, "group `oncall` is not configured"]),
        (Some(vec![]), vec![none, "group `oncall` has no members"]),
        (Some(vec!["user:bob"]), vec![short]),
        // One person with two credentials.
        (Some(vec!["user:bob", "key:Bob"]), vec![short]),
    ] {
        let engine = told(&fleet, |settings| {
            settings.approvals.groups = members.map(|members| group(&members)).unwrap_or_default();
        });
        let found = engine.unreachable().await.unwrap();
        let faults: Vec<_> = found.iter().map(|one| one.fault.as_str()).collect();
        assert_eq!(faults, expected);
        assert!(found.iter().all(|one| one.count == 7 && one.first.len() == 5), "{found:?}");
        assert!(found[0].first.iter().all(|id| ids.contains(id)));
    }
    fleet.finish().await;
}

#[tokio::test]
async fn an_admin_has_others_decide_in_place_of_a_group_that_is_gone() {
    let fleet = asking_the_group().await;
    let task = fleet.submit("deploy").await;
    let (id, people) = (task.approval.unwrap(), &fleet.people);
    fleet.decide(&people.bob, id, Decision::approve(None)).await.unwrap();
    let engine = without_group(&fleet);
    for who in [&people.carol, &people.dave] {
        let refused = engine.decide(who, id, Decision::approve(None)).await;
        assert_refused!(refused, Error::NotAsked { asked, .. }
            if asked == "group oncall, which is not configured");
    }

    let reason = Some("oncall is gone".to_owned());
    let target = to(&[Role::Admin], &[], Some(1));
    let (after, task) = engine.retarget(&people.dave, id, target, reason).await.unwrap();

    // Bob's vote was for other terms.
    assert_eq!((after.status, after.votes.len(), after.level), (ApprovalStatus::Pending, 0, 0));
    assert_eq!((after.terms.quorum, after.terms.on_expiry), (1, OnExpiry::Hold));
    assert_eq!(after.terms.levels[0].roles, [Role::Admin]);
    let last = task.timeline.last().unwrap();
    assert_eq!((last.verb, last.to, &*last.actor), (Verb::Retarget, State::Blocked, "user:dave"));
    assert_eq!(fleet.event_types_of(task.id).await.pop().unwrap(), "approval.retargeted");
    let refused = engine.decide(&people.carol, id, Decision::approve(None)).await;
    assert_refused!(refused, Error::NotAsked { asked, .. } if asked == "role admin");
    let (decided, task) = engine.decide(&people.dave, id, Decision::approve(None)).await.unwrap();
    assert_eq!((decided.status, task.state), (ApprovalStatus::Approved, State::Pending));

    let filter = AuditFilter { action: Some("retarget".to_owned()), ..AuditFilter::default() };
    let (page, _) = engine.audit(&filter, 10, None).await.unwrap();
    let [entry] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((&*entry.actor, &*entry.subject), ("user:dave", &*format!("approval:{id}")));
    assert_eq!(entry.detail["reason"], "oncall is gone");
    assert!(entry.detail["previous_terms"].contains("oncall"), "{entry:?}");
    assert!(entry.detail["terms"].contains("admin"), "{entry:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn a_target_that_could_not_decide_is_refused_and_nothing_changes() {
    let fleet = asking_the_group().await;
    let (id, people) = (fleet.submit("deploy").await.approval.unwrap(), &fleet.people);
    let engine = told(&fleet, |settings| settings.approvals.groups = group(&["user:bob"]));
    let before = fleet.redis.dump().await;

    for (target, pointer) in [
        (Target::Rule("nothing".to_owned()), "/rule"),
        (to(&[Role::Agent], &[], None), "/roles"),
        (to(&[], &["gone"], None), "/groups"),
        (to(&[], &["oncall"], None), "/groups"),
        (to(&[], &["oncall"], Some(3)), "/groups"),
    ] {
        let refused = engine.retarget(&people.dave, id, target, None).await;
        assert_refused!(refused, Error::Invalid(faults) if faults[0].pointer == pointer);
    }
    // Who submitted it does not choose who decides.
    let refused = engine.retarget(&people.alice, id, to(&[Role::Admin], &[], None), None).await;
    assert_refused!(refused, Error::OwnSubmission(_));
    assert!(fleet.redis.dump().await == before);

    let target = to(&[], &["oncall"], Some(1));
    engine.retarget(&people.dave, id, target, None).await.unwrap();
    engine.decide(&people.bob, id, Decision::reject(None)).await.unwrap();
    let late = engine.retarget(&people.dave, id, to(&[Role::Admin], &[], None), None).await;
    assert_refused!(late, Error::AlreadyDecided { status: ApprovalStatus::Rejected, .. });
    fleet.finish().await;
}

#[tokio::test]
async fn the_terms_of_a_rule_begin_anew_with_their_first_level() {
    let fleet = asking_the_group().await;
    let (id, people) = (fleet.submit("deploy").await.approval.unwrap(), &fleet.people);
    let engine = told(&fleet, |settings| {
        settings.approvals.groups.clear();
        settings.approvals.rules[1].terms = TermsSetting {
            roles: vec![Role::Admin],
            expires_after_ms: Some(10_000),
            on_expiry: Some(OnExpiry::Escalate),
            escalate_to: vec![open_level(5_000)],
            ..TermsSetting::default()
        };
    });

    let target = Target::Rule("production change".to_owned());
    let (after, _) = engine.retarget(&people.dave, id, target, None).await.unwrap();

    assert_eq!((after.terms.levels.len(), after.terms.remind_every_ms), (2, None));
    assert!(after.expires_at.unwrap() >= after.requested_at + 10_000);
    fleet.advance(std::time::Duration::from_secs(11));
    assert_eq!(engine.expire().await.unwrap().moved, 1);
    assert_eq!(engine.approval(id).await.unwrap().0.level, 1);
    let decided = engine.decide(&people.bob, id, Decision::approve(None)).await.unwrap();
    assert_eq!(decided.0.status, ApprovalStatus::Approved);
    fleet.finish().await;
}

#[tokio::test]
async fn a_decision_under_terms_that_have_changed_meanwhile_is_checked_again() {
    let fleet = asking_the_group().await;
    let (id, people) = (fleet.submit("deploy").await.approval.unwrap(), &fleet.people);
    let seen = fleet.engine.approval(id).await.unwrap().0;
    fleet.engine.retarget(&people.dave, id, to(&[Role::Admin], &[], Some(1)), None).await.unwrap();

    for verdict in [Verdict::Approve { payload: None }, Verdict::Reject] {
        let decision = Decision { verdict, comment: None, digest: None };
        let decided = fleet.store.decide(&seen, &people.bob, &decision, None).await.unwrap();
        assert_eq!(decided, orchestrator::store::Decided::Stale);
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_retry_asks_whom_the_rules_of_today_ask() {
    let fleet = asking_the_group().await;
    let task = fleet.submit("deploy").await;
    fleet.reject(task.approval.unwrap()).await.unwrap();
    let engine = without_group(&fleet);

    let again = engine.requeue(&fleet.people.dave, task.id).await.unwrap();

    assert_eq!(again.state, State::Blocked);
    let id = again.approval.unwrap();
    assert_eq!(engine.approval(id).await.unwrap().0.terms.levels[0].groups, Vec::<String>::new());
    let decided = engine.decide(&fleet.people.dave, id, Decision::reject(None)).await.unwrap();
    assert_eq!(decided.0.status, ApprovalStatus::Rejected);

    // A rule that is gone does not wave through what was refused.
    let lax = told(&fleet, |settings| settings.approvals.rules.clear());
    let again = lax.requeue(&fleet.people.dave, task.id).await.unwrap();
    assert_eq!(again.state, State::Blocked);

    // And one that has come since is asked as well.
    let plain = fleet.submit("faq").await;
    fleet.cancel(plain.id).await.unwrap();
    let strict = told(&fleet, |settings| settings.approvals.rules[1].when = Default::default());
    let again = strict.requeue(&fleet.people.dave, plain.id).await.unwrap();
    assert_eq!(again.state, State::Blocked);
    fleet.finish().await;
}
