//! A call that waits is woken, and not by chance: the fleets of tests poll more slowly than any test waits.

use std::time::Duration;

use futures_util::future::{join, join_all};
use orchestrator::domain::lifecycle::State;
use orchestrator::engine::Claim;
use orchestrator::workers::Router;

use crate::harness::{BOUND, Fleet, eventually, key, name, striking, within};

fn patient(fleet: &Fleet) -> Claim {
    Claim { wait: 2 * BOUND, ..fleet.ask_for("faq_agent", 1) }
}

/// How many connections listen to the notifier of `faq_agent`.
async fn listeners(fleet: &Fleet) -> i64 {
    let channel = key("wake:agent:faq_agent");
    let (_, count): (String, i64) = fleet.redis.ask(&["PUBSUB", "NUMSUB", &channel]).await;
    count
}

/// Waits until the fleet listens for the tasks of `faq_agent`.
async fn is_listened_for(fleet: &Fleet) {
    let look = async || match listeners(fleet).await {
        0 => Err("no process listens"),
        _ => Ok(()),
    };
    eventually("a process listens for notifications", look).await;
}

#[tokio::test]
async fn a_waiting_claim_is_woken_by_the_task_it_waits_for() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Router::new(fleet.engine.clone()));
    let claimed = fleet.engine.claim(&fleet.people.agent, patient(&fleet));
    let submitted = async {
        is_listened_for(&fleet).await;
        fleet.submit("faq").await.id
    };

    let (claimed, id) = within("a claim is woken", join(claimed, submitted)).await;

    assert_eq!(claimed.unwrap()[0].task.id, id);
    supervisor.finish(BOUND).await;
    fleet.finish().await;
}

#[tokio::test]
async fn as_many_claims_are_woken_as_there_are_tasks() {
    let fleet = Fleet::start().await;
    let elsewhere = fleet.another_engine().await;
    let claims = [&fleet.engine, &elsewhere].into_iter().flat_map(|engine| {
        (0..10).map(|_| engine.claim(&fleet.people.agent, patient(&fleet))).collect::<Vec<_>>()
    });
    let work = async {
        is_listened_for(&fleet).await;
        fleet.submit_many("faq", 20).await;
        fleet.route().await;
    };

    let (claimed, ()) = within("all claims are woken", join(join_all(claims), work)).await;

    assert!(claimed.iter().all(|claimed| claimed.as_ref().unwrap().len() == 1), "{claimed:?}");
    fleet.finish().await;
}

/// How many scripts Redis has run as functions.
async fn scripts_run(fleet: &Fleet) -> u64 {
    let stats: String = fleet.redis.ask(&["INFO", "commandstats"]).await;
    let (_, calls) = stats.split_once("cmdstat_fcall:calls=").unwrap_or(("", "0,"));
    calls.split(',').next().unwrap().parse().unwrap()
}

/// Waits until so many sessions of `faq_agent` are noted.
async fn sessions_are(fleet: &Fleet, count: u64) {
    let agent = name("faq_agent");
    eventually("every session is noted", async || {
        match fleet.engine.agent(&agent).await.unwrap().session_count {
            noted if noted == count => Ok(()),
            noted => Err(noted),
        }
    })
    .await;
}

#[tokio::test]
async fn two_hundred_waiting_claims_look_for_each_other() {
    let fleet = Fleet::start().await;
    let before = scripts_run(&fleet).await;
    let claims = (0..200).map(|nth| {
        let worker = format!("w{nth}").parse().unwrap();
        fleet.engine.claim(&fleet.people.agent, Claim { worker, ..patient(&fleet) })
    });
    let work = async {
        sessions_are(&fleet, 200).await;
        let looked = scripts_run(&fleet).await - before;
        fleet.submit_many("faq", 200).await;
        fleet.route().await;
        looked
    };

    let (claimed, looked) = within("all claims get a task", join(join_all(claims), work)).await;

    assert!(claimed.iter().all(|claimed| claimed.as_ref().unwrap().len() == 1), "{claimed:?}");
    assert!(looked < 40, "{looked} scripts before the first task");
    let all = scripts_run(&fleet).await - before;
    assert!(all < 320, "{all} scripts for 200 tasks");
    fleet.finish().await;
}

#[tokio::test]
async fn a_short_claim_beside_a_waiting_one_has_a_session_too() {
    let fleet = Fleet::start().await;
    let agent = &fleet.people.agent;
    let waiting = fleet.engine.claim(agent, patient(&fleet));
    let short = async {
        is_listened_for(&fleet).await;
        sessions_are(&fleet, 1).await;
        let (worker, wait) = ("short".parse().unwrap(), Duration::from_millis(1));
        let claim = Claim { worker, wait, ..patient(&fleet) };
        assert!(fleet.engine.claim(agent, claim).await.unwrap().is_empty());
        sessions_are(&fleet, 2).await;
        fleet.engine.stop().cancel();
    };

    let (waited, ()) = within("a short claim is noted", join(waiting, short)).await;

    assert!(waited.unwrap().is_empty());
    fleet.finish().await;
}

#[tokio::test]
async fn a_poll_finds_the_task_whose_notification_was_lost() {
    let fleet = Fleet::build().settings(|settings| settings.queue.slow_poll_ms = 500);
    let fleet = fleet.start().await;
    let claimed = fleet.engine.claim(&fleet.people.agent, patient(&fleet));
    let work = async {
        is_listened_for(&fleet).await;
        sessions_are(&fleet, 1).await;
        fleet.redis.ask::<String>(&["ACL", "SETUSER", "default", "-publish"]).await;
        fleet.submit("faq").await;
        fleet.route().await;
    };

    let (claimed, ()) = within("a claim without a notification", join(claimed, work)).await;

    assert_eq!(claimed.unwrap().len(), 1);
    fleet.redis.ask::<String>(&["ACL", "SETUSER", "default", "+publish"]).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_gets_its_task_though_the_notifications_connection_was_cut() {
    let fleet = Fleet::start().await;
    let claimed = fleet.engine.claim(&fleet.people.agent, patient(&fleet));
    let work = async {
        is_listened_for(&fleet).await;
        assert!(fleet.redis.cut_connections("pubsub").await > 0);
        fleet.submit("faq").await;
        fleet.route().await;
    };

    let (claimed, ()) = within("a claim with a deaf notifier", join(claimed, work)).await;

    assert_eq!(claimed.unwrap().len(), 1);
    is_listened_for(&fleet).await;
    fleet.finish().await;
}

#[tokio::test]
async fn notifications_that_are_cut_all_the_time_hold_no_task_back() {
    let fleet = Fleet::start().await;
    let supervisor = fleet.supervise(Router::new(fleet.engine.clone()));
    let work = async || {
        for _ in 0..80 {
            let claimed = fleet.engine.claim(&fleet.people.agent, patient(&fleet));
            let (claimed, id) = join(claimed, async { fleet.submit("faq").await.id }).await;
            assert_eq!(claimed.unwrap()[0].task.id, id);
        }
    };

    let cut = async || fleet.redis.cut_connections("pubsub").await;
    let works = striking(Duration::from_millis(50), 4, cut, work);
    within("claims with notifications that come and go", works).await;

    supervisor.finish(BOUND).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_claim_that_waits_through_a_restart_of_redis_gets_its_task() {
    let mut fleet = Fleet::build().durable().start().await;
    let engine = fleet.engine.clone();
    let (agent, claim) = (fleet.people.agent.clone(), patient(&fleet));
    let claimed = engine.claim(&agent, claim);
    let work = async {
        is_listened_for(&fleet).await;
        fleet.redis.kill();
        fleet.redis.start_again().await;
        is_listened_for(&fleet).await;
        fleet.submit("faq").await;
        fleet.route().await;
    };

    let (claimed, ()) = within("a claim over a restart", join(claimed, work)).await;

    assert_eq!(claimed.unwrap().len(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn claim_returns_empty_when_its_wait_ends_and_at_once_on_a_stop() {
    let fleet = Fleet::start().await;
    let short = Claim { wait: Duration::from_millis(30), ..patient(&fleet) };
    assert!(fleet.engine.claim(&fleet.people.agent, short).await.unwrap().is_empty());

    let claimed = fleet.engine.claim(&fleet.people.agent, patient(&fleet));
    let stop = async {
        is_listened_for(&fleet).await;
        fleet.engine.stop().cancel();
    };

    let (claimed, ()) = within("a claim ends with the process", join(claimed, stop)).await;

    assert!(claimed.unwrap().is_empty());
    fleet.finish().await;
}

#[tokio::test]
async fn task_claimed_for_a_disconnected_caller_is_not_lost() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    fleet.route().await;
    for _ in 0..20 {
        let claim = fleet.engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 1));
        // Polled once, so that the call is on its way, and dropped.
        assert!(futures_util::FutureExt::now_or_never(claim).is_none());
    }

    let look = async || match fleet.claim("faq_agent", 1).await.pop() {
        Some(held) => Ok(held),
        None => Err(fleet.state_of(id).await),
    };
    let held = eventually("the task is back in its subject", look).await;

    assert_eq!((held.task.lost_count, held.task.retry_count), (0, 0));
    fleet.complete(&held).await.unwrap();
    let calm = async || match fleet.state_of(id).await {
        State::Completed => Ok(()),
        other => Err(other),
    };
    eventually("it stays completed", calm).await;
    fleet.finish().await;
}

#[tokio::test]
async fn caller_waiting_for_the_end_of_a_task_is_woken_promptly() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    let held = fleet.claim_one().await;
    let finished = fleet.engine.task_when_finished(id, 2 * BOUND);
    let work = async {
        let channel = key("wake:finished");
        let look = async || {
            let (_, count): (String, i64) = fleet.redis.ask(&["PUBSUB", "NUMSUB", &channel]).await;
            if count > 0 { Ok(()) } else { Err("no process listens") }
        };
        eventually("a process listens for ends", look).await;
        fleet.complete(&held).await.unwrap();
    };

    let (task, ()) = within("the end of a task is told", join(finished, work)).await;
    assert_eq!(task.unwrap().state, State::Completed);

    let open = fleet.submit("faq").await.id;
    let waited = fleet.engine.task_when_finished(open, Duration::from_millis(20)).await.unwrap();
    assert_eq!(waited.state, State::Pending);
    fleet.finish().await;
}
