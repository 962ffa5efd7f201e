//! People whom an identity provider signs in to the page.

use reqwest::Method;
use serde_json::{Value, json};

use super::sessions::{cookie_of, own};
use crate::harness::{Answer, Call, Fleet, OpenId, Site, approval_of};

const BEGIN: &str = "/ui/sign-in/oidc";

async fn site(provider: &OpenId) -> Site {
    Site::trusting(Fleet::start().await, provider.trusted(), |_| {}).await
}

/// Gets `url`, with this cookie, and follows no redirect: a test must see each.
async fn go(url: &str, cookie: &str) -> Answer {
    let client = reqwest::Client::builder().tls_certs_only([]);
    let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Call(client.get(url)).header("cookie", cookie).send().await
}

fn url_of(site: &Site, path: &str) -> String {
    format!("http://{}{path}", site.address())
}

/// Begins a sign-in: the cookie of the browser, and the path with which the provider sends it back.
async fn begin(site: &Site) -> (String, String) {
    let begun = go(&url_of(site, BEGIN), "").await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let sent_back = go(begun.header("location").unwrap(), "").await;
    let back = sent_back.header("location").unwrap().split_once("http://127.0.0.1").unwrap();
    (cookie_of(&begun), back.1.to_owned())
}

/// What comes of a sign-in.
async fn sign_in(site: &Site) -> Answer {
    let (cookie, back) = begin(site).await;
    go(&url_of(site, &back), &cookie).await
}

#[track_caller]
fn failed(answer: &Answer, word: &str) {
    let address = format!("/ui?sign-in={word}");
    assert_eq!((answer.status, answer.header("location")), (303, Some(address.as_str())));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert!(cookies[0].to_str().unwrap().starts_with("orchestrator_sign_in=;"), "{cookies:?}");
}

#[tokio::test]
async fn person_whom_a_provider_signs_in_decides_by_name() {
    let provider = OpenId::start().await;
    let site = site(&provider).await;
    let task = site.submit(&json!({"type": "faq", "payload": {}, "priority": "P0"})).await;
    let ways = site.anonymous(Method::GET, "/ui/sign-in").send().await.accepted(200);
    assert_eq!(ways, json!({"oidc": true}));

    let begun = go(&url_of(&site, BEGIN), "").await;
    let line = begun.header("set-cookie").unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{line}");
    let done = sign_in(&site).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/ui")));
    let line = done.header("set-cookie").unwrap();
    assert!(line.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{line}");

    let session = cookie_of(&done);
    let who = own(&site, &session, Method::GET, "/session").send().await.accepted(200);
    let name = "user:J%C3%BCrgen%20Gro%C3%9F";
    assert_eq!((&who["caller"], &who["role"]), (&json!(name), &json!("approver")));
    let path = format!("/approvals/{}/approve", approval_of(&task));
    own(&site, &session, Method::POST, &path).send().await.accepted(200);
    let log = site.get("root", "/admin/audit?action=approve").await.accepted(200);
    assert_eq!(log["items"][0]["actor"], name);
    // Signing out ends it like any other.
    own(&site, &session, Method::DELETE, "/session").send().await.accepted(200);
    let dead = own(&site, &session, Method::GET, "/session").send().await;
    dead.refused(401, "unauthenticated");
    site.finish().await;
}

#[tokio::test]
async fn sign_in_counts_once_and_in_its_own_browser_only() {
    let provider = OpenId::start().await;
    let site = site(&provider).await;

    let (cookie, back) = begin(&site).await;
    let (other, _) = begin(&site).await;
    failed(&go(&url_of(&site, &back), "").await, "stale");
    failed(&go(&url_of(&site, &back), &other).await, "stale");
    let (path, _) = back.split_once("&state=").unwrap();
    failed(&go(&url_of(&site, path), &cookie).await, "stale");
    failed(&go(&url_of(&site, &format!("{path}&state=x")), &cookie).await, "stale");
    let state = back.split_once("&state=").unwrap().1;
    let denied = format!("{BEGIN}/callback?error=access_denied&state={state}");
    failed(&go(&url_of(&site, &denied), &cookie).await, "refused");
    let no_code = format!("{BEGIN}/callback?state={state}");
    failed(&go(&url_of(&site, &no_code), &cookie).await, "invalid");
    let invented = format!("{BEGIN}/callback?code=%00%ff&state={state}");
    failed(&go(&url_of(&site, &invented), &cookie).await, "invalid");
    assert_eq!(go(&url_of(&site, &back), &cookie).await.header("location"), Some("/ui"));
    // The code is used.
    failed(&go(&url_of(&site, &back), &cookie).await, "invalid");
    site.anonymous(Method::POST, BEGIN).send().await.refused(405, "method-not-allowed");
    site.finish().await;
}

#[tokio::test]
async fn token_that_is_not_for_this_sign_in_is_refused() {
    let provider = OpenId::start().await;
    let site = site(&provider).await;

    for (claims, word) in [
        (json!({"nonce": "another"}), "invalid"),
        (json!({"nonce": null}), "invalid"),
        (json!({"aud": "another"}), "invalid"),
        (json!({"aud": ["orchestrator page", "another"], "azp": "another"}), "invalid"),
        (json!({"iss": "https://evil.example.com"}), "invalid"),
        (json!({"exp": 1_000_000_000}), "invalid"),
        (json!({"sub": null}), "invalid"),
        (json!({"sub": "orchestrator"}), "invalid"),
        (json!({"groups": ["staff"]}), "no-role"),
        (json!({"groups": null}), "no-role"),
    ] {
        provider.says(claims.clone());
        let answer = sign_in(&site).await;
        assert_eq!(answer.header("location"), Some(&*format!("/ui?sign-in={word}")), "{claims}");
        failed(&answer, word);
    }
    provider.says(json!({"aud": ["orchestrator page", "another"], "azp": "orchestrator page"}));
    assert_eq!(sign_in(&site).await.header("location"), Some("/ui"));
    site.finish().await;
}

#[tokio::test]
async fn sign_in_without_a_provider_is_refused_in_words() {
    let away = OpenId::start().await;
    let trusted = away.trusted();
    drop(away);
    let site = Site::trusting(Fleet::start().await, trusted, |_| {}).await;
    failed(&go(&url_of(&site, BEGIN), "").await, "unavailable");
    site.finish().await;

    let site = Site::open().await;
    let ways: Value = site.anonymous(Method::GET, "/ui/sign-in").send().await.accepted(200);
    assert_eq!(ways, json!({"oidc": false}));
    for path in [BEGIN, "/ui/sign-in/oidc/callback?code=x&state=y"] {
        site.anonymous(Method::GET, path).send().await.refused(404, "not-found");
    }
    site.finish().await;
}
