//! How the promises were kept, counted by the hour.

use orchestrator::domain::priority::Priority;
use orchestrator::domain::sla::{Figures, Sla};
use orchestrator::domain::time::Millis;
use orchestrator::engine::{Error, GroupBy};

use super::sla_timers::{minutes, promise};
use crate::harness::{Fleet, assert_refused, key};

const HOUR: Millis = 3_600_000;

/// The figures of all tasks of the last day.
async fn total(fleet: &Fleet) -> Figures {
    fleet.engine.sla_report(None, None, None, GroupBy::default()).await.unwrap().total
}

fn is_near(told: Option<Millis>, ms: f64) -> bool {
    told.is_some_and(|told| (told as f64 / ms - 1.0).abs() < 0.1)
}

#[tokio::test]
async fn a_report_counts_ends_promises_and_times() {
    let fleet = Fleet::start().await;
    let sla = Sla {
        start_within_ms: Some(3_600_000),
        within_ms: Some(6_000_000),
        ..promise(true).unwrap()
    };
    for _ in 0..4 {
        fleet.submit_with("faq", |new| new.sla = Some(sla.clone())).await;
    }
    minutes(&fleet, 40);
    let (met, late, failed) =
        (fleet.claim_one().await, fleet.claim_one().await, fleet.claim_one().await);
    minutes(&fleet, 20);
    fleet.complete(&met).await.unwrap();
    fleet.give_up(&failed).await.unwrap();
    minutes(&fleet, 50);
    fleet.complete(&late).await.unwrap();
    let rest = fleet.engine.tasks(&Default::default(), 1, None).await.unwrap().items.pop().unwrap();
    fleet.cancel(rest.id).await.unwrap();

    let found = total(&fleet).await;

    assert_eq!((found.completed, found.failed, found.cancelled), (2, 1, 1));
    assert_eq!((found.met, found.warned, found.violated), (1, 4, 2));
    assert_eq!((found.start_met, found.start_warned, found.start_violated), (3, 4, 1));
    assert_eq!(
        (found.attainment_percent(), found.start_attainment_percent()),
        (Some(33.33), Some(75.0))
    );
    assert_eq!((found.wait.count(), found.run.count(), found.human.count()), (3, 3, 0));
    assert!(
        is_near(found.wait.percentile(50.0), 2_400_000.0)
            && is_near(found.run.percentile(50.0), 1_200_000.0)
    );
    assert!(is_near(found.run.percentile(99.0), 4_200_000.0), "{found:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn human_wait_is_reported_apart_from_agent_wait() {
    for stands in [false, true] {
        let fleet = Fleet::build()
            .settings(|settings| settings.sla.exclude_approval_time = stands)
            .start()
            .await;
        let task = fleet.submit("deploy").await;
        minutes(&fleet, 100);
        fleet.approve(task.approval.unwrap()).await.unwrap();
        minutes(&fleet, 10);
        let held = fleet.claim_one_of("ops_agent").await;
        fleet.complete(&held).await.unwrap();

        let found = total(&fleet).await;

        assert!(is_near(found.human.percentile(50.0), 6_000_000.0), "{found:?}");
        assert!(is_near(found.wait.percentile(50.0), 600_000.0), "{found:?}");
        fleet.finish().await;
    }
}

#[tokio::test]
async fn a_report_tells_apart_what_it_is_asked_to_over_all_partitions() {
    let fleet = Fleet::build().partitions(3).without_approvals().start().await;
    for (kind, priority) in [("faq", Priority::P1), ("faq", Priority::P2), ("bugfix", Priority::P2)]
    {
        for _ in 0..4 {
            let id = fleet.submit_with(kind, |new| new.spec.priority = priority).await.id;
            fleet.cancel(id).await.unwrap();
        }
    }
    let groups = async |kind, priority, agent| {
        let report = fleet
            .engine
            .sla_report(None, None, None, GroupBy { kind, priority, agent })
            .await
            .unwrap();
        assert_eq!(report.total.cancelled, 12);
        let name = |group: orchestrator::domain::sla::Group| {
            [
                group.kind.map(|one| one.to_string()),
                group.priority.map(|one| one.as_str().to_owned()),
                group.agent.map(|one| one.to_string()),
            ]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
        };
        report
            .groups
            .into_iter()
            .map(|(group, figures)| (name(group), figures.cancelled))
            .collect::<Vec<_>>()
    };
    let named = |names: &[(&str, u64)]| {
        names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>()
    };

    assert_eq!(groups(false, false, false).await, named(&[("", 12)]));
    assert_eq!(groups(true, false, false).await, named(&[("bugfix", 4), ("faq", 8)]));
    assert_eq!(groups(false, true, false).await, named(&[("P1", 4), ("P2", 8)]));
    assert_eq!(
        groups(true, true, true).await,
        named(&[("bugfix P2 dev_agent", 4), ("faq P1 faq_agent", 4), ("faq P2 faq_agent", 4)])
    );
    fleet.finish().await;
}

#[tokio::test]
async fn a_report_covers_whole_hours_of_at_most_31_days() {
    let fleet = Fleet::start().await;
    fleet.cancel(fleet.submit("faq").await.id).await.unwrap();
    let now = fleet.engine.check().await.unwrap();
    let report = async |from, to| fleet.engine.sla_report(None, from, to, GroupBy::default()).await;

    let this = report(Some(now), Some(now + 1)).await.unwrap();
    assert_eq!(
        (this.from, this.to, this.total.cancelled),
        (now / HOUR * HOUR, now / HOUR * HOUR + HOUR, 1)
    );
    let before = report(None, Some(now / HOUR * HOUR)).await.unwrap();
    assert_eq!(
        (before.to - before.from, before.total.cancelled, before.groups.len()),
        (24 * HOUR, 0, 0)
    );
    assert_eq!(report(Some(now - 30 * 24 * HOUR), None).await.unwrap().total.cancelled, 1);
    assert_refused!(report(Some(now - 32 * 24 * HOUR), None).await, Error::Invalid(_));
    assert_refused!(report(Some(now), Some(now)).await, Error::Invalid(_));
    assert_refused!(report(Some(u64::MAX), None).await, Error::Invalid(_));
    let kept: Vec<i64> = {
        let key = key(&format!("sla:{}", now / HOUR));
        vec![fleet.redis.ask(&["TTL", &key]).await]
    };
    assert!(kept[0] > 31 * 24 * 3_600, "{kept:?}");
    fleet.finish().await;
}
