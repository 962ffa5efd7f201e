//! What a script moves or announces at once may be long: it is written all, or not at all.

use std::time::Duration;

use orchestrator::domain::lifecycle::Verb;
use orchestrator::domain::rules::{Action, SlaRule};
use orchestrator::domain::sla::Threshold;

use super::sla_timers::{minutes, promise};
use crate::harness::{Fleet, key, name, sla_rule};

#[tokio::test]
async fn thousands_of_sessions_that_end_at_once_are_all_announced() {
    const AGENTS: usize = 6_000;
    let fleet = Fleet::start().await;
    let come = format!(
        "for nth = 1, {AGENTS} do
            redis.call('ZADD', '{}' .. nth, 1, 'w')
            redis.call('ZADD', '{}', 1, 'a' .. nth)
        end",
        key("sessions:a"),
        key("roster"),
    );
    fleet.redis.ask::<()>(&["EVAL", &come, "0"]).await;

    while fleet.engine.reap().await.unwrap().next_in == Some(Duration::ZERO) {}

    let events = fleet.events().await;
    assert_eq!(events.iter().filter(|event| event.event_type() == "agent.offline").count(), AGENTS);
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), AGENTS, "events share an id");
    assert_eq!(fleet.redis.ask::<i64>(&["EXISTS", &key("sessions:a1")]).await, 0);
    fleet.finish().await;
}

#[tokio::test]
async fn many_late_tasks_notify_all_whom_many_rules_name() {
    const TASKS: usize = 300;
    const RULES: usize = 20;
    let build = Fleet::build().settings(|settings| {
        settings.sla.rules = (0..RULES)
            .map(|nth| SlaRule {
                to: Some(name(&format!("oncall{nth}"))),
                ..sla_rule(Threshold::Violation, Action::Notify)
            })
            .collect();
    });
    let fleet = build.start().await;
    let new = orchestrator::domain::submission::NewTask {
        sla: promise(false),
        ..crate::harness::new_task("faq")
    };
    fleet.engine.submit(&fleet.people.alice, vec![new; TASKS]).await.unwrap();
    minutes(&fleet, 11);

    let mut sweeps = vec![fleet.engine.deadlines().await.unwrap()];
    while sweeps.last().unwrap().next_in == Some(Duration::ZERO) {
        sweeps.push(fleet.engine.deadlines().await.unwrap());
    }

    // A call that announced so many events goes on later, and says so, rather than hold Redis.
    assert!(sweeps.iter().all(|swept| swept.moved <= 25), "{sweeps:?}");
    let events = fleet.events().await;
    let count = |verb: Verb| {
        let verb = verb.to_string();
        events.iter().filter(|event| event.verb() == Some(verb.as_str())).count()
    };
    assert_eq!((count(Verb::Violate), count(Verb::Notify)), (TASKS, TASKS * RULES));
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), events.len(), "events share an id");
    fleet.finish().await;
}
