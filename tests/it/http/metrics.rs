//! `GET /metrics`, as Prometheus reads it.

use std::collections::BTreeMap;

use orchestrator::engine::BackgroundCheck;
use reqwest::Method;

use crate::harness::{Answer, Fleet, Site, eventually};

/// Reads the text format strictly: every sample belongs to a metric that was announced with help and type.
fn parse(answer: &Answer) -> BTreeMap<String, f64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (mut samples, mut announced) = (BTreeMap::new(), String::new());
    for line in answer.body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            announced =
                help.split_once(' ').filter(|(_, text)| !text.is_empty()).unwrap().0.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, announced);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(&*announced), "{line}");
            let is_new = samples.insert(name.to_owned(), value.parse::<f64>().unwrap()).is_none();
            assert!(is_new, "twice: {line}");
        }
    }
    assert!(answer.body.ends_with('\n'));
    samples
}

async fn metrics(site: &Site) -> BTreeMap<String, f64> {
    parse(&site.anonymous(Method::GET, "/metrics").send().await)
}

/// Waits until it is shown; what is shown may be a second old.
async fn shows(site: &Site, name: &str, value: f64) {
    eventually(&format!("{name} is {value}"), async || {
        let metrics = metrics(site).await;
        if metrics.get(name) == Some(&value) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn the_figures_of_the_fleet_are_shown_to_prometheus_without_a_credential() {
    let site = Site::open().await;
    site.fleet.submit_many("faq", 3).await;
    site.fleet.claim_one().await;
    site.fleet.submit("faq").await;
    site.fleet.submit("deploy").await;

    let metrics = metrics(&site).await;

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
    site.fleet.redis.ask::<i64>(&["ZREM", "orchestrator:{0}:tasks", &id]).await;
    shows(&site, "orchestrator_doctor_checks_total", 0.0).await;

    let mut background = BackgroundCheck::default();
    while site.fleet.store.doctor_stats().await.unwrap().checks == 0 {
        site.fleet.engine.check_on("one", &mut background).await.unwrap();
    }

    shows(&site, "orchestrator_doctor_findings", 1.0).await;
    shows(&site, r#"orchestrator_doctor_findings_total{kind="index_missing"}"#, 1.0).await;
    site.fleet.engine.repair().await.unwrap();
    site.finish().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_shown_and_so_is_its_return() {
    let mut site = Site::over(Fleet::build().durable().start().await).await;
    site.fleet.redis.stop().await;
    shows(&site, "orchestrator_store_up", 0.0).await;

    site.fleet.redis.start_again().await;

    shows(&site, "orchestrator_store_up", 1.0).await;
    site.finish().await;
}

#[tokio::test]
async fn metrics_that_are_switched_off_are_not_there() {
    let site = Site::told(Fleet::start().await, |http| http.metrics = false).await;

    site.anonymous(Method::GET, "/metrics").send().await.refused(404, "not-found");

    site.finish().await;
}
