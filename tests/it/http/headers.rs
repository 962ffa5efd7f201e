//! The headers of every answer that protect browsers, and which scripts of other origins may call.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Call, Fleet, Site, connections, free_port};

const APP: &str = "https://app.example.com";

#[track_caller]
fn assert_protected(answer: &Answer, what: &str) {
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{what}: {answer:?}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{what}: {answer:?}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{what}: {answer:?}");
    }
    let cache = answer.header("cache-control").unwrap_or_default();
    assert!(["no-store", "no-cache"].contains(&cache), "{what}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{what}");
}

/// A site at which scripts of these origins may call.
async fn open_to(origins: &[&str]) -> Site {
    let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    Site::told(Fleet::start().await, |http| http.cors_origins = origins).await
}

#[tokio::test]
async fn every_answer_protects_browsers() {
    let site = open_to(&[APP]).await;

    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/stats"),
        (Method::GET, "/tasks"),
        (Method::GET, "/health/ready"),
        (Method::GET, "/metrics"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/docs"),
        (Method::GET, "/ui"),
        (Method::GET, "/ui/files/main.js"),
        (Method::GET, "/nothing"),
        (Method::PUT, "/tasks"),
        (Method::POST, "/tasks"),
        (Method::POST, "/session"),
        (Method::HEAD, "/ui"),
    ] {
        let answer = site.call("root", method.clone(), path).send().await;
        assert_protected(&answer, &format!("{method} {path}"));
    }
    assert_protected(&site.anonymous(Method::GET, "/stats").send().await, "no credential");
    let foreign = site.call("root", Method::GET, "/stats").header("origin", "https://evil.example");
    let foreign = foreign.send().await;
    foreign.refused(403, "origin-refused");
    assert_protected(&foreign, "a foreign origin");
    let long = format!("GET /stats HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1_000_000));
    for bytes in
        ["GET /stats\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &long]
    {
        assert_protected(&site.raw(bytes.as_bytes()).await, bytes);
    }
    site.finish().await;
}

#[tokio::test]
async fn answers_vary_by_origin_unless_every_origin_may_call() {
    let site = open_to(&[APP, "https://other.example.com"]).await;
    let stats = async |site: &Site, origin: Option<&str>| {
        let call = site.call("reader", Method::GET, "/stats");
        match origin {
            Some(origin) => call.header("origin", origin).send().await,
            None => call.send().await,
        }
    };

    for origin in [None, Some(APP), Some("https://other.example.com"), Some("https://evil.example")]
    {
        let answer = stats(&site, origin).await;
        assert_eq!(answer.header("vary"), Some("origin"), "{origin:?}: {answer:?}");
        let allowed = origin.filter(|origin| !origin.contains("evil"));
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin:?}");
    }
    let almost = ["https://app.example.com.evil.example", "http://app.example.com", "null"];
    for origin in almost {
        stats(&site, Some(origin)).await.refused(403, "origin-refused");
    }
    let file = site.anonymous(Method::GET, "/ui/files/main.js").header("origin", APP);
    let vary: Vec<_> = file.send().await.headers.get_all("vary").iter().cloned().collect();
    assert_eq!(vary, ["accept-encoding", "origin"]);
    site.finish().await;

    let site = open_to(&["*"]).await;
    let answer = stats(&site, Some("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_protected(&answer, "any origin");
    site.finish().await;
}

#[tokio::test]
async fn page_of_the_gateway_itself_is_no_foreign_origin() {
    let site = open_to(&[APP]).await;
    let own = format!("http://{}", site.address());

    let session = site.call("crew", Method::POST, "/session").header("origin", &own);

    session.send().await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own_if_configured() {
    let address = format!("127.0.0.1:{}", free_port());
    let site =
        Site::told(Fleet::start().await, |http| http.metrics_address = address.clone()).await;
    let alone = async |method: Method, path: &str| {
        let call = connections().request(method, format!("http://{address}{path}"));
        Call(call).send().await
    };

    site.get("root", "/metrics").await.refused(404, "not-found");
    let shown = alone(Method::GET, "/metrics").await;
    assert!(shown.metrics().contains_key("orchestrator_http_connections"), "{shown:?}");
    assert_protected(&shown, "metrics");
    for path in ["/", "/stats", "/health/live", "/metrics/"] {
        alone(Method::GET, path).await.refused(404, "not-found");
    }
    alone(Method::POST, "/metrics").await.refused(405, "method-not-allowed");
    site.finish().await;
}

#[tokio::test]
async fn preflight_names_what_scripts_may_send() {
    let site = open_to(&[APP]).await;
    let call = site.anonymous(Method::OPTIONS, "/tasks").header("origin", APP);
    let call = call.header("access-control-request-method", "POST");

    let answer = call.header("access-control-request-headers", "x-api-key").send().await;

    assert_eq!((answer.status, &*answer.body), (204, ""));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, PATCH, DELETE"));
    let headers = answer.header("access-control-allow-headers").unwrap();
    assert!(["x-api-key", "content-type", "last-event-id"].iter().all(|it| headers.contains(it)));
    // Without a credential, and without touching a task.
    let plain = site.call("crew", Method::OPTIONS, "/tasks").send().await;
    plain.refused(405, "method-not-allowed");
    assert_eq!(site.get("reader", "/stats").await.json()["queue"]["total_tasks"], json!(0));
    site.finish().await;
}
