//! The agents in `examples/`, as a newcomer runs them.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Client, Deployment, eventually, id_of};

/// The most lines of an example.
const LONGEST: usize = 40;

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    assert!(std::fs::read_to_string(&path).unwrap().lines().count() <= LONGEST, "{name}");
    path.display().to_string()
}

async fn submit(crew: &Client, payload: Value) -> String {
    let body = json!({"type": "faq", "payload": payload, "max_retries": 0});
    id_of(&crew.post("/tasks", &body).await.accepted(201))
}

/// Waits until the task is final.
async fn ended(crew: &Client, id: &str) -> Value {
    eventually(&format!("{id} ends"), async || {
        let task = crew.get(&format!("/tasks/{id}")).await.accepted(200);
        if task["completed_at"].is_null() { Err(task) } else { Ok(task) }
    })
    .await
}

#[tokio::test]
async fn agent_in_shell_completes_fails_and_asks_for_another_try() {
    let deployment = Deployment::start().await;
    let crew = deployment.client("crew").await;
    let program = ["--", "sh", &example("agent.sh")];
    let options = ["agent", "run", "--agent", "faq_agent", "--concurrency", "3"];
    let shell = deployment.gateway.shell("crew").await;
    let agent = shell.start(&[&options[..], &program].concat());

    let done = submit(&crew, json!({"question": "why?"})).await;
    let mistake = submit(&crew, json!({"simulate": "mistake"})).await;
    let outage = submit(&crew, json!({"simulate": "outage"})).await;

    assert_eq!(ended(&crew, &done).await["result"]["attempt"], 1);
    let error = ended(&crew, &mistake).await["error"].take();
    assert!(error.as_str().unwrap().contains("cannot be done"), "{error}");
    let error = ended(&crew, &outage).await["error"].take();
    assert!(error.as_str().unwrap().starts_with("exit code 75"), "{error}");
    agent.stop().await;
    deployment.finish().await;
}

#[tokio::test]
async fn submitter_gets_the_result_that_a_subscriber_sees() {
    let deployment = Deployment::start().await;
    let shell = deployment.gateway.shell("crew").await;
    let python = |arguments: &[&str]| shell.start_other(Path::new("python3"), arguments);
    let subscriber = python(&[&example("follow.py"), "task.*"]);
    let _agent = python(&[&example("agent.py"), "faq_agent"]);

    let mut submitter = python(&[&example("submit.py"), "faq", r#"{"question": "why?"}"#]);

    assert_eq!(submitter.ended().await, 0, "{}", submitter.log());
    let ended: Value = serde_json::from_str(&submitter.printed()).unwrap();
    assert_eq!(ended["result"]["payload"]["question"], "why?", "{ended}");
    // The subscriber hears what comes after its connection: later tasks, if not the first.
    let crew = deployment.client("crew").await;
    eventually("the subscriber prints an event", async || {
        submit(&crew, json!({})).await;
        let printed = subscriber.printed_so_far();
        if printed.contains("task.completed") { Ok(()) } else { Err(printed) }
    })
    .await;
    let mut refused = python(&[&example("submit.py"), "nothing", "{}"]);
    assert_eq!(refused.ended().await, 1);
    assert!(refused.log().contains("type"), "{}", refused.log());
    deployment.finish().await;
}

#[tokio::test]
async fn agent_in_python_completes_its_tasks() {
    let deployment = Deployment::start().await;
    let crew = deployment.client("crew").await;
    let shell = deployment.gateway.shell("crew").await;
    let _agent = shell.start_other(Path::new("python3"), &[&example("agent.py"), "faq_agent"]);

    for question in ["why?", "who?"] {
        let id = submit(&crew, json!({"question": question})).await;
        let task = ended(&crew, &id).await;
        assert_eq!(task["result"]["payload"]["question"], question, "{task}");
    }
    deployment.finish().await;
}
