//! `GET /metrics`, as Prometheus reads it.

use orchestrator::engine::BackgroundCheck;
use reqwest::Method;

use crate::harness::{Fleet, Site, key};

#[tokio::test]
async fn the_figures_of_the_fleet_are_shown_to_prometheus_without_a_credential() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 3).await;
    site.fleet.claim_one().await;
    site.fleet.submit("faq").await;
    site.fleet.submit("deploy").await;

    let metrics = site.metrics().await.metrics();

    for (name, value) in [
        ("orchestrator_store_up", 1.0),
        (r#"orchestrator_tasks{status="blocked"}"#, 1.0),
        (r#"orchestrator_tasks{status="pending"}"#, 1.0),
        (r#"orchestrator_tasks{status="assigned"}"#, 2.0),
        (r#"orchestrator_tasks{status="in_progress"}"#, 1.0),
        (r#"orchestrator_tasks{status="failed"}"#, 0.0),
        (r#"orchestrator_open_tasks{priority="P2"}"#, 5.0),
        (r#"orchestrator_agent_depth{agent="faq_agent"}"#, 2.0),
        (r#"orchestrator_agent_in_progress{agent="faq_agent"}"#, 1.0),
        (r#"orchestrator_agent_sessions{agent="faq_agent"}"#, 1.0),
        (r#"orchestrator_agent_paused{agent="ops_agent"}"#, 0.0),
        ("orchestrator_doctor_findings", 0.0),
    ] {
        assert_eq!(metrics.get(name), Some(&value), "{name}: {metrics:#?}");
    }
    assert!(metrics[r#"orchestrator_event_log_last_timestamp_seconds{partition="0"}"#] > 1.7e9);
    assert!(metrics["orchestrator_process_resident_memory_bytes"] > 1e6);
    assert!(metrics["orchestrator_oldest_pending_seconds"] < 60.0);
    assert!(!metrics.contains_key("orchestrator_bridge_lag_seconds"));
    site.finish().await;
}

#[tokio::test]
async fn a_finding_of_the_doctor_shows_up() {
    let site = Site::open().await;
    let id = site.fleet.submit("faq").await.id.to_string();
    site.fleet.redis.ask::<i64>(&["ZREM", &key("pending"), &id]).await;
    site.shows("orchestrator_doctor_checks_total", |value| value == 0.0).await;

    let mut background = BackgroundCheck::default();
    while site.fleet.store.doctor_stats().await.unwrap().checks == 0 {
        site.fleet.engine.check_on("one", &mut background).await.unwrap();
    }

    site.shows("orchestrator_doctor_findings", |value| value == 1.0).await;
    site.shows(r#"orchestrator_doctor_findings_total{kind="place_missing"}"#, |value| value == 1.0)
        .await;
    site.fleet.engine.repair().await.unwrap();
    site.finish().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_shown_and_so_is_its_return() {
    let mut site = Site::over(Fleet::build().durable().start().await).await;
    site.fleet.redis.stop().await;
    site.shows("orchestrator_store_up", |value| value == 0.0).await;

    site.fleet.redis.start_again().await;

    site.shows("orchestrator_store_up", |value| value == 1.0).await;
    site.finish().await;
}

#[tokio::test]
async fn metrics_that_are_switched_off_are_not_there() {
    let site = Site::told(Fleet::start().await, |http| http.metrics = false).await;

    site.anonymous(Method::GET, "/metrics").send().await.refused(404, "not-found");

    site.finish().await;
}
