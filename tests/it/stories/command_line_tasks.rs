//! The commands of users on tasks, agents and events, against a real gateway and worker.

use serde_json::{Value, json};

use crate::harness::{Deployment, Program, id_of};

/// A deployment, and an admin at a shell.
struct Place {
    deployment: Deployment,
    root: Program,
    home: tempfile::TempDir,
}

impl Place {
    async fn open() -> Self {
        let deployment = Deployment::start().await;
        let root = deployment.gateway.shell("root").await;
        Self { deployment, root, home: tempfile::tempdir().unwrap() }
    }

    /// What a command prints that is accepted.
    async fn run(&self, arguments: &[&str]) -> String {
        let (code, output, log) = self.root.run(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {output}{log}");
        output
    }

    /// The same, read as JSON.
    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    /// A file with this text; its path.
    fn file(&self, text: &str) -> String {
        let path = self.home.path().join("payload.json");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn submit(&self) -> String {
        id_of(&self.json(&["tasks", "submit", "faq"]).await)
    }
}

#[tokio::test]
async fn a_task_is_handed_in_as_the_file_says_found_again_called_off_and_put_back() {
    let place = Place::open().await;
    let file = place.file(r#"{"n": 12345678901234567890, "n": 1e400, "a": [ ]}"#);

    let shown =
        place.run(&["tasks", "submit", "faq", "--payload", &file, "--priority", "P3"]).await;
    assert!(
        shown.contains("\"n\": 12345678901234567890,\n    \"n\": 1e400,\n    \"a\": []"),
        "{shown}"
    );
    let id = shown.lines().next().unwrap().split_whitespace().nth(1).unwrap();

    let listed = place.run(&["tasks", "list", "--type", "faq", "--priority", "P3"]).await;
    assert!(listed.lines().count() == 2 && listed.contains(id), "{listed}");
    assert!(place.run(&["tasks", "cancel", id, "--reason", "no"]).await.contains("cancelled"));
    assert!(place.run(&["tasks", "get", id]).await.contains("error           no\n"));
    // A worker may be quick.
    let retried = place.run(&["tasks", "retry", id]).await;
    assert!(["pending", "assigned"].iter().any(|status| retried.contains(status)), "{retried}");
    let (code, _, log) = place.root.run(&["tasks", "retry", id]).await;
    assert!(code == 1 && log.contains(id) && log.contains("409"), "{log}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn a_task_is_followed_to_its_end() {
    let place = Place::open().await;
    let id = place.submit().await;
    let agent = place.deployment.client("crew").await;
    let mut watch = place.root.start(&["tasks", "watch", &id]);

    let claim = json!({"worker": "w1", "wait_ms": 20_000});
    let held = agent.post("/agents/faq_agent/claim", &claim).await.accepted(200);
    agent.complete(&held["tasks"][0]).await.accepted(200);

    assert_eq!(watch.ended().await, 0);
    let timeline = place.run(&["tasks", "watch", &id]).await;
    let verbs: Vec<_> =
        timeline.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(verbs, ["submit", "route", "claim", "complete"], "{timeline}");
    let other = place.submit().await;
    place.run(&["tasks", "cancel", &other]).await;
    let (code, ..) = place.root.run(&["tasks", "watch", &other]).await;
    assert_eq!(code, 1, "it was not completed");
    place.deployment.finish().await;
}

#[tokio::test]
async fn agents_are_listed_paused_and_resumed() {
    let place = Place::open().await;

    assert!(
        place
            .run(&["agents", "pause", "faq_agent", "dev_agent"])
            .await
            .contains("faq_agent: paused is true")
    );
    let listed = place.run(&["agents", "list"]).await;
    let paused = listed.lines().filter(|line| line.contains("true")).count();
    assert_eq!((listed.lines().count(), paused), (4, 2), "{listed}");
    place.run(&["agents", "resume", "faq_agent"]).await;

    assert_eq!(place.json(&["stats"]).await["by_agent"]["faq_agent"]["paused"], false);
    let (code, _, log) = place.root.run(&["agents", "pause", "unknown_agent"]).await;
    assert!(code == 1 && log.contains("404"), "{log}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn events_are_published_and_followed() {
    let place = Place::open().await;
    let file = place.file(r#"{"service": "web\u202e"}"#);
    let published = place.json(&["events", "publish", "deploy.started", "--payload", &file]).await;
    let first = published["event_id"].as_str().unwrap();
    place.run(&["events", "publish", "pr.merged"]).await;
    place.run(&["events", "publish", "deploy.succeeded", "--payload", &file]).await;

    let tail = place.root.start(&["events", "tail", "--types", "deploy.*", "--after", first]);

    let line = tail.prints("deploy.succeeded").await;
    assert!(line.contains("service") && !line.contains('\u{202e}'), "{line}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn a_file_that_is_none_or_no_json_is_wrong_usage() {
    let place = Place::open().await;

    for file in [place.file("{"), "/nothing/there".to_owned()] {
        let (code, output, log) =
            place.root.run(&["tasks", "submit", "faq", "--payload", &file]).await;
        assert_eq!((code, &*output), (2, ""), "{log}");
        assert!(log.contains(&file), "{log}");
    }
    place.deployment.finish().await;
}

/// A submission with every member that can be combined with the others.
const EVERY_MEMBER: &str = r#"tasks submit faq --payload {"n":1.00} --metadata {"m":1} --title why
    --priority P3 --source user --sla-target soon --sla-deadline 2036-01-01T00:00:00Z
    --sla-start-deadline 2035-01-01T00:00:00Z --alert-threshold 70 --delay-ms 1
    --trace-id 0af7651916cd43dd8448eb211c80319c --max-retries 7 --timeout-ms 60000
    --idempotency-key k --wait -o json"#;

#[tokio::test]
async fn task_is_submitted_with_every_member_and_waited_for() {
    let place = Place::open().await;
    let agent = place.deployment.client("crew").await;
    let submit: Vec<_> = EVERY_MEMBER.split_whitespace().collect();
    let mut waiting = place.root.start(&submit);

    let claim = json!({"worker": "w1", "wait_ms": 20_000});
    let held = agent.post("/agents/faq_agent/claim", &claim).await.accepted(200);
    agent.complete(&held["tasks"][0]).await.accepted(200);

    assert_eq!(waiting.ended().await, 0);
    let task: Value = serde_json::from_str(&waiting.printed()).unwrap();
    let expected = [
        ("status", json!("completed")),
        ("title", json!("why")),
        ("priority", json!("P3")),
        ("metadata", json!({"m": 1})),
        ("payload", json!({"n": 1.0})),
        ("max_retries", json!(7)),
        ("timeout_ms", json!(60_000)),
        ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
    ];
    for (name, value) in expected {
        assert_eq!(task[name], value, "{name}: {task}");
    }
    assert_eq!(task["sla"]["alert_threshold"], 70, "{task}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn file_of_tasks_is_submitted_once_and_refused_lines_are_named() {
    let place = Place::open().await;
    let line = r#"{"type": "faq", "payload": {"n": 1e400}}"#;
    let lines = format!("{line}\n\n{{\"type\": \"fqa\", \"payload\": {{}}}}\n{line}\n");
    let file = place.file(&lines);
    let submit = ["tasks", "submit", "--file", &file];

    let (code, output, log) = place.root.run(&submit).await;
    assert_eq!((code, &*output), (1, "2 submitted, 0 known already, 1 refused\n"), "{log}");
    assert!(log.contains("line 3: 422") && log.contains("fqa"), "{log}");
    let (_, output, _) = place.root.run(&submit).await;
    assert_eq!(output, "0 submitted, 2 known already, 1 refused\n");
    let (_, output, _) = place.root.run(&[&submit[..], &["-o", "jsonl"]].concat()).await;
    let last: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!((&last["line"], &last["status"]), (&json!(4), &json!(200)), "{output}");
    let (_, shown) = place.root.at_a_terminal(&submit).ended().await;
    assert!(shown.contains("##] 100 % 3 lines, 1 refused"), "{shown}");
    let ids = place.run(&["tasks", "list", "-o", "id"]).await;
    assert_eq!(ids.lines().count(), 2, "{ids}");
    let (code, _, log) = place.root.run(&["tasks", "submit", "--file", &place.file("[]")]).await;
    assert!(code == 2 && log.contains("line 1"), "{log}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn any_call_of_the_api_is_made_and_its_answer_printed() {
    let place = Place::open().await;
    let task = r#"{"type": "faq", "payload": {"n": 1e400}}"#;

    let printed = place.run(&["api", "post", "/tasks", "-d", task]).await;
    assert!(printed.contains(r#""payload":{"n": 1e400}"#), "{printed}");
    let (code, output, _) = place.root.run(&["api", "GET", "/nothing"]).await;
    assert!(code == 1 && output.contains("urn:orchestrator:problem:not-found"), "{output}");
    assert_eq!(place.root.run(&["api", "GET", "nothing"]).await.0, 2);
    let completions = place.run(&["completions", "bash"]).await;
    assert!(completions.contains("--idempotency-key"), "{completions}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn wrong_members_of_a_submission_are_named() {
    let place = Place::open().await;
    let parent = place.submit().await;
    place.run(&["tasks", "cancel", &parent]).await;
    let submit = ["tasks", "submit", "faq"];

    let child = ["--parent", &parent, "--on-parent-cancel", "cancel"];
    let (code, _, log) = place.root.run(&[&submit[..], &child].concat()).await;
    assert!(code == 1 && log.contains("409"), "the parent is final: {log}");
    let (code, _, log) = place.root.run(&[&submit[..], &["--run-at", "soon"]].concat()).await;
    assert!(code == 1 && log.contains("/run_at"), "{log}");
    place.deployment.finish().await;
}
