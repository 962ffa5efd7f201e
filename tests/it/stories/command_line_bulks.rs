//! Many tasks by one command: counted, confirmed at a terminal, followed to the end.

use serde_json::{Value, json};

use crate::harness::{Deployment, Program, new_body};

/// A deployment with three tasks of type `faq` and one of type `bugfix`, and an admin at a shell.
async fn place() -> (Deployment, Program) {
    let deployment = Deployment::start().await;
    let root = deployment.gateway.shell("root").await;
    let crew = deployment.client("crew").await;
    for kind in ["faq", "faq", "faq", "bugfix"] {
        crew.post("/tasks", &new_body(kind)).await.accepted(201);
    }
    (deployment, root)
}

async fn cancelled(deployment: &Deployment) -> Value {
    deployment.client("reader").await.get("/stats").await.json()["by_status"]["cancelled"].clone()
}

#[tokio::test]
async fn command_on_many_tasks_counts_first_and_reports_what_it_did() {
    let (deployment, root) = place().await;

    let (code, output, log) = root.run(&["tasks", "cancel", "--type", "faq", "--dry-run"]).await;
    assert!(code == 0 && output.contains("dry run\n3 tasks found\nTASK"), "{output}{log}");
    assert_eq!(cancelled(&deployment).await, 0);

    let (code, _, log) = root.run(&["tasks", "cancel", "--type", "faq"]).await;
    assert!(code == 2 && log.contains("--yes"), "{log}");
    for wrong in [&["tasks", "retry"][..], &["tasks", "retry", "--yes"]] {
        let (code, _, log) = root.run(wrong).await;
        assert!(code == 2 && log.contains("--status"), "{log}");
    }
    assert_eq!(cancelled(&deployment).await, 0);

    let arguments = ["tasks", "cancel", "--type", "faq", "--yes", "--reason", "outage"];
    let (code, output, log) = root.run(&arguments).await;
    assert!(code == 0 && output.contains("3 tasks found, 3 changed"), "{output}{log}");
    let (code, output, _) = root.run(&["tasks", "retry", "--all", "--yes", "-o", "json"]).await;
    let bulk: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &bulk["done"], &bulk["status"]), (0, &json!(3), &json!("completed")));

    let id = bulk["bulk_id"].as_str().unwrap();
    let (code, output, _) = root.run(&["bulk", "show", id]).await;
    assert!(code == 0 && output.contains("retry, completed"), "{output}");
    let (code, output, _) = root.run(&["bulk", "abort", id]).await;
    assert!(code == 0 && output.contains("retry, completed"), "{output}");
    let (code, output, log) = root.run(&["tasks", "raise", "--to", "P0", "--all", "--yes"]).await;
    assert!(code == 1 && output.contains("needs-approval: 4"), "{output}{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn command_on_many_tasks_changes_nothing_without_a_yes() {
    let (deployment, root) = place().await;
    let arguments = ["tasks", "cancel", "--type", "faq"];

    let mut terminal = root.at_a_terminal(&arguments);
    terminal.shows("cancel 3 tasks? [y/N] ", 1).await;
    terminal.types("n");
    assert_eq!(terminal.ended().await.0, 1);
    assert_eq!(cancelled(&deployment).await, 0);

    let mut terminal = root.at_a_terminal(&arguments);
    terminal.shows("cancel 3 tasks? [y/N] ", 1).await;
    terminal.types("y");
    terminal.shows("3 tasks found, 3 changed", 1).await;
    let (code, shown) = terminal.ended().await;
    assert!(code == 0 && shown.contains("3 of 3 found"), "{shown}");
    assert_eq!(cancelled(&deployment).await, 3);
    deployment.finish().await;
}
