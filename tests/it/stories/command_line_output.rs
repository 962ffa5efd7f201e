//! The forms in which commands print answers and errors.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Deployment, Program, id_of, key, new_body};

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
async fn figures_are_drawn_as_often_as_asked() {
    let deployment = Deployment::start_gateway().await;
    let crew = deployment.client("crew").await;
    crew.post("/tasks", &new_body("faq")).await.accepted(201);
    let shell = deployment.gateway.shell("crew").await;

    let (code, output, log) = shell.run(&["top", "--every", "1", "--times", "2"]).await;
    assert_eq!((code, output.matches("tasks      pending 1\n").count()), (0, 2), "{output}{log}");
    assert_eq!(output.matches("a minute   completed 0  failed 0").count(), 1, "{output}");
    let watch = ["stats", "--watch", "--every", "1", "--times", "2", "-o", "jsonl"];
    let (code, output, log) = shell.run(&watch).await;
    let lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len(), &lines[1]["by_status"]["pending"]), (0, 2, &1.into()), "{log}");
    let (code, output, _) = shell.run(&["whoami", "-o", "json"]).await;
    let caller: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (code, &caller["caller"], &caller["role"]),
        (0, &"key:crew".into(), &"agent".into())
    );
    deployment.finish().await;
}

#[tokio::test]
async fn settings_and_findings_are_printed_for_programs_too() {
    let deployment = Deployment::start_gateway().await;
    let program = &deployment.program;

    let (code, output, log) = program.run(&["settings", "-o", "json"]).await;
    let page: Value = serde_json::from_str(&output).unwrap();
    let items = page["items"].as_array().unwrap();
    let of = |key: &str| items.iter().find(|item| item["key"] == key).unwrap();
    assert_eq!((code, &of("http.port")["value"]), (0, &0.into()), "{log}");
    assert_eq!(of("agents.lease_ms")["source"], Value::Null);
    let crew = of("auth.api_keys.crew");
    assert_eq!(crew["value"], "***:agent");
    assert!(crew["source"].as_str().unwrap().contains("ORCHESTRATOR_API_KEY_CREW"), "{crew}");
    let (_, output, _) = program.run(&["settings", "-o", "id"]).await;
    assert!(output.lines().any(|line| line == "store.prefix"), "{output}");

    let (code, output, _) = program.run(&["doctor", "-o", "json"]).await;
    assert_eq!((code, &*output), (0, "{\"items\":[]}\n"));
    deployment.redis.ask::<i64>(&["HINCRBY", &key("open"), "P2", "7"]).await;
    let (code, output, _) = program.run(&["doctor", "-o", "jsonl"]).await;
    let finding: Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    assert_eq!((code, &finding["repair"]), (1, &"not tried".into()), "{output}");
    assert!(!finding["kind"].as_str().unwrap().is_empty(), "{output}");
    deployment.redis.ask::<i64>(&["HDEL", &key("open"), "P2"]).await;
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
