//! What the service says of itself, to callers without a credential.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fleet, Site, eventually, id_of, new_body, report_on};

#[tokio::test]
async fn anonymous_callers_get_service_info_and_health() {
    let site = Site::open().await;
    let version = env!("CARGO_PKG_VERSION");

    let service = site.anonymous(Method::GET, "/").send().await.accepted(200);
    assert_eq!((&service["version"], &service["status"]), (&json!(version), &json!("running")));
    assert!(service["service"].is_string());
    for path in ["/health", "/health/live", "/health/ready"] {
        let health = site.anonymous(Method::GET, path).send().await.accepted(200);
        let none = json!({"pending_tasks": 0, "processing_tasks": 0, "total_tasks": 0});
        let queue = if path == "/health" { none } else { Value::Null };
        assert_eq!(
            health,
            json!({
                "status": "healthy", "redis": "connected", "version": version,
                "queue_stats": queue, "bridge_lag_ms": null,
            }),
            "{path}"
        );
    }
    site.finish().await;
}

#[tokio::test]
async fn without_redis_gateway_is_live_not_ready_and_calls_get_retry_after() {
    let mut site = Site::over(Fleet::build().durable().start().await).await;
    site.fleet.redis.kill();

    eventually("it is not ready", async || {
        let ready = site.anonymous(Method::GET, "/health/ready").send().await;
        if ready.status == 503 { Ok(()) } else { Err(ready) }
    })
    .await;
    for path in ["/health", "/health/ready"] {
        let health = site.anonymous(Method::GET, path).send().await.accepted(503);
        assert_eq!(
            (&health["status"], &health["redis"]),
            (&json!("unhealthy"), &json!("disconnected")),
            "{path}"
        );
    }
    assert_eq!(
        site.anonymous(Method::GET, "/health/live").send().await.accepted(200)["status"],
        "healthy"
    );
    let answer = site.post("crew", "/tasks", &new_body("faq")).await;
    answer.refused(503, "store-unavailable");
    assert!(answer.header("retry-after").is_some() && !answer.body.contains("redis"), "{answer:?}");

    site.fleet.redis.start_again().await;
    eventually("it is ready", async || {
        let ready = site.anonymous(Method::GET, "/health/ready").send().await;
        if ready.status == 200 { Ok(()) } else { Err(ready) }
    })
    .await;
    site.submit(&new_body("faq")).await;
    site.finish().await;
}

#[tokio::test]
async fn the_document_is_served_in_three_forms_and_loads_nothing_from_elsewhere() {
    let site = Site::open().await;

    let json_form = site.anonymous(Method::GET, "/openapi.json").send().await;
    let yaml_form = site.anonymous(Method::GET, "/openapi.yaml").send().await;
    let page = site.anonymous(Method::GET, "/docs").send().await;

    assert_eq!(json_form.accepted(200), orchestrator::http::openapi::document());
    assert_eq!((yaml_form.status, yaml_form.body), (200, orchestrator::http::openapi::yaml()));
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    for loading in [
        "src=\"http",
        "src='http",
        "src=\"//",
        "href=\"http",
        "href=\"//",
        "@import",
        "url(http",
        "url(//",
    ] {
        // Inside of its own scripts there are texts that look like links.
        let markup: String = page
            .body
            .split("<script")
            .map(|part| part.split_once("</script>").map_or(part, |(_, rest)| rest))
            .collect();
        assert!(!markup.contains(loading), "{loading}");
    }
    assert!(!page.body.contains("<script src="), "a script is loaded");
    site.finish().await;
}

#[tokio::test]
async fn no_web_origin_may_call_unless_it_is_configured() {
    let site = Site::open().await;
    let preflight = |site: &Site, origin: &str| {
        let call = site.anonymous(Method::OPTIONS, "/tasks").header("origin", origin);
        call.header("access-control-request-method", "POST").send()
    };
    let closed = site
        .call("reader", Method::GET, "/stats")
        .header("origin", "https://app.example.com")
        .send()
        .await;
    closed.accepted(200);
    let asked = preflight(&site, "https://app.example.com").await;
    for answer in [&closed, &asked] {
        assert!(
            !answer.headers.keys().any(|name| name.as_str().starts_with("access-control")),
            "{answer:?}"
        );
    }
    site.finish().await;

    let origins = vec!["https://app.example.com".to_owned()];
    let site = Site::told(Fleet::start().await, |http| http.cors_origins = origins).await;
    let open = preflight(&site, "https://app.example.com").await;
    assert_eq!(
        open.header("access-control-allow-origin"),
        Some("https://app.example.com"),
        "{open:?}"
    );
    let foreign = preflight(&site, "https://evil.example.com").await;
    assert_eq!(foreign.header("access-control-allow-origin"), None, "{foreign:?}");
    let call = site.anonymous(Method::GET, "/stats").header("origin", "https://app.example.com");
    let refused = call.send().await;
    refused.refused(401, "unauthenticated");
    assert!(
        refused.header("access-control-allow-origin").is_some(),
        "a script can read why: {refused:?}"
    );
    site.finish().await;
}

#[tokio::test]
async fn full_redis_refuses_submissions_and_accepts_completions() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);
    let held = site.claim_one("faq_agent").await;
    let _: String = site.fleet.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let answer = site.post("crew", "/tasks", &new_body("faq")).await;
    let done = report_on(&held, json!({}));
    let done = site.post("crew", &format!("/tasks/{id}/complete"), &done).await;

    answer.refused(503, "store-full");
    assert!(answer.header("retry-after").is_some());
    done.accepted(200);
    let _: String = site.fleet.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let stats: Value = site.get("reader", "/stats").await.accepted(200);
    assert_eq!(stats["queue"]["total_tasks"], 1);
    site.finish().await;
}
