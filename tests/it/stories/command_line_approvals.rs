//! `orchestrator approvals` against a real gateway: a human sees exactly what would run, and decides.

use serde_json::{Value, json};

use crate::harness::{Process, Program, Redis, key_of};

/// A gateway, and somebody who may decide.
struct Place {
    _redis: Redis,
    gateway: Process,
    judge: Program,
}

impl Place {
    async fn open() -> Self {
        let redis = Redis::start(false, &[]).await;
        let gateway = Program::over(redis.url()).start(&["gateway"]);
        let judge = Program::new().with("ORCHESTRATOR_URL", &gateway.url().await);
        let judge = judge.with("ORCHESTRATOR_API_KEY", &key_of("judge"));
        Self { _redis: redis, gateway, judge }
    }

    /// Submits a deployment; returns the id of the approval that it waits for.
    async fn deploy(&self, payload: Value) -> String {
        let body = json!({"type": "deploy", "payload": payload});
        let task = self.gateway.client("crew").await.post("/tasks", &body).await.accepted(201);
        task["approval_id"].as_str().unwrap().to_owned()
    }

    async fn status(&self, approval: &str) -> String {
        let answer =
            self.gateway.client("reader").await.get(&format!("/approvals/{approval}")).await;
        answer.json()["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_waits_is_listed_and_shown_exactly_as_it_would_run() {
    let place = Place::open().await;
    let id = place
        .deploy(json!({"service": "web\u{202e}", "command": "\u{1b}[2Jrm -rf /", "n": [1]}))
        .await;

    let (code, output, _) = place.judge.run(&["approvals", "list"]).await;
    assert_eq!((code, output.lines().count()), (0, 2), "{output}");
    assert!(
        output.contains(&id) && output.contains("production change") && output.contains("key:crew"),
        "{output}"
    );

    let (code, output, _) = place.judge.run(&["approvals", "show", &id]).await;
    assert_eq!(code, 0);
    for part in [
        &id,
        "deploy",
        "key:crew",
        r#""service": "web\u{202e}""#,
        r#""command": "\u001b[2Jrm -rf /""#,
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(!output.contains('\u{202e}') && !output.contains('\u{1b}'), "{output:?}");

    let (_, output, _) = place.judge.run(&["approvals", "show", &id, "--json"]).await;
    let answer = place.gateway.client("judge").await.get(&format!("/approvals/{id}")).await;
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap()["rule"], answer.json()["rule"]);
    place.gateway.stop().await;
}

#[tokio::test]
async fn several_are_decided_at_once_and_a_refused_one_does_not_stop_the_others() {
    let place = Place::open().await;
    let (first, second, third) = (
        place.deploy(json!({})).await,
        place.deploy(json!({})).await,
        place.deploy(json!({})).await,
    );

    let (code, output, log) =
        place.judge.run(&["approvals", "reject", &second, "--reason", "not today"]).await;
    assert!(code == 0 && output.contains(&second) && output.contains("rejected"), "{output}{log}");
    let (code, output, log) = place
        .judge
        .run(&["approvals", "approve", &first, &second, &third, "--comment", "go"])
        .await;

    assert_eq!((code, output.lines().count()), (1, 2), "{output}{log}");
    assert!(log.contains(&second) && log.contains("409") && log.contains("key:judge"), "{log}");
    for (id, status) in [(&first, "approved"), (&second, "rejected"), (&third, "approved")] {
        assert_eq!(place.status(id).await, status);
    }
    place.gateway.stop().await;
}

#[tokio::test]
async fn a_payload_that_few_can_read_is_listed_shown_and_decided_on_like_any() {
    let place = Place::open().await;
    let payload =
        format!("{{\"n\": 1e400, \"n\": 2, \"deep\": {}{}}}", "[".repeat(60), "]".repeat(60));
    let body = format!(r#"{{"type": "deploy", "payload": {payload}}}"#);
    let crew = place.gateway.client("crew").await;
    let call =
        crew.call(reqwest::Method::POST, "/tasks").header("content-type", "application/json");
    assert_eq!(call.body(body).send().await.status, 201);

    let (_, output, _) = place.judge.run(&["approvals", "list"]).await;
    let id = output.lines().nth(1).unwrap().split(' ').next().unwrap();
    let (code, output, _) = place.judge.run(&["approvals", "show", id]).await;
    assert!(code == 0 && output.contains("\"n\": 1e400,\n    \"n\": 2,"), "{output}");
    let (code, output, log) =
        place.judge.run(&["approvals", "reject", id, "--reason", "odd"]).await;
    assert!(
        code == 0 && output.contains("rejected") && output.contains("cancelled"),
        "{output}{log}"
    );
    place.gateway.stop().await;
}

#[tokio::test]
async fn the_exit_code_says_whether_it_was_refused_misused_or_unreachable() {
    let place = Place::open().await;
    let id = place.deploy(json!({})).await;

    let reader = place.judge.clone().with("ORCHESTRATOR_API_KEY", &key_of("reader"));
    let (code, output, log) = reader.run(&["approvals", "approve", &id]).await;
    assert!(code == 1 && output.is_empty() && log.contains("403"), "{log}");
    let (code, _, log) = place.judge.run(&["approvals", "show", "1"]).await;
    assert!(code == 2 && log.contains("<ID>"), "{log}");
    let (code, ..) = place.judge.run(&["approvals", "reject", &id]).await;
    assert_eq!(code, 2, "a rejection says why");
    let (code, _, log) =
        place.judge.run(&["approvals", "list", "--url", "http://127.0.0.1:1"]).await;
    assert!(code == 3 && log.contains("unreachable"), "{log}");

    assert_eq!(place.status(&id).await, "pending");
    place.gateway.stop().await;
}
