//! The forms in which commands print answers and errors.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Deployment, Program, id_of, new_body};

#[tokio::test]
async fn list_is_printed_in_the_form_that_is_asked_for() {
    let deployment = Deployment::start_gateway().await;
    let crew = deployment.client("crew").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.insert(0, id_of(&crew.post("/tasks", &new_body("faq")).await.accepted(201)));
    }
    let shell = deployment.gateway.shell("crew").await;
    let list = async |form: &str| shell.run(&["tasks", "list", "-o", form]).await.1;

    assert_eq!(list("id").await, format!("{}\n{}\n", ids[0], ids[1]));
    let lines = list("jsonl").await;
    let items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.iter().map(id_of).collect::<Vec<_>>(), ids);
    let page: Value = serde_json::from_str(&list("json").await).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert!(list("table").await.starts_with("TASK"));
    let (code, _, log) = shell.run(&["stats", "-o", "id"]).await;
    assert!(code == 2 && log.contains("no id"), "{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn errors_are_json_where_the_output_is() {
    let deployment = Deployment::start_gateway().await;
    let shell = deployment.gateway.shell("crew").await;
    let unknown = "01a20558-059e-77b3-a1d4-242afd96db00";

    let (code, output, log) = shell.run(&["tasks", "get", unknown, "-o", "json"]).await;

    let error: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((code, &*output, &error["status"]), (1, "", &Value::from(404)), "{log}");
    assert_eq!(error["type"], "urn:orchestrator:problem:unknown-task");
    assert!(error["error"].as_str().unwrap().contains(unknown), "{log}");
    deployment.finish().await;
}

#[tokio::test]
async fn command_whose_reader_is_gone_ends_quietly() {
    let script =
        format!("({} openapi; echo code $? >&2) | head -c 1", env!("CARGO_BIN_EXE_orchestrator"));

    let mut process = Program::new().start_other(Path::new("/bin/sh"), &["-c", &script]);

    assert_eq!(process.ended().await, 0);
    process.says("code 141").await;
    assert_eq!(process.log(), "code 141\n");
}
