//! Redis goes away, comes back, forgets its scripts, is full, or hangs.

use std::time::Duration;

use orchestrator::domain::lifecycle::State;
use orchestrator::engine::{Engine, Error, TaskFilter};

use crate::harness::{DAY, Fleet, assert_refused, eventually, keyed, new_task, striking, within};

/// Waits until a call that writes nothing is answered.
async fn answers_again(engine: &Engine) {
    let look = async || engine.check().await.map_err(|error| format!("{error:?}"));
    eventually("Redis answers the store again", look).await;
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_sent_again() {
    let fleet = Fleet::start().await;
    let id = fleet.submit("faq").await.id;
    fleet.redis.forget_scripts().await;
    let held = fleet.claim_one().await;
    fleet.redis.forget_scripts().await;

    fleet.complete(&held).await.unwrap();

    assert_eq!(fleet.state_of(id).await, State::Completed);
    fleet.finish().await;
}

#[tokio::test]
async fn work_goes_on_after_redis_was_killed_and_started_again() {
    let mut fleet = Fleet::build().durable().start().await;
    let first = fleet.try_submit(keyed("k", "b")).await.unwrap().task;
    let held = fleet.claim_one().await;
    let gated = fleet.submit("deploy").await;
    fleet.redis.kill();
    assert_refused!(fleet.engine.task(first.id).await, Error::Unavailable(_));
    fleet.redis.start_again().await;
    answers_again(&fleet.engine).await;

    assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
    assert_eq!(fleet.try_submit(keyed("k", "b")).await.unwrap().task.id, first.id);
    fleet.approve(gated.approval.unwrap()).await.unwrap();
    fleet.complete(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    assert_eq!(fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap().items.len(), 2);
    fleet.finish().await;
}

#[tokio::test]
async fn absent_redis_makes_the_process_unready_and_calls_fail_in_time() {
    let mut fleet = Fleet::build().durable().start().await;
    let id = fleet.submit("faq").await.id;
    fleet.redis.stop().await;

    let (engine, alice) = (&fleet.engine, &fleet.people.alice);
    let all = async {
        assert_refused!(fleet.try_submit(new_task("faq")).await, Error::Unavailable(_));
        assert_refused!(
            engine.claim(alice, fleet.ask_for("faq_agent", 1)).await,
            Error::Unavailable(_)
        );
        assert_refused!(fleet.cancel(id).await, Error::Unavailable(_));
        assert_refused!(
            engine.tasks(&TaskFilter::default(), 10, None).await,
            Error::Unavailable(_)
        );
        assert_refused!(engine.stats().await, Error::Unavailable(_));
        assert_refused!(engine.doctor().await, Error::Unavailable(_));
        eventually("the process counts as not ready", async || {
            if engine.is_ready().await { Err("ready") } else { Ok(()) }
        })
        .await;
    };
    within("refusals while Redis is away", all).await;

    fleet.redis.start_again().await;
    eventually("the process counts as ready", async || {
        if fleet.engine.is_ready().await { Ok(()) } else { Err("not ready") }
    })
    .await;
    assert_eq!(fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap().items.len(), 1);
    fleet.finish().await;
}

#[tokio::test]
async fn a_redis_that_hangs_holds_no_call_for_ever() {
    let fleet = Fleet::build().response_timeout_ms(200).start().await;
    let id = fleet.submit("faq").await.id;
    // So that both kinds of connections are open.
    fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    fleet.redis.freeze();

    let all = async {
        assert_refused!(fleet.engine.task(id).await, Error::Unavailable(_));
        assert_refused!(fleet.cancel(id).await, Error::Unavailable(_));
        assert_refused!(
            fleet.engine.tasks(&TaskFilter::default(), 10, None).await,
            Error::Unavailable(_)
        );
        assert_refused!(fleet.engine.doctor().await, Error::Unavailable(_));
    };
    within("refusals while Redis hangs", all).await;

    fleet.redis.thaw();
    answers_again(&fleet.engine).await;
    // Whether the cancellation ran is unknown by contract; to ask for it again is safe.
    if fleet.state_of(id).await != State::Cancelled {
        fleet.cancel(id).await.unwrap();
    }
    fleet.finish().await;
}

#[tokio::test]
async fn a_slow_redis_is_waited_for_as_long_as_the_settings_say() {
    let fleet = Fleet::build().response_timeout_ms(5_000).start().await;
    let id = fleet.submit("faq").await.id;
    let filter = TaskFilter::default();
    fleet.engine.tasks(&filter, 10, None).await.unwrap();
    fleet.redis.ask::<String>(&["CLIENT", "PAUSE", "1800", "ALL"]).await;

    let (page, task) =
        futures_util::future::join(fleet.engine.tasks(&filter, 10, None), fleet.engine.task(id))
            .await;

    assert_eq!((page.unwrap().items[0].id, task.unwrap().id), (id, id));
    fleet.finish().await;
}

#[tokio::test]
async fn a_full_redis_takes_nothing_in_but_lets_work_end_and_be_forgotten() {
    let fleet = Fleet::build().redis(&["--maxmemory-policy", "noeviction"]).start().await;
    let gated = fleet.submit("deploy").await;
    fleet.submit_many("faq", 4).await;
    let (done, broken) = (fleet.claim_one().await, fleet.claim_one().await);
    fleet.redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "1mb"]).await;

    assert_refused!(fleet.try_submit(new_task("faq")).await, Error::Full);
    let batch = fleet.engine.submit(&fleet.people.alice, vec![new_task("faq"); 3]).await;
    assert_refused!(batch, Error::Full);

    fleet.extend(&done, None).await.unwrap();
    fleet.complete(&done).await.unwrap();
    fleet.fail(&broken).await.unwrap();
    fleet.approve(gated.approval.unwrap()).await.unwrap();
    fleet.complete(&fleet.claim_one_of("ops_agent").await).await.unwrap();
    fleet.cancel(fleet.claim_one().await.task.id).await.unwrap();
    fleet.advance(8 * DAY);
    assert_eq!(fleet.engine.prune().await.unwrap().moved, 3);

    fleet.redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    fleet.submit("faq").await;
    fleet.finish().await;
}

/// Submits and completes until `total` tasks are done; returns how many were submitted and how many completed.
async fn work(fleet: &Fleet, total: usize) -> (usize, usize) {
    let (mut submitted, mut done) = (0, 0);
    while done < total {
        fleet.submit_many("faq", 2).await;
        submitted += 2;
        fleet.route().await;
        for held in fleet.claim("faq_agent", 5).await {
            assert_eq!(fleet.complete(&held).await.unwrap(), State::Completed);
            done += 1;
        }
    }
    (submitted, done)
}

/// Works while something is done to the store all the time; nothing may be lost or done twice.
async fn survives(fleet: &Fleet, tasks: usize, strike: impl AsyncFnMut() -> i64) {
    let works =
        striking(Duration::from_millis(50), 4, strike, async || work(fleet, tasks).await).await;
    let submitted: usize = works.iter().map(|(submitted, _)| submitted).sum();
    let done: usize = works.iter().map(|(_, done)| done).sum();

    let stored = fleet.redis.count_tasks().await;
    let completed =
        fleet.events().await.iter().filter(|event| event.event_type() == "task.completed").count();
    assert_eq!((stored, completed), (submitted, done));
}

#[tokio::test]
async fn connections_that_are_cut_all_the_time_lose_no_task_and_do_nothing_twice() {
    let fleet = Fleet::start().await;

    survives(&fleet, 400, async || fleet.redis.cut_connections("normal").await).await;

    fleet.finish().await;
}

#[tokio::test]
async fn scripts_that_redis_forgets_all_the_time_lose_no_task_and_do_nothing_twice() {
    let fleet = Fleet::start().await;

    let forget = async || {
        fleet.redis.forget_scripts().await;
        1
    };
    survives(&fleet, 400, forget).await;

    fleet.finish().await;
}

#[tokio::test]
async fn a_store_whose_every_answer_comes_late_is_only_slow() {
    let fleet = Fleet::build().lossy().start().await;
    for (late_ms, tasks) in [(1, 40), (10, 20), (100, 4)] {
        fleet.proxy.as_ref().unwrap().slow_by(Duration::from_millis(late_ms));

        let (submitted, done) = within("work over a slow wire", work(&fleet, tasks)).await;

        assert!(
            submitted == done && fleet.engine.is_ready().await,
            "{late_ms} ms late: {done} of {submitted} done"
        );
    }
    fleet.finish().await;
}
