//! What a yes and a no are good for: a yes for one run, a no until a human of no lower role takes it back.

use std::time::Duration;

use orchestrator::domain::approval::{ApprovalStatus, OnRejection};
use orchestrator::domain::lifecycle::{State, Verb};
use orchestrator::domain::principal::{Principal, Role, Subject};
use orchestrator::domain::report::{Outcome, Report};
use orchestrator::domain::rules::{Action, SlaRule};
use orchestrator::domain::sla::{Clock, Threshold};
use orchestrator::domain::task::Task;
use orchestrator::engine::{Error, StatusChange};

use crate::harness::{DAY, Fleet, assert_refused, failed, report_of, sla_rule};

/// How a task may come to its end, and the role of the human who ended it, if any did.
const ENDS: [(&str, Option<Role>); 9] = [
    ("an agent cancels", None),
    ("an agent fails", None),
    ("an admin cancels", Some(Role::Admin)),
    ("an admin fails what it took", Some(Role::Admin)),
    ("an admin fails what it claimed", Some(Role::Admin)),
    ("an approver rejects", Some(Role::Approver)),
    ("an admin rejects", Some(Role::Admin)),
    ("the approval expires", None),
    ("a rule for deadlines cancels", None),
];

/// Ends the task in this way.
async fn end(fleet: &Fleet, how: &str, task: &Task) {
    let (engine, people) = (&fleet.engine, &fleet.people);
    let chief = &Principal::new(Subject::User("chief".to_owned()), Role::Admin).unwrap();
    let approval = task.approval.unwrap();
    let rejects = async |who| {
        let no = orchestrator::domain::approval::Decision::reject(None);
        fleet.decide(who, approval, no).await.unwrap();
    };
    match how {
        "an agent cancels" => drop(engine.cancel(&people.agent, task.id, None).await.unwrap()),
        "an admin cancels" => drop(engine.cancel(&people.alice, task.id, None).await.unwrap()),
        "an approver rejects" => rejects(&people.bob).await,
        "an admin rejects" => rejects(chief).await,
        "the approval expires" => {
            fleet.advance(DAY + DAY);
            engine.expire().await.unwrap();
        }
        "a rule for deadlines cancels" => {
            fleet.advance(DAY);
            engine.deadlines().await.unwrap();
        }
        _ => {
            fleet.approve(approval).await.unwrap();
            end_at_work(fleet, how, task).await;
        }
    }
    let ended = fleet.task(task.id).await;
    assert!(ended.state.is_terminal(), "{how}: {ended:#?}");
}

/// Ends an approved task by the report of the one who works on it.
async fn end_at_work(fleet: &Fleet, how: &str, task: &Task) {
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    fleet.route().await;
    match how {
        "an admin fails what it took" => {
            engine.change_status(alice, task.id, StatusChange::InProgress).await.unwrap();
            let change = StatusChange::Ended(failed(false, None));
            engine.change_status(alice, task.id, change).await.unwrap();
        }
        "an admin fails what it claimed" => {
            let claim = fleet.ask_for("ops_agent", 1);
            let held = engine.claim(alice, claim).await.unwrap().pop().unwrap();
            let report = report_of(&held, failed(false, None));
            engine.report(alice, vec![report]).await.unwrap().remove(0).unwrap();
        }
        _ => {
            let held = fleet.claim("ops_agent", 1).await.pop().unwrap();
            fleet.give_up(&held).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_human_ended_only_a_human_of_no_lower_role_reopens() {
    for (how, ended_by) in ENDS {
        let fleet = Fleet::build().settings(|settings| {
            if how == "a rule for deadlines cancels" {
                let rule = sla_rule(Threshold::Warning, Action::Cancel);
                settings.sla.rules = vec![SlaRule { clock: Some(Clock::Finish), ..rule }];
            }
        });
        let fleet = fleet.start().await;
        let people = &fleet.people;
        for who in [&people.agent, &people.bob, &people.alice] {
            let task = fleet.submit("deploy").await;
            end(&fleet, how, &task).await;

            let reopened = fleet.engine.requeue(who, task.id).await;

            let needed = ended_by.filter(|role| who.role().rank() < role.rank());
            match needed {
                Some(role) => {
                    assert_refused!(reopened, Error::EndedByHuman { role: found, .. } if found == role);
                    assert!(fleet.state_of(task.id).await.is_terminal(), "{how}");
                }
                None => assert_eq!(reopened.unwrap().state, State::Blocked, "{how}, {who}"),
            }
        }
        fleet.finish().await;
    }
}

#[tokio::test]
async fn what_a_human_reopened_and_an_agent_ended_an_agent_reopens() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("faq").await;
    fleet.cancel(task.id).await.unwrap();
    fleet.requeue(task.id).await.unwrap();
    fleet.give_up(&fleet.claim_one().await).await.unwrap();

    let crew = &fleet.people.agent;
    assert_eq!(fleet.engine.requeue(crew, task.id).await.unwrap().state, State::Pending);
    fleet.finish().await;
}

#[tokio::test]
async fn one_yes_serves_one_run_and_the_retries_within_it() {
    let fleet = Fleet::start().await;
    let task = fleet.submit("deploy").await;
    for run in 1..=3 {
        let approval = fleet.task(task.id).await.approval.unwrap();
        fleet.approve(approval).await.unwrap();
        // A failure that is followed by another attempt, a lost lease and a release are one run.
        fleet.fail(&fleet.claim_one_of("ops_agent").await).await.unwrap();
        fleet.advance(Duration::from_secs(2));
        fleet.engine.promote().await.unwrap();
        fleet.claim_one_of("ops_agent").await;
        fleet.advance(Duration::from_secs(31));
        fleet.engine.reap().await.unwrap();
        fleet.release(&fleet.claim_one_of("ops_agent").await).await.unwrap();
        fleet.give_up(&fleet.claim_one_of("ops_agent").await).await.unwrap();

        let again = fleet.engine.requeue(&fleet.people.agent, task.id).await.unwrap();

        assert_eq!(again.state, State::Blocked, "run {run}");
        assert_ne!(again.approval, Some(approval));
        let asked = fleet.approval_of(task.id).await;
        assert_eq!((asked.status, asked.previous), (ApprovalStatus::Pending, Some(approval)));
        assert_eq!(asked.digest, again.content(None).digest());
        fleet.route().await;
        assert!(fleet.claim("ops_agent", 10).await.is_empty(), "run {run}");
        let take = StatusChange::InProgress;
        let taken = fleet.engine.change_status(&fleet.people.agent, task.id, take).await;
        assert_refused!(taken, Error::Illegal { state: State::Blocked, .. });
    }
    fleet.finish().await;
}

#[tokio::test]
async fn the_answer_to_a_question_serves_the_run_in_which_it_was_asked() {
    for is_yes in [true, false] {
        let fleet = Fleet::start().await;
        let task = fleet.submit("faq").await;
        let held = fleet.claim_one().await;
        let asked = fleet.ask(&held, OnRejection::Return).await.unwrap();
        if is_yes {
            fleet.approve(asked.id).await.unwrap();
        } else {
            fleet.reject(asked.id).await.unwrap();
        }
        // Another attempt of the run still has it.
        fleet.fail(&fleet.claim_one().await).await.unwrap();
        fleet.advance(Duration::from_secs(2));
        fleet.engine.promote().await.unwrap();
        let again = fleet.claim_one().await;
        assert_eq!(again.task.approval, Some(asked.id));
        fleet.give_up(&again).await.unwrap();

        let reopened = fleet.engine.requeue(&fleet.people.agent, task.id).await.unwrap();

        assert_eq!(reopened.state, State::Blocked);
        assert_ne!(reopened.approval, Some(asked.id));
        fleet.approve(reopened.approval.unwrap()).await.unwrap();
        let run = fleet.claim_one().await;
        let shown = run.task.asked.clone().unwrap();
        assert!(matches!(shown.asked, orchestrator::domain::approval::Asked::Gate), "{shown:?}");
        fleet.complete(&run).await.unwrap();
        fleet.finish().await;
    }
}

#[tokio::test]
async fn agent_asking_repeatedly_waits_longer_and_is_finally_stopped() {
    let fleet = Fleet::build().settings(|settings| settings.approvals.max_asks = 6);
    let fleet = fleet.start().await;
    let task = fleet.submit("faq").await;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let held = fleet.claim_one().await;
        let asked = match fleet.ask(&held, OnRejection::Cancel).await {
            Err(Error::AskedTooSoon { wait_ms, .. }) => {
                waits.push(wait_ms);
                // The lease is as it was, and so is the task.
                fleet.extend(&held, None).await.unwrap();
                fleet.advance(Duration::from_millis(wait_ms));
                fleet.ask(&held, OnRejection::Cancel).await.unwrap()
            }
            asked => asked.unwrap(),
        };
        fleet.approve(asked.id).await.unwrap();
    }
    assert_eq!(waits.len(), 5, "{waits:?}");
    for (nth, wait) in waits.iter().enumerate() {
        let whole = 1_000 << nth;
        assert!((whole / 4..=whole).contains(wait), "wait {nth} of {waits:?}");
    }

    fleet.advance(DAY);
    let held = fleet.claim_one().await;
    let refused = fleet.ask(&held, OnRejection::Cancel).await;
    assert_refused!(refused, Error::AsksExhausted { asks: 6, .. });
    fleet.give_up(&held).await.unwrap();

    // To end and reopen it makes humans decide too; only a human begins anew.
    let crew = &fleet.people.agent;
    let refused = fleet.engine.requeue(crew, task.id).await;
    assert_refused!(refused, Error::AsksExhausted { asks: 6, .. });
    let reopened = fleet.requeue(task.id).await.unwrap();
    fleet.approve(reopened.approval.unwrap()).await.unwrap();
    let held = fleet.claim_one().await;
    fleet.ask(&held, OnRejection::Cancel).await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn an_agent_that_cancels_and_retries_asks_again_and_again_too() {
    let fleet = Fleet::build().settings(|settings| settings.approvals.max_asks = 3);
    let fleet = fleet.start().await;
    let (engine, crew) = (&fleet.engine, &fleet.people.agent);
    let id = fleet.submit("deploy").await.id;
    let mut opened = 0;
    for _ in 0..5 {
        engine.cancel(crew, id, None).await.unwrap();
        match engine.requeue(crew, id).await {
            Ok(_) => opened += 1,
            Err(Error::AskedTooSoon { .. }) => {
                fleet.advance(Duration::from_secs(60));
                match engine.requeue(crew, id).await {
                    Ok(_) => opened += 1,
                    refused => {
                        assert_refused!(refused, Error::AsksExhausted { asks: 3, .. });
                        break;
                    }
                }
            }
            refused => {
                assert_refused!(refused, Error::AsksExhausted { asks: 3, .. });
                break;
            }
        }
    }
    assert_eq!(opened, 3);
    fleet.finish().await;
}

#[tokio::test]
async fn a_late_report_on_the_run_before_neither_ends_nor_reopens_the_next() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let first = fleet.claim_one().await;
    fleet.give_up(&first).await.unwrap();
    fleet.engine.requeue(&fleet.people.agent, id).await.unwrap();
    let done = || Outcome::Completed { result: None };

    assert_refused!(fleet.report(&first, done()).await, Error::ResultMismatch { .. });
    let second = fleet.claim_one().await;
    assert_refused!(fleet.report(&first, done()).await, Error::LeaseLost { .. });
    let mixed = Report { lease: first.lease.clone(), ..report_of(&second, done()) };
    let answers = fleet.engine.report(&fleet.people.agent, vec![mixed]).await.unwrap();
    assert_refused!(&answers[0], Error::LeaseLost { .. });

    fleet.complete(&second).await.unwrap();
    let verbs: Vec<_> = fleet.task(id).await.timeline.iter().map(|step| step.verb).collect();
    assert_eq!(verbs.last(), Some(&Verb::Complete));
    fleet.finish().await;
}
