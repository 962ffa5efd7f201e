//! Two deployments in one Redis, told apart by `store.prefix`.

use orchestrator::domain::ids::Partition;
use orchestrator::domain::report::Outcome;
use orchestrator::engine::{Engine, Error, EventFilter};
use orchestrator::store;

use crate::harness::{Fleet, LAYOUT, channel_of, key, key_under, new_event, new_task, report_of};

/// Has the engine take one task through its whole life; its id.
async fn whole_life(fleet: &Fleet, engine: &Engine) -> String {
    let submitted = engine.submit(&fleet.people.alice, vec![new_task("faq")]).await.unwrap();
    let id = submitted.into_iter().next().unwrap().unwrap().task.id;
    while engine.route().await.unwrap().moved > 0 {}
    let claimed = engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 9)).await.unwrap();
    assert_eq!(claimed.iter().map(|held| held.task.id).collect::<Vec<_>>(), [id]);
    let outcome = Outcome::Completed { result: None };
    let report = report_of(&claimed[0], outcome);
    engine.report(&fleet.people.agent, vec![report]).await.unwrap().remove(0).unwrap();
    id.to_string()
}

/// The tasks that the events of an engine's log are about.
async fn told(engine: &Engine) -> Vec<String> {
    let page = engine.event_page(&EventFilter::default(), None, 200).await.unwrap();
    page.events.iter().filter_map(|event| Some(event.task_id?.to_string())).collect()
}

#[tokio::test]
async fn two_deployments_in_one_redis_do_not_hear_each_other() {
    let fleet = Fleet::build().without_approvals().start().await;
    let other = fleet.neighbour(2).await;
    let mut ours = fleet.redis.subscribe(&channel_of("*")).await;
    let mut theirs = fleet.redis.subscribe("neighbour:events:*").await;

    let their_id = whole_life(&fleet, &other).await;
    let our_id = whole_life(&fleet, &fleet.engine).await;
    let last = new_event("kb.updated");
    other.publish(&fleet.people.agent, last.clone()).await.unwrap();
    fleet.engine.publish(&fleet.people.agent, last).await.unwrap();

    for (subscriber, prefix, id, foreign) in [
        (&mut ours, "orchestrator", &our_id, &their_id),
        (&mut theirs, "neighbour", &their_id, &our_id),
    ] {
        let mut heard = String::new();
        loop {
            let (channel, event) = subscriber.next().await;
            assert!(channel.starts_with(&format!("{prefix}:events:")), "{channel}");
            heard.push_str(&event);
            if channel.ends_with(":kb.updated") {
                break;
            }
        }
        assert!(heard.contains(id) && !heard.contains(foreign), "{heard}");
    }
    for (engine, id) in [(&fleet.engine, &our_id), (&other, &their_id)] {
        let told = told(engine).await;
        assert!(told.contains(id) && told.iter().all(|about| about == id), "{told:?}");
        assert_eq!(engine.doctor().await.unwrap(), []);
    }
    let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*"]).await;
    let channels: Vec<String> = fleet.redis.ask(&["PUBSUB", "CHANNELS", "*"]).await;
    assert!(channels.iter().any(|channel| channel.contains(":wake:")), "{channels:?}");
    let theirs = [0, 1].map(|partition| key_under("neighbour", Partition(partition), ""));
    let prefixes = [&[key("")][..], &theirs].concat();
    for name in keys.into_iter().chain(channels) {
        let is_layout = [LAYOUT, "neighbour:layout"].contains(&name.as_str());
        assert!(is_layout || prefixes.iter().any(|prefix| name.starts_with(prefix)), "{name}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn each_prefix_has_a_layout_of_its_own() {
    let fleet = Fleet::start().await;
    let other = fleet.neighbour(2).await;

    let unlike = fleet.open_store(|store| store.partitions = 3).await;
    assert!(matches!(unlike, Err(store::Error::Layout { .. })));

    assert!(other.stats().await.is_ok());
    let far = orchestrator::domain::ids::TaskId::new(Partition(1));
    assert!(matches!(fleet.engine.task(far).await, Err(Error::UnknownTask(_))));
    fleet.finish().await;
}
