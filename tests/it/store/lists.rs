//! Pages of tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use orchestrator::domain::ids::TaskId;
use orchestrator::domain::lifecycle::State;
use orchestrator::domain::priority::Priority;
use orchestrator::engine::{Error, TaskFilter};

use crate::harness::{Fleet, assert_refused, idempotency, key, name};

/// Every id that the pages of `limit` tasks show, in order; no page may be longer.
async fn walk(fleet: &Fleet, filter: &TaskFilter, limit: usize) -> Vec<TaskId> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = fleet.engine.tasks(filter, limit, cursor.as_deref()).await.unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items.into_iter().map(|task| task.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

fn in_state(state: State) -> TaskFilter {
    TaskFilter { state: Some(state), ..TaskFilter::default() }
}

#[tokio::test]
async fn a_walk_over_the_pages_meets_every_task_once_though_their_scores_are_equal() {
    let fleet = Fleet::start().await;
    let mut submitted: BTreeSet<TaskId> = BTreeSet::new();
    for _ in 0..7 {
        submitted.extend(fleet.submit_many("faq", 100).await);
    }
    // The head start and the acceptance, cut to one value: as if all of them had come in the same moment.
    fleet.redis.ask::<i64>(&["DEL", &key("tasks")]).await;
    for id in &submitted {
        fleet.redis.edit_record(*id, "rank", "1700000000000").await;
        let id = id.to_string();
        fleet.redis.ask::<i64>(&["ZADD", &key("pending"), "1700000000000", &id]).await;
        fleet.redis.ask::<i64>(&["ZADD", &key("tasks"), "1700000000000000", &id]).await;
    }

    for (filter, limit) in
        [(TaskFilter::default(), 200), (TaskFilter::default(), 7), (in_state(State::Pending), 50)]
    {
        let met = walk(&fleet, &filter, limit).await;

        assert_eq!(met.len(), submitted.len(), "{limit} a page");
        assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), submitted);
    }
    // The doctor knows when each was accepted.
    fleet.engine.repair().await.unwrap();
    fleet.finish().await;
}

#[tokio::test]
async fn tasks_are_listed_newest_first_whichever_partition_they_are_in() {
    let fleet = Fleet::build().partitions(4).start().await;
    let mut submitted = Vec::new();
    for _ in 0..60 {
        submitted.push(fleet.submit("faq").await.id);
        fleet.advance(Duration::from_millis(1));
    }
    submitted.reverse();

    assert_eq!(walk(&fleet, &TaskFilter::default(), 7).await, submitted);
    fleet.finish().await;
}

#[tokio::test]
async fn a_walk_goes_on_while_tasks_come_and_misses_none_that_was_there() {
    let fleet = Fleet::start().await;
    let before = fleet.submit_many("faq", 40).await;
    let first = fleet.engine.tasks(&TaskFilter::default(), 10, None).await.unwrap();
    fleet.submit_many("faq", 40).await;

    let mut met: Vec<_> = first.items.into_iter().map(|task| task.id).collect();
    let mut cursor = first.next_cursor;
    while let Some(at) = cursor {
        let page = fleet.engine.tasks(&TaskFilter::default(), 10, Some(&at)).await.unwrap();
        met.extend(page.items.into_iter().map(|task| task.id));
        cursor = page.next_cursor;
    }

    met.reverse();
    assert_eq!(met, before);
    fleet.finish().await;
}

#[tokio::test]
async fn every_filter_shows_exactly_what_it_names() {
    let fleet = Fleet::build().without_approvals().start().await;
    let faq = fleet.submit("faq").await.id;
    let bugfix = fleet.submit_with("bugfix", |new| new.spec.priority = Priority::P1).await.id;
    fleet.route().await;
    let urgent = fleet.submit_with("faq", |new| new.spec.priority = Priority::P1).await.id;
    let child = fleet.submit_with("deploy", |new| new.spec.parent = Some(faq)).await.id;
    let held = fleet.claim("faq_agent", 1).await.pop().unwrap().task.id;
    assert_eq!(held, faq);

    let any = TaskFilter::default;
    for (filter, expected) in [
        (TaskFilter { kind: Some(name("faq")), ..any() }, vec![urgent, faq]),
        (TaskFilter { priority: Some(Priority::P1), ..any() }, vec![urgent, bugfix]),
        (TaskFilter { parent: Some(faq), ..any() }, vec![child]),
        (TaskFilter { parent: Some(child), ..any() }, vec![]),
        (TaskFilter { agent: Some(name("faq_agent")), ..any() }, vec![faq]),
        (
            TaskFilter { agent: Some(name("dev_agent")), state: Some(State::Assigned), ..any() },
            vec![bugfix],
        ),
        (
            TaskFilter { agent: Some(name("dev_agent")), state: Some(State::InProgress), ..any() },
            vec![],
        ),
        (in_state(State::Assigned), vec![bugfix]),
        (in_state(State::InProgress), vec![faq]),
        (in_state(State::Failed), vec![]),
        (
            TaskFilter {
                kind: Some(name("faq")),
                priority: Some(Priority::P1),
                ..in_state(State::Pending)
            },
            vec![urgent],
        ),
    ] {
        assert_eq!(walk(&fleet, &filter, 2).await, expected, "{filter:?}");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn parent_filter_finds_children_in_any_partition_with_or_without_key() {
    let fleet = Fleet::build().partitions(4).start().await;
    let parent = fleet.submit("faq").await.id;
    let mut children = BTreeSet::new();
    for nth in 0..12 {
        let child = fleet.submit_with("faq", |new| {
            new.spec.parent = Some(parent);
            new.idempotency =
                (nth > 3).then(|| idempotency(&format!("child-{nth}"), "b")).flatten();
        });
        children.insert(child.await.id);
    }

    let found =
        walk(&fleet, &TaskFilter { parent: Some(parent), ..TaskFilter::default() }, 5).await;

    assert_eq!(found.len(), children.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), children);
    fleet.finish().await;
}

#[tokio::test]
async fn a_rare_match_in_a_large_store_is_found_in_short_pages() {
    let fleet = Fleet::start().await;
    let rare = fleet.submit("bugfix").await.id;
    for _ in 0..22 {
        fleet.submit_many("faq", 100).await;
    }
    let filter = TaskFilter { kind: Some(name("bugfix")), ..TaskFilter::default() };

    let first = fleet.engine.tasks(&filter, 50, None).await.unwrap();

    assert!(first.items.is_empty() && first.next_cursor.is_some());
    assert_eq!(walk(&fleet, &filter, 50).await, [rare]);
    fleet.finish().await;
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused() {
    let fleet = Fleet::start().await;
    for bad in [
        "",
        "x",
        "1_2",
        "NaN_01a20559-bbb7-769b-8ff9-a83ec6580300",
        "inf_01a20559-bbb7-769b-8ff9-a83ec6580300",
    ] {
        let refused = fleet.engine.tasks(&TaskFilter::default(), 10, Some(bad)).await;
        assert_refused!(refused, Error::Invalid(faults) if faults[0].pointer == "cursor");
    }
    fleet.finish().await;
}
