//! Sessions of browsers: a cookie instead of a key.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, Call, JWT_SECRET, Process, Program, Redis, Site, approval_of, bearer, key_of, late,
    new_body, token, within,
};

/// The cookie that an answer sets, as a browser sends it back.
pub fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

/// The session of the API key of this name.
async fn session(site: &Site, name: &str) -> String {
    let answer = site.call(name, Method::POST, "/session").send().await;
    answer.accepted(200);
    cookie_of(&answer)
}

/// A call with this cookie, as the gateway's own page sends it.
pub fn own(site: &Site, cookie: &str, method: Method, path: &str) -> Call {
    let call = site.anonymous(method, path).header("cookie", cookie);
    call.header("sec-fetch-site", "same-origin")
}

#[tokio::test]
async fn a_session_calls_as_the_credential_that_opened_it() {
    let site = Site::open().await;
    let task = site.submit(&json!({"type": "faq", "payload": {}, "priority": "P0"})).await;
    let judge = session(&site, "judge").await;

    let who = own(&site, &judge, Method::GET, "/session").send().await.accepted(200);
    assert_eq!((&who["caller"], &who["role"]), (&json!("key:judge"), &json!("approver")));
    let scopes = json!(["tasks:read", "events:read", "approvals:read", "approvals:decide"]);
    assert_eq!(who["scopes"], scopes);
    let path = format!("/approvals/{}/approve", approval_of(&task));
    let decided = own(&site, &judge, Method::POST, &path).send().await.accepted(200);
    assert_eq!(decided["decided_by"], "key:judge");
    own(&site, &judge, Method::POST, "/tasks")
        .json(&new_body("faq"))
        .send()
        .await
        .refused(403, "missing-scope");
    // A credential in a header wins.
    let both = own(&site, &judge, Method::GET, "/session").header("x-api-key", key_of("reader"));
    assert_eq!(both.send().await.accepted(200)["caller"], "key:reader");
    site.finish().await;
}

#[tokio::test]
async fn a_token_opens_a_session_that_ends_with_the_token() {
    let site = Site::open().await;
    let open = async |authorization: &str| {
        let call = site.anonymous(Method::POST, "/session").header("authorization", authorization);
        call.send().await
    };

    let long = open(&bearer("Alice@example.com", "approver")).await;
    let in_a_minute = seconds_now() + 60;
    let claims = json!({"sub": "alice", "role": "user", "exp": in_a_minute});
    let short = open(&format!("Bearer {}", token(JWT_SECRET, &claims))).await;

    assert!(long.header("set-cookie").unwrap().contains("Max-Age=43200;"), "{long:?}");
    let left = short.header("set-cookie").unwrap().split("Max-Age=").nth(1).unwrap();
    let left: u64 = left.split(';').next().unwrap().parse().unwrap();
    assert!((1..=60).contains(&left), "{left}");
    let who = own(&site, &cookie_of(&long), Method::GET, "/session").send().await.accepted(200);
    assert_eq!(who["caller"], "user:Alice@example.com");
    // A session is no token and no key, and does not prolong itself.
    let (_, session) = cookie_of(&long).split_once('=').map(|(_, it)| ((), it.to_owned())).unwrap();
    open(&format!("Bearer {session}")).await.refused(401, "unauthenticated");
    let again = own(&site, &cookie_of(&long), Method::POST, "/session").send().await;
    again.refused(401, "unauthenticated");
    site.finish().await;
}

/// The time in seconds since 1970.
fn seconds_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[tokio::test]
async fn a_write_by_a_page_of_another_origin_is_refused() {
    let site = Site::open().await;
    let root = session(&site, "root").await;
    let host = site.address().to_string();
    let foreign = [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example.com")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example.com")],
    ];

    let refused = async {
        for headers in foreign {
            for (method, path) in [
                (Method::POST, "/tasks"),
                (Method::POST, "/agents/faq_agent/pause"),
                (Method::DELETE, "/session"),
            ] {
                let call = site.anonymous(method, path).header("cookie", &root);
                let call =
                    headers.iter().fold(call, |call, (name, value)| call.header(name, value));
                let answer = call.json(&new_body("faq")).send().await;
                answer.refused(403, "origin-refused");
                assert_eq!(answer.header("set-cookie"), None);
            }
        }
        // Nor can such a page sign its reader in as another caller.
        let call = site.call("judge", Method::POST, "/session");
        let answer = call.header("origin", "https://evil.example.com").send().await;
        answer.refused(403, "origin-refused");
    };
    site.unchanged(refused).await;
    let call = site.anonymous(Method::POST, "/tasks").header("cookie", &root);
    let call = call.header("origin", format!("http://{host}"));
    call.json(&new_body("faq")).send().await.accepted(201);
    site.finish().await;
}

#[tokio::test]
async fn the_cookie_is_hidden_from_scripts_and_bound_to_tls() {
    let site = Site::open().await;
    let host = site.address().to_string();
    let open = async |scheme: &str| {
        let call = site.call("judge", Method::POST, "/session");
        call.header("origin", format!("{scheme}://{host}")).send().await
    };

    let plain = open("http").await;
    let line = plain.header("set-cookie").unwrap();
    assert!(line.starts_with("orchestrator_session=") && !line.contains("Secure"), "{line}");
    assert!(line.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{line}");
    let secure = open("https").await;
    let line = secure.header("set-cookie").unwrap();
    assert!(line.starts_with("__Host-orchestrator_session="), "{line}");
    assert!(line.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{line}");

    for (scheme, name) in
        [("http", "orchestrator_session"), ("https", "__Host-orchestrator_session")]
    {
        let cookie = cookie_of(&open(scheme).await);
        assert!(!cookie.contains(&key_of("judge")), "{cookie}");
        let out = own(&site, &cookie, Method::DELETE, "/session").send().await;
        out.accepted(200);
        let line = out.header("set-cookie").unwrap();
        assert!(line.starts_with(&format!("{name}=; Path=/; Max-Age=0;")), "{line}");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_damaged_or_forged_session_is_refused() {
    let site = Site::open().await;
    let good = session(&site, "judge").await;
    let token = token(JWT_SECRET, &json!({"sub": "x", "role": "admin", "exp": 4_000_000_000u64}));
    let middle = good.len() / 2;
    let mut damaged = good.clone();
    damaged.replace_range(middle..=middle, if &good[middle..=middle] == "A" { "B" } else { "A" });

    for cookie in [
        damaged,
        good[..good.len() - 2].to_owned(),
        "orchestrator_session=nonsense".to_owned(),
        format!("orchestrator_session={token}"),
        format!("orchestrator_session={}", key_of("judge")),
    ] {
        let answer = own(&site, &cookie, Method::GET, "/stats").send().await;
        answer.refused(401, "unauthenticated");
    }
    let answer = own(&site, &good, Method::GET, "/stats").send().await;
    answer.accepted(200);
    site.finish().await;
}

/// What a gateway answers to a session.
async fn status_at(gateway: &Process, cookie: &str) -> u16 {
    let call = Call(reqwest::Client::new().get(format!("{}/session", gateway.url().await)));
    call.header("cookie", cookie).send().await.status
}

#[tokio::test]
async fn every_gateway_accepts_a_session_until_its_key_is_gone() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url());
    let (one, other) = (program.start(&["gateway"]), program.start(&["gateway"]));
    let changed =
        program.clone().with("ORCHESTRATOR_API_KEY_JUDGE", "another-key-0123456:approver");
    let answer = one.client("judge").await.post("/session", &json!({})).await;
    let judge = cookie_of(&answer);
    let root = cookie_of(&one.client("root").await.post("/session", &json!({})).await);

    assert_eq!((status_at(&one, &judge).await, status_at(&other, &judge).await), (200, 200));
    let third = changed.start(&["gateway"]);
    assert_eq!((status_at(&third, &judge).await, status_at(&third, &root).await), (401, 200));
    for gateway in [one, other, third] {
        assert!(!gateway.log().contains(&judge), "a session is in the log");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn copied_cookie_is_dead_after_a_sign_out() {
    let site = Site::open().await;
    let (judge, other) = (session(&site, "judge").await, session(&site, "judge").await);
    let reader = session(&site, "reader").await;
    let status =
        async |cookie: &str| own(&site, cookie, Method::GET, "/session").send().await.status;
    assert_eq!((status(&judge).await, status(&other).await), (200, 200));
    let followed = own(&site, &other, Method::GET, "/events/stream").0.send().await.unwrap();
    assert_eq!(followed.status(), 200);

    own(&site, &judge, Method::DELETE, "/session").send().await.accepted(200);

    assert_eq!((status(&judge).await, status(&other).await), (401, 401));
    let text = within("the end of the stream", followed.text()).await.unwrap();
    assert!(text.contains("event: credential-ended"), "{text}");
    assert_eq!(status(&reader).await, 200);
    // The key itself is as good as before, and opens new sessions.
    let again = session(&site, "judge").await;
    assert_eq!((status(&again).await, status(&judge).await), (200, 401));
    site.finish().await;
}

#[tokio::test]
async fn sign_out_at_one_gateway_counts_at_others_within_a_second() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url());
    let (one, other) = (program.start(&["gateway"]), program.start(&["gateway"]));
    let judge = cookie_of(&one.client("judge").await.post("/session", &json!({})).await);
    assert_eq!((status_at(&one, &judge).await, status_at(&other, &judge).await), (200, 200));

    let call = Call(reqwest::Client::new().delete(format!("{}/session", one.url().await)));
    let call = call.header("cookie", &judge).header("sec-fetch-site", "same-origin");
    call.send().await.accepted(200);
    let signed_out = Instant::now();

    assert_eq!(status_at(&one, &judge).await, 401);
    let mut last = Instant::now();
    while status_at(&other, &judge).await == 200 {
        last = Instant::now();
        late(Duration::from_millis(10)).await;
    }
    let used = last.saturating_duration_since(signed_out);
    assert!(used <= Duration::from_secs(1), "a copy was of use for {used:?}");
    // A gateway that starts later knows of it too.
    let third = program.start(&["gateway"]);
    assert_eq!(status_at(&third, &judge).await, 401);
    for gateway in [one, other, third] {
        gateway.stop().await;
    }
}
