//! `orchestrator approvals` against a real gateway: a human sees exactly what would run, and decides.

use serde_json::{Value, json};

use crate::harness::{Deployment, Program, Redis, approval_of, key_of, new_body};

/// A gateway, and an approver.
struct Place {
    deployment: Deployment,
    judge: Program,
}

impl Place {
    async fn open() -> Self {
        let deployment = Deployment::start_gateway().await;
        let judge = deployment.gateway.shell("judge").await;
        Self { deployment, judge }
    }

    /// Submits a deployment; returns the id of the approval that it waits for.
    async fn deploy(&self, payload: Value) -> String {
        let body = json!({"type": "deploy", "payload": payload});
        let task = self.deployment.client("crew").await.post("/tasks", &body).await.accepted(201);
        approval_of(&task)
    }

    async fn status(&self, approval: &str) -> String {
        let answer =
            self.deployment.client("reader").await.get(&format!("/approvals/{approval}")).await;
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
    let answer = place.deployment.client("judge").await.get(&format!("/approvals/{id}")).await;
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap()["rule"], answer.json()["rule"]);
    place.deployment.finish().await;
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
    place.deployment.finish().await;
}

#[tokio::test]
async fn a_payload_that_few_can_read_is_listed_shown_and_decided_on_like_any() {
    let place = Place::open().await;
    let payload =
        format!("{{\"n\": 1e400, \"n\": 2, \"deep\": {}{}}}", "[".repeat(60), "]".repeat(60));
    let body = format!(r#"{{"type": "deploy", "payload": {payload}}}"#);
    let crew = place.deployment.client("crew").await;
    let call = crew.call(reqwest::Method::POST, "/tasks").body(body);
    assert_eq!(call.send().await.status, 201);

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
    place.deployment.finish().await;
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
    place.deployment.finish().await;
}

#[tokio::test]
async fn approvals_of_a_removed_group_are_named_at_start_and_retargeted() {
    let redis = Redis::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("with-group.toml");
    let text = r#"
        [approvals]
        rules = [{ name = "all", when = {}, terms = { groups = ["oncall"], on_expiry = "hold" } }]
        [approvals.groups]
        oncall = ["key:judge"]
    "#;
    std::fs::write(&file, text).unwrap();
    let program = Program::over(redis.url());
    let before = program.start(&["gateway", "--config", file.to_str().unwrap()]);
    let crew = before.client("crew").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let body = new_body("faq");
        let task = crew.post("/tasks", &body).await.accepted(201);
        ids.push(approval_of(&task));
    }
    before.stop().await;

    let gateway = program.start(&["gateway"]);

    let line = gateway.says("group `oncall` is not configured").await;
    assert!(line.contains("approvals=2") && ids.iter().all(|id| line.contains(id)), "{line}");
    let root = gateway.shell("root").await;
    let (code, _, log) = root.run(&["approvals", "approve", &ids[0]]).await;
    assert!(code == 1 && log.contains("oncall, which is not configured"), "{log}");
    let retarget = ["approvals", "retarget", &ids[0], &ids[1]];
    for misuse in [&[][..], &["--rule", "x", "--role", "admin"], &["--quorum", "1"]] {
        let (code, ..) = root.run(&[&retarget[..], misuse].concat()).await;
        assert_eq!(code, 2, "{misuse:?}");
    }
    let told = ["--role", "admin", "--role", "approver", "--reason", "oncall is gone"];
    let (code, output, log) = root.run(&[&retarget[..], &told].concat()).await;
    assert!(code == 0 && output.lines().count() == 2, "{output}{log}");
    for id in &ids {
        let (code, _, log) = root.run(&["approvals", "approve", id]).await;
        assert_eq!(code, 0, "{log}");
    }
    let (code, output, _) = root.run(&["audit", "list", "--action", "retarget"]).await;
    assert!(code == 0 && output.matches("key:root").count() == 2, "{output}");
    gateway.stop().await;
}
