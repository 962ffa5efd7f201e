//! Pausing an agent, and how the fleet stands.

use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::domain::priority::Priority;
use orchestrator::engine::{Claim, Error};

use crate::harness::{BOUND, Fleet, assert_refused, name, within};

#[tokio::test]
async fn a_paused_agent_gets_nothing_and_finishes_what_it_holds() {
    let fleet = Fleet::build().partitions(2).start().await;
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    fleet.submit_many("faq", 3).await;
    let held = fleet.claim_one().await;

    assert!(engine.pause(alice, &name("faq_agent")).await.unwrap().is_paused);

    assert!(fleet.claim("faq_agent", 10).await.is_empty());
    fleet.extend(&held, None).await.unwrap();
    fleet.complete(&held).await.unwrap();
    // Others go on, and another process knows too.
    fleet.submit("bugfix").await;
    fleet.claim_one_of("dev_agent").await;
    let elsewhere = fleet.another_engine().await;
    assert!(elsewhere.claim(alice, fleet.ask_for("faq_agent", 1)).await.unwrap().is_empty());

    assert!(!engine.resume(alice, &name("faq_agent")).await.unwrap().is_paused);
    assert_eq!(fleet.claim("faq_agent", 10).await.len(), 2);
    fleet.finish().await;
}

#[tokio::test]
async fn resuming_wakes_the_claims_that_wait() {
    let fleet = Fleet::start().await;
    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    fleet.submit("faq").await;
    fleet.route().await;
    engine.pause(alice, &name("faq_agent")).await.unwrap();
    let (claim, agent) =
        (Claim { wait: 2 * BOUND, ..fleet.ask_for("faq_agent", 1) }, name("faq_agent"));
    let claimed = engine.claim(alice, claim);

    let resumed = engine.resume(alice, &agent);
    let both = futures_util::future::join(claimed, resumed);
    let (claimed, _) = within("the claim after the pause", both).await;

    assert_eq!(claimed.unwrap().len(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn unknown_agent_cannot_be_paused() {
    let fleet = Fleet::start().await;

    let refused = fleet.engine.pause(&fleet.people.alice, &name("unknown_agent")).await;

    assert_refused!(refused, Error::UnknownAgent { agent, known } if agent.as_str() == "unknown_agent" && known.len() == 3);
    fleet.finish().await;
}

#[tokio::test]
async fn the_figures_count_every_task_once() {
    let fleet = Fleet::build().partitions(2).start().await;
    fleet.submit_many("faq", 7).await;
    for _ in 0..2 {
        fleet.claim_one().await;
    }
    fleet.complete(&fleet.claim_one().await).await.unwrap();
    fleet.submit("deploy").await;
    fleet.submit_with("faq", |new| new.spec.priority = Priority::P3).await;
    fleet.advance(Duration::from_secs(7));

    let stats = fleet.engine.stats().await.unwrap();

    let of = |state| stats.by_status.iter().find(|(found, _)| *found == state).unwrap().1;
    let counts =
        [State::Blocked, State::Pending, State::Assigned, State::InProgress, State::Completed]
            .map(of);
    assert_eq!(counts, [1, 1, 4, 2, 1]);
    let open: Vec<_> = stats.by_priority.iter().map(|(_, count)| *count).collect();
    assert_eq!(open, [0, 0, 7, 1]);
    assert!((7_000..67_000).contains(&stats.oldest_pending_ms.unwrap()), "{stats:?}");
    let agent = fleet.engine.agent(&name("faq_agent")).await.unwrap();
    assert_eq!((agent.depth, agent.in_progress, agent.session_count), (4, 2, 1));
    fleet.finish().await;
}

#[tokio::test]
async fn a_session_counts_as_live_for_a_while_after_its_last_call() {
    let fleet = Fleet::start().await;
    fleet.claim("faq_agent", 1).await;
    fleet
        .engine
        .claim(
            &fleet.people.agent,
            Claim { worker: "w2".parse().unwrap(), ..fleet.ask_for("faq_agent", 1) },
        )
        .await
        .unwrap();
    let agent = async || fleet.engine.agent(&name("faq_agent")).await.unwrap();
    assert_eq!(agent().await.session_count, 2);

    fleet.advance(Duration::from_secs(30));
    fleet.claim("faq_agent", 1).await;
    fleet.advance(Duration::from_secs(31));

    let after = agent().await;
    let sessions = after.sessions.unwrap();
    assert_eq!(sessions.iter().map(|session| session.worker.as_str()).collect::<Vec<_>>(), ["w1"]);
    assert_eq!(after.last_seen, Some(sessions[0].last_seen));
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_that_another_process_was_faster_than_goes_on_waiting() {
    let fleet = Fleet::start().await;
    let elsewhere = fleet.another_engine().await;
    let agent = &fleet.people.agent;
    let ask = || Claim { wait: 2 * BOUND, ..fleet.ask_for("faq_agent", 1) };
    // One after the other, so that a process hears of a task that is gone already.
    let submit = async {
        let first = fleet.submit("faq").await.id;
        fleet.route().await;
        let second = fleet.submit("faq").await.id;
        fleet.route().await;
        [first, second]
    };
    let (here, there) = (fleet.engine.claim(agent, ask()), elsewhere.claim(agent, ask()));
    let both = async { tokio::join!(here, there, submit) };
    let (here, there, ids) = within("each of both claims gets a task", both).await;

    let mut held = [here.unwrap(), there.unwrap()].concat();
    held.sort_by_key(|held| held.task.id);
    assert_eq!(held.iter().map(|held| held.task.id).collect::<Vec<_>>(), ids);
    for held in &held {
        fleet.complete(held).await.unwrap();
    }
    fleet.finish().await;
}
