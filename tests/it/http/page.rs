//! The page for people, as it is served; what it does is tested in a browser, see `ui`.

use reqwest::Method;

use crate::harness::{Answer, Fleet, Site};

async fn get(site: &Site, path: &str, headers: &[(&str, &str)]) -> Answer {
    let call = site.anonymous(Method::GET, path);
    headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await
}

/// Asserts that a browser may load nothing but what the gateway serves.
#[track_caller]
fn is_protected(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap();
    for rule in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    let scripts = policy.split(';').find(|rule| rule.trim().starts_with("script-src")).unwrap();
    assert!(!scripts.contains("unsafe") && !scripts.contains("http"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn the_page_and_its_files_are_served_with_headers_that_protect_it() {
    let site = Site::open().await;

    for path in ["/ui", "/ui/", "/ui/approvals/1?show=all", "/ui/tasks?status=failed", "/docs"] {
        let answer = get(&site, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{path}");
        is_protected(&answer);
    }
    for (path, media_type) in [
        ("/ui/files/main.js", "text/javascript; charset=utf-8"),
        ("/ui/files/vendor/preact.mjs", "text/javascript; charset=utf-8"),
        ("/ui/files/page.css", "text/css; charset=utf-8"),
        ("/ui/files/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(&site, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{path}");
        is_protected(&answer);
    }
    for path in ["/ui/files/none.js", "/ui/files/..%2fmod.rs", "/ui/files/"] {
        let answer = get(&site, path, &[]).await;
        answer.refused(404, "not-found");
        is_protected(&answer);
    }
    get(&site, "/uix", &[]).await.refused(404, "not-found");
    let answer = site.anonymous(Method::POST, "/ui").send().await;
    answer.refused(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    site.finish().await;
}

#[tokio::test]
async fn a_file_is_sent_compressed_and_only_if_it_changed() {
    let site = Site::open().await;
    let path = "/ui/files/page.css";

    let plain = get(&site, path, &[]).await;
    let small = get(&site, path, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        (None, Some("accept-encoding"))
    );
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert!(small.body.len() < plain.body.len() / 2, "{}", small.body.len());

    let [plain, small] = [&plain, &small].map(|answer| answer.header("etag").unwrap().to_owned());
    assert_ne!(plain, small);
    let known = [("if-none-match", plain.as_str())];
    let again = get(&site, path, &known).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(plain.as_str()));
    let other = [("if-none-match", small.as_str())];
    assert_eq!(get(&site, path, &other).await.status, 200);
    let list = format!("\"a\", W/{small}");
    let headers = [("if-none-match", list.as_str()), ("accept-encoding", "gzip")];
    assert_eq!(get(&site, path, &headers).await.status, 304);
    site.finish().await;
}

#[tokio::test]
async fn a_browser_is_sent_to_the_page_and_a_client_is_not() {
    let site = Site::open().await;
    // The client of the tests would follow.
    let head =
        "GET / HTTP/1.1\r\nhost: x\r\naccept: text/html,*/*;q=0.8\r\nconnection: close\r\n\r\n";

    let browser = site.raw(head.as_bytes()).await;
    assert_eq!((browser.status, browser.header("location")), (303, Some("/ui")));
    is_protected(&browser);
    for accept in ["*/*", "application/json"] {
        get(&site, "/", &[("accept", accept)]).await.accepted(200);
    }
    site.finish().await;
}

#[tokio::test]
async fn without_the_page_the_api_is_as_it_was() {
    let site = Site::told(Fleet::start().await, |http| http.ui = false).await;

    for path in ["/ui", "/ui/files/main.js", "/ui/tasks"] {
        get(&site, path, &[]).await.refused(404, "not-found");
    }
    get(&site, "/", &[("accept", "text/html")]).await.accepted(200);
    is_protected(&get(&site, "/docs", &[]).await);
    site.finish().await;
}
