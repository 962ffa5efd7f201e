//! Decisions at a terminal: each is bound to what the terminal showed.

use serde_json::{Value, json};

use crate::harness::{Deployment, Program, approval_of};

/// A gateway, and an approver at a shell.
async fn place() -> (Deployment, Program) {
    let deployment = Deployment::start_gateway().await;
    let judge = deployment.gateway.shell("judge").await;
    (deployment, judge)
}

/// Submits a deployment of this service; returns its approval.
async fn deploy(deployment: &Deployment, service: &str) -> String {
    let body = json!({"type": "deploy", "payload": {"service": service}});
    approval_of(&deployment.client("crew").await.post("/tasks", &body).await.accepted(201))
}

async fn shown(deployment: &Deployment, id: &str) -> Value {
    deployment.client("reader").await.get(&format!("/approvals/{id}")).await.json()
}

#[tokio::test]
async fn review_decides_on_each_approval_as_it_was_shown() {
    let (deployment, judge) = place().await;
    let mut ids = Vec::new();
    for service in ["one", "two", "three", "four"] {
        ids.push(deploy(&deployment, service).await);
    }
    let home = tempfile::tempdir().unwrap();
    let editor = home.path().join("edit.sh");
    std::fs::write(&editor, "sed -i s/three/3/ \"$1\"\n").unwrap();
    let judge = judge.with("EDITOR", &format!("sh {}", editor.display()));

    let mut terminal = judge.at_a_terminal(&["approvals", "review"]);
    terminal.shows("\"service\": \"one\"", 1).await;
    for (nth, answers) in
        [&["?", "y"][..], &["n", "not today"], &["e", "y"], &["s"]].iter().enumerate()
    {
        terminal.shows(&format!("{} of 4", nth + 1), 1).await;
        for answer in *answers {
            terminal.types(answer);
        }
    }
    let (code, text) = terminal.ended().await;

    assert_eq!(code, 0, "{text}");
    let mut found = Vec::new();
    for id in &ids {
        let approval = shown(&deployment, id).await;
        let payload = &approval["task"]["payload"]["service"];
        found.push((approval["status"].clone(), payload.clone(), approval["decided_by"].clone()));
    }
    let judge = json!("key:judge");
    let expected = [
        (json!("approved"), json!("one"), judge.clone()),
        (json!("rejected"), json!("two"), judge.clone()),
        (json!("approved"), json!("3"), judge),
        (json!("pending"), json!("four"), Value::Null),
    ];
    assert_eq!(found, expected, "{text}");
    deployment.finish().await;
}

#[tokio::test]
async fn approval_at_a_terminal_asks_and_is_refused_after_a_change() {
    let (deployment, judge) = place().await;
    let id = deploy(&deployment, "one").await;
    let arguments = ["approvals", "approve", &id];

    let mut terminal = judge.at_a_terminal(&arguments);
    terminal.shows("approve exactly this? [y/N] ", 1).await;
    terminal.types("");
    assert_eq!(terminal.ended().await.0, 0);
    assert_eq!(shown(&deployment, &id).await["status"], "pending");

    let mut terminal = judge.at_a_terminal(&arguments);
    terminal.shows("approve exactly this? [y/N] ", 1).await;
    // Another approver decides on another payload meanwhile.
    let body = json!({"payload": {"service": "two"}});
    let path = format!("/approvals/{id}/approve");
    deployment.client("second_judge").await.post(&path, &body).await.accepted(200);
    terminal.types("y");
    let (code, text) = terminal.ended().await;
    assert!(code == 1 && text.contains("409"), "{text}");

    let (code, _, log) = judge.run(&["approvals", "review"]).await;
    assert!(code == 2 && log.contains("terminal"), "{log}");
    deployment.finish().await;
}
