//! Many routers and many agents over one Redis: no router and no agent gets in the way of another.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::name::Name;
use orchestrator::domain::report::Outcome;
use orchestrator::domain::rules::{Condition, RoutingRule};
use orchestrator::workers::{Router, Supervisor};

use crate::harness::{BOUND, Fleet, eventually, name, report_of};

#[tokio::test]
async fn many_routers_side_by_side_route_each_task_once() {
    let fleet = Fleet::build().partitions(2).start().await;
    let supervisors: Vec<Supervisor> = join_all((0..5).map(|_| async {
        let engine = fleet.another_engine().await;
        fleet.supervise(Router::new(engine))
    }))
    .await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.extend(fleet.submit_many("faq", 100).await);
    }
    let look = async || {
        let depth = fleet.engine.agent(&name("faq_agent")).await.unwrap().depth;
        if depth == 600 { Ok(()) } else { Err(depth) }
    };
    eventually("all tasks are assigned", look).await;

    for supervisor in supervisors {
        assert!(supervisor.finish(BOUND).await.is_empty());
    }
    for id in ids {
        let task = fleet.task(id).await;
        assert_eq!((task.state, task.timeline.len()), (State::Assigned, 2), "{id}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn many_agents_at_once_never_hold_the_same_task() {
    let fleet = Fleet::start().await;
    fleet.submit_many("faq", 100).await;
    fleet.submit_many("faq", 100).await;
    fleet.route().await;
    let engines = join_all((0..4).map(|_| fleet.another_engine())).await;

    let claims = engines.iter().flat_map(|engine| {
        (0..25).map(|_| engine.claim(&fleet.people.agent, fleet.ask_for("faq_agent", 3)))
    });
    let claimed: Vec<_> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();

    let distinct: BTreeSet<_> = claimed.iter().map(|held| held.task.id).collect();
    assert_eq!((claimed.len(), distinct.len()), (200, 200));
    assert!(claimed.iter().all(|held| held.task.attempt == 1));
    fleet.finish().await;
}

#[tokio::test]
async fn a_whole_fleet_that_is_lost_at_once_is_taken_back_step_by_step() {
    let kinds: Vec<_> = (0..45).map(|nth| name(&format!("kind-{nth}"))).collect();
    let fleet = Fleet::build().without_approvals().settings(|settings| {
        settings.tasks.types = kinds.clone();
        let rule = |kind: &Name| RoutingRule {
            agent: kind.clone(),
            when: Condition { types: vec![kind.clone()], ..Condition::default() },
        };
        settings.routing.rules = kinds.iter().map(rule).collect();
    });
    let fleet = fleet.start().await;
    for kind in &kinds {
        fleet.submit_many(kind.as_str(), 100).await;
    }
    fleet.route().await;
    for kind in &kinds {
        assert_eq!(fleet.claim(kind.as_str(), 100).await.len(), 100);
    }
    fleet.advance(Duration::from_secs(31));

    let mut moved = 0;
    while let Some(swept) = Some(fleet.engine.reap().await.unwrap()).filter(|swept| swept.moved > 0)
    {
        assert!(swept.moved <= 100, "one step took {} tasks", swept.moved);
        moved += swept.moved;
    }

    assert_eq!(moved, 4_500);
    fleet.finish().await;
}

#[tokio::test]
async fn a_report_on_thousands_of_tasks_is_taken_in_pieces() {
    let fleet = Fleet::start().await;
    let mut reports = Vec::new();
    for _ in 0..45 {
        fleet.submit_many("faq", 100).await;
        fleet.route().await;
        let claimed = fleet.claim("faq_agent", 100).await;
        let done = || Outcome::Completed { result: None };
        reports.extend(claimed.iter().map(|held| report_of(held, done())));
    }

    let answers = fleet.engine.report(&fleet.people.agent, reports).await.unwrap();

    assert_eq!(answers.len(), 4_500);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(State::Completed))));
    fleet.finish().await;
}
