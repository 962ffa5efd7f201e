//! Failed authentications of an address, and addresses behind proxies.

use reqwest::Method;

use crate::harness::{Answer, Fleet, Site, id_of, key_of, new_body};

/// A gateway with a limit of failures, behind a proxy on this machine that names its clients.
async fn guarded() -> Site {
    Site::told(Fleet::start().await, |http| {
        http.max_failed_logins_per_minute = 10;
        http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
}

/// A call with this key from the client at this address, as the proxy says.
async fn try_key(site: &Site, key: &str, client: &str) -> Answer {
    let call = site.anonymous(Method::GET, "/tasks").header("x-api-key", key);
    call.header("x-forwarded-for", client).send().await
}

#[tokio::test]
async fn ten_wrong_keys_of_an_address_end_its_guesses_only() {
    let site = guarded().await;
    for nth in 0..10 {
        try_key(&site, &format!("guess-{nth:012}"), "203.0.113.9")
            .await
            .refused(401, "unauthenticated");
    }

    let over = try_key(&site, "guess-000000000010", "203.0.113.9").await;
    over.refused(429, "too-many-failures");
    let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{over:?}");
    let missing = site.anonymous(Method::GET, "/tasks").header("x-forwarded-for", "203.0.113.9");
    missing.send().await.refused(429, "too-many-failures");
    // The owner of a key at the same address keeps working, and others keep their own guesses.
    try_key(&site, &key_of("crew"), "203.0.113.9").await.accepted(200);
    try_key(&site, "guess-000000000010", "203.0.113.8").await.refused(401, "unauthenticated");
    // What needs no credential is not refused.
    let health = site.anonymous(Method::GET, "/health").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(health.send().await.status, 200);
    site.finish().await;
}

#[tokio::test]
async fn a_client_cannot_escape_its_count_by_a_header() {
    let site =
        Site::told(Fleet::start().await, |http| http.max_failed_logins_per_minute = 10).await;
    for nth in 0..10 {
        try_key(&site, "guess-0123456789", &format!("203.0.113.{nth}"))
            .await
            .refused(401, "unauthenticated");
    }

    let answer = try_key(&site, "guess-0123456789", "203.0.113.200").await;

    answer.refused(429, "too-many-failures");
    site.finish().await;
}

/// Where the audit log says that a cancel came from, whose request had these lines.
async fn origin_of_cancel(site: &Site, lines: &[(&str, &str)]) -> String {
    let id = id_of(&site.submit(&new_body("faq")).await);
    let call = site.call("root", Method::POST, &format!("/tasks/{id}/cancel"));
    let call = lines.iter().fold(call, |call, (name, value)| call.header(name, value));
    call.send().await.accepted(200);
    let log = site.get("root", "/admin/audit?limit=1").await.accepted(200);
    log["items"][0]["origin"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_audit_log_shows_the_client_that_a_trusted_proxy_names() {
    let site = guarded().await;
    let spoofed = [("x-forwarded-for", "6.6.6.6, 203.0.113.9"), ("forwarded", "for=6.6.6.6")];

    assert_eq!(origin_of_cancel(&site, &spoofed).await, "203.0.113.9");
    site.finish().await;

    let site = Site::open().await;
    let origin = origin_of_cancel(&site, &spoofed).await;
    assert!(origin.starts_with("127.0.0.1:"), "{origin}");
    site.finish().await;
}
