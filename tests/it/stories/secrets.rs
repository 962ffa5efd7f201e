//! Secrets: given in every place that takes one, and looked for in every place that shows something.

use serde_json::json;

use crate::harness::{
    Deployment, JWT_SECRET, Nats, Program, Redis, approval_of, connections, eventually, id_of,
    key_of, new_body, token,
};

/// The password of the user of Redis.
const REDIS: &str = "redis-topsecret-0123456789";
/// The token of NATS.
const NATS: &str = "nats-topsecret-0123456789";
/// A credential that is none, in the hand of a stranger.
const FOREIGN: &str = "foreign-topsecret-0123456789";
/// What a client submits, which belongs into the store only.
const PAYLOAD: &str = "payload-topsecret-0123456789";

/// Everything that was shown, and where.
#[derive(Default)]
struct Shown(Vec<(String, String)>);

impl Shown {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    /// Asserts that none of the secrets is anywhere, but for those of `PAYLOAD` in the store and in
    /// answers.
    fn has_none_of(&self, secrets: &[String]) {
        for (place, text) in &self.0 {
            for secret in secrets {
                let is_data = secret == PAYLOAD && ["the store", "an answer"].contains(&&**place);
                if let Some(at) = text.find(secret.as_str()).filter(|_| !is_data) {
                    let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
                    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
                    panic!("{secret} is shown in {place}: {}", &text[line..end]);
                }
            }
        }
    }
}

/// Redis with a password, NATS with a token, and a program with the secrets of both.
async fn guarded() -> (Redis, Nats, Program) {
    let redis = Redis::start().await;
    let password = format!(">{REDIS}");
    redis.ask::<String>(&["ACL", "SETUSER", "ops", "on", &password, "~*", "&*", "+@all"]).await;
    let nats = Nats::told(&format!("authorization {{ token: \"{NATS}\" }}\n")).await;
    let program = Program::over(&format!("{}?user=ops&pass={REDIS}", redis.url()))
        .with("NATS_URL", &nats.url().replace("://", &format!("://{NATS}@")))
        .with("ORCHESTRATOR_JWT_SECRET", JWT_SECRET)
        .with("RUST_LOG", "trace");
    (redis, nats, program)
}

/// Calls with every kind of credential, good and bad.
async fn call_with_credentials(url: &str, shown: &mut Shown, [good, forged, cookie]: &[&str; 3]) {
    for (name, value) in [
        ("x-api-key", key_of("crew")),
        ("x-api-key", FOREIGN.to_owned()),
        ("authorization", format!("Bearer {good}")),
        ("authorization", format!("Bearer {forged}")),
        ("authorization", format!("Bearer {FOREIGN}")),
        ("authorization", format!("Basic {FOREIGN}")),
        ("cookie", (*cookie).to_owned()),
        ("cookie", format!("orchestrator_session={forged}")),
    ] {
        for path in ["/tasks", "/session", "/metrics", "/nothing"] {
            let request = connections().get(format!("{url}{path}")).header(name, &value);
            shown.add("an answer", request.send().await.unwrap().text().await.unwrap());
        }
    }
}

/// Calls with a secret where none belongs: in the query, in a member, in what is no JSON.
async fn call_with_misplaced_secrets(url: &str, shown: &mut Shown) {
    let http = connections();
    for path in ["/tasks", "/events", "/health"] {
        let request = http.get(format!("{url}{path}?token={FOREIGN}&x-api-key={FOREIGN}"));
        let answer = request.header("x-api-key", key_of("crew")).send().await.unwrap();
        shown.add("an answer", answer.text().await.unwrap());
    }
    for body in [
        format!(r#"{{"type": "faq", "payload": {{}}, "api_key": "{FOREIGN}"}}"#),
        format!(r#"{{"key": "{FOREIGN}""#),
    ] {
        let request = http.post(format!("{url}/tasks")).header("x-api-key", key_of("crew"));
        let request = request.header("content-type", "application/json").body(body);
        shown.add("an answer", request.send().await.unwrap().text().await.unwrap());
    }
}

#[tokio::test]
async fn no_secret_is_shown_by_any_process_or_answer() {
    let (redis, mut nats, program) = guarded().await;
    let mut shown = Shown::default();
    let bridge = program.start(&["bridge"]);
    bridge.says("the bridge runs").await;
    let mut deployment = Deployment::of(redis, program.clone());
    let url = deployment.gateway.url().await;
    let claims = json!({"sub": "alice", "role": "user", "exp": 4_000_000_000u64});
    let (good, forged) = (token(JWT_SECRET, &claims), token(FOREIGN, &claims));

    let crew = deployment.client("crew").await;
    let work = json!({"type": "faq", "payload": {"text": PAYLOAD}, "metadata": {"note": PAYLOAD}});
    let task = crew.post("/tasks", &work).await.accepted(201);
    let held = crew.work().await;
    assert_eq!(held, [id_of(&task)]);
    let deploy = json!({"type": "deploy", "payload": {"environment": "production"}});
    let blocked = crew.post("/tasks", &deploy).await.accepted(201);
    let judge = deployment.client("judge").await;
    let path = format!("/approvals/{}/approve", approval_of(&blocked));
    shown.add("an answer", judge.post(&path, &json!({})).await.body);
    let session = crew.post("/session", &json!({})).await;
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let cookie_value = cookie.split('=').nth(1).unwrap().to_owned();
    call_with_credentials(&url, &mut shown, &[&good, &forged, &cookie]).await;
    call_with_misplaced_secrets(&url, &mut shown).await;
    shown.add("the metrics", crew.get("/metrics").await.body);
    let root = deployment.client("root").await;
    for path in ["/admin/audit", "/admin/rules", "/stats", "/events", "/agents", "/openapi.json"] {
        shown.add("an answer", root.get(path).await.body);
    }
    shown.add("the store", format!("{:?}", deployment.redis.dump().await));
    for process in [&deployment.gateway, &bridge] {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap();
        shown.add("the arguments", String::from_utf8_lossy(&arguments));
    }
    shown.add("the settings", program.run(&["settings"]).await.1);

    // What they say of servers that are gone.
    nats.kill();
    deployment.redis.kill();
    eventually("the gateway is not ready", async || {
        let answer = crew.get("/health/ready").await;
        if answer.status == 503 { Ok(()) } else { Err(answer) }
    })
    .await;
    shown.add("an answer", crew.post("/tasks", &new_body("faq")).await.body);
    shown.add("an answer", crew.get("/health").await.body);
    shown.add("the log of the gateway", deployment.gateway.log());
    shown.add("the log of the worker", deployment.worker().log());
    shown.add("the log of the bridge", bridge.log());

    let keys = ["crew", "judge", "root"].map(key_of);
    let planted = [REDIS, NATS, FOREIGN, PAYLOAD, JWT_SECRET].map(str::to_owned);
    let secrets = [&planted[..], &keys, &[good, forged, cookie_value]].concat();
    shown.has_none_of(&secrets);
    deployment.stop().await;
    bridge.stop().await;
}

#[tokio::test]
async fn no_secret_is_shown_by_a_process_that_cannot_start() {
    let (redis, nats, program) = guarded().await;
    let mut shown = Shown::default();
    let wrong = |name: &str, text: String| program.clone().with(name, &text);
    let host = |scheme: &str, rest: &str| format!("{scheme}://ops:{FOREIGN}@{rest}");

    for (command, program) in [
        ("doctor", wrong("REDIS_URL", format!("{}?user=ops&pass={FOREIGN}", redis.url()))),
        ("doctor", wrong("REDIS_URL", host("redis", "127.0.0.1:1"))),
        ("doctor", wrong("REDIS_URL", host("rediss", "127.0.0.1:1"))),
        ("doctor", wrong("REDIS_URL", host("redis", "127.0.0.1:1/x"))),
        ("doctor", wrong("REDIS_URL", format!("ops:{FOREIGN}@127.0.0.1"))),
        ("doctor", wrong("REDIS_URL", host("redis-sentinel", "127.0.0.1:1#m"))),
        ("doctor", wrong("REDIS_URL", host("http", "127.0.0.1:1"))),
        ("settings", wrong("REDIS_URL", host("redis", "127.0.0.1:1"))),
        ("settings", wrong("NATS_URL", format!("nats://{FOREIGN}@127.0.0.1:1"))),
        ("settings", wrong("NATS_URL", format!("{FOREIGN}@127.0.0.1:1"))),
        ("settings", wrong("ORCHESTRATOR__NATS__PASSWORD", FOREIGN.to_owned())),
        ("settings", wrong("ORCHESTRATOR__NATS__NKEY_SEED", FOREIGN.to_owned())),
        ("settings", wrong("ORCHESTRATOR__NATS__TOKN", FOREIGN.to_owned())),
        ("settings", wrong("ORCHESTRATOR_API_KEY_OPS", FOREIGN.to_owned())),
        ("gateway", wrong("ORCHESTRATOR_API_KEY_OPS", format!("{FOREIGN}:boss"))),
        ("gateway", wrong("ORCHESTRATOR_JWT_SECRET", FOREIGN[..20].to_owned())),
    ] {
        let (_, output, log) = program.run(&[command]).await;
        assert!(!output.is_empty() || !log.is_empty(), "{command} says nothing");
        shown.add(command, output + &log);
    }
    let lost = wrong("NATS_URL", nats.url().replace("://", &format!("://{FOREIGN}@")));
    let bridge = lost.start(&["bridge"]);
    bridge.says("uthorization").await;
    shown.add("the log of a bridge that is kept out", bridge.log());
    bridge.stop().await;

    let secrets = [REDIS, NATS, &FOREIGN[..20], JWT_SECRET].map(str::to_owned);
    shown.has_none_of(&secrets);
}

#[tokio::test]
async fn no_secret_is_shown_by_commands_of_users() {
    let shell = Program::new().with("ORCHESTRATOR_API_KEY", &key_of("crew"));
    let mut shown = Shown::default();
    let home = tempfile::tempdir().unwrap();
    let shell = shell.with("HOME", home.path().to_str().unwrap());

    for url in [
        format!("http://ops:{FOREIGN}@127.0.0.1:1"),
        format!("http://{FOREIGN}@127.0.0.1:1"),
        format!("http://127.0.0.1:1/?key={FOREIGN}"),
        format!("ftp://{FOREIGN}"),
        FOREIGN.to_owned(),
    ] {
        for arguments in [
            &["stats", "--url", &url][..],
            &["stats", "-o", "json", "--url", &url],
            &["context", "add", "one", "--url", &url],
            &["agent", "run", "--agent", "a", "--url", &url, "--", "cat"],
        ] {
            let (code, output, log) = shell.run(arguments).await;
            assert!(code != 0 && !log.is_empty(), "{arguments:?}: {code}");
            shown.add(&format!("{arguments:?}").replace(FOREIGN, "…"), output + &log);
        }
        let from_environment = shell.clone().with("ORCHESTRATOR_URL", &url);
        for arguments in [&["stats"][..], &["stats", "--help"], &["agent", "run", "--help"]] {
            let (_, output, log) = from_environment.run(arguments).await;
            shown.add(&format!("{arguments:?}"), output + &log);
        }
    }
    let (code, _, log) = shell.run(&["stats", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(code, 3, "{log}");
    shown.add("a gateway that is away", log);

    shown.has_none_of(&[FOREIGN.to_owned(), key_of("crew")]);
}
