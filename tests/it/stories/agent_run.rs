//! `orchestrator agent run`: programs that do tasks, over HTTP against a real gateway and worker.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Process, Program, Redis, eventually, free_port, id_of};

/// A deployment, an agent's shell, and a place for the files of its programs.
struct Place {
    deployment: Deployment,
    shell: Program,
    crew: Client,
    home: tempfile::TempDir,
}

impl Place {
    async fn open() -> Self {
        Self::over(Deployment::start().await).await
    }

    async fn over(deployment: Deployment) -> Self {
        let home = tempfile::tempdir().unwrap();
        let shell = deployment.gateway.shell("crew").await;
        let shell = shell.with("PLACE", home.path().to_str().unwrap());
        let crew = deployment.client("crew").await;
        Self { deployment, shell, crew, home }
    }

    /// An agent that runs this script for each task.
    fn agent(&self, options: &[&str], script: &str) -> Process {
        let program = ["--", "/bin/sh", "-c", script];
        self.shell.start(&[&["agent", "run", "--agent", "faq_agent"], options, &program].concat())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Waits until a script has written this file.
    async fn written(&self, name: &str) -> String {
        eventually(&format!("{name} is written"), async || {
            std::fs::read_to_string(self.file(name)).map_err(|error| error.to_string())
        })
        .await
    }

    async fn submit(&self) -> String {
        let body = json!({"type": "faq", "payload": {"question": "why?"}});
        id_of(&self.crew.post("/tasks", &body).await.accepted(201))
    }

    async fn task(&self, id: &str) -> Value {
        self.crew.get(&format!("/tasks/{id}")).await.accepted(200)
    }

    /// Waits until the task has this status.
    async fn becomes(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} becomes {status}"), async || {
            let task = self.task(id).await;
            if task["status"] == status { Ok(task) } else { Err(task) }
        })
        .await
    }
}

/// Waits until none of these processes runs any more.
async fn all_gone(numbers: &str) {
    eventually(&format!("{numbers} are gone"), async || {
        let lives = |number: &&str| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        let left: Vec<_> = numbers.split_whitespace().filter(lives).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
    })
    .await;
}

/// Begins a child that ignores SIGTERM too, says who both are, and waits.
const STUBBORN: &str = r#"trap '' TERM
    sleep 1000 &
    echo "$$ $!" > "$PLACE/new" && mv "$PLACE/new" "$PLACE/numbers"
    echo '::progress 40 half of it' >&2
    wait"#;

/// Waits for the file `go`, then prints a result.
const PATIENT: &str = r#"touch "$PLACE/began"
    while [ ! -e "$PLACE/go" ]; do sleep 0.02; done
    echo '{"went": true}'"#;

#[tokio::test]
async fn program_completes_a_task_with_the_json_it_prints() {
    let place = Place::open().await;
    let agent = place.agent(
        &[],
        r#"read -r task; echo "thinking about it" >&2
        printf '{"n": 1.00, "task": %s, "id": "%s", "attempt": %s}' \
            "$task" "$ORCHESTRATOR_TASK_ID" "$ORCHESTRATOR_ATTEMPT""#,
    );

    let id = place.submit().await;
    place.becomes(&id, "completed").await;

    let answer = place.crew.get(&format!("/tasks/{id}")).await;
    assert!(answer.body.contains(r#""n": 1.00"#), "{answer:?}");
    assert!(answer.body.contains(r#""question":"why?""#), "{answer:?}");
    assert!(answer.body.contains(&format!(r#""id": "{id}", "attempt": 1"#)), "{answer:?}");
    let line = agent.says("thinking about it").await;
    assert!(line.contains(&id), "{line}");
    agent.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn failing_program_fails_its_task_with_its_last_lines() {
    let place = Place::open().await;
    let agent = place.agent(&[], "echo one >&2; echo two >&2; exit 3");
    let id = place.submit().await;

    let task = place.becomes(&id, "failed").await;

    assert_eq!((&task["error"], &task["attempt"]), (&json!("exit code 3: one\ntwo"), &json!(1)));
    agent.stop().await;

    let agent = place.agent(&["--retry-on", "3,4"], "echo done");
    let id = place.submit().await;
    let task = eventually("a result that is not JSON is refused", async || {
        let task = place.task(&id).await;
        if task["error"].is_null() { Err(task) } else { Ok(task) }
    })
    .await;
    assert!(task["error"].as_str().unwrap().contains("not JSON"), "{task}");
    agent.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn exit_code_75_has_the_task_tried_again() {
    let place = Place::open().await;
    let script = r#"if [ -e "$PLACE/tried" ]; then echo '"done"'; exit; fi
        touch "$PLACE/tried"
        exit 75"#;
    let agent = place.agent(&["--retry-after-ms", "0"], script);
    let id = place.submit().await;

    let task = place.becomes(&id, "completed").await;

    assert_eq!((&task["attempt"], &task["result"]), (&json!(2), &json!("done")));
    agent.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn cancelled_task_stops_the_program_and_its_children() {
    let place = Place::open().await;
    let agent = place.agent(&["--lease-ms", "1000", "--kill-after-ms", "100"], STUBBORN);
    let id = place.submit().await;
    let numbers = place.written("numbers").await;
    eventually("its progress is shown", async || {
        let progress = place.task(&id).await["progress"].take();
        if progress["percent"] == 40.0 { Ok(()) } else { Err(progress) }
    })
    .await;

    place.crew.post(&format!("/tasks/{id}/cancel"), &json!({})).await.accepted(200);

    agent.says("attempt lost").await;
    all_gone(&numbers).await;
    assert_eq!(place.task(&id).await["status"], "cancelled");
    agent.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn outcome_waits_for_a_gateway_that_restarts() {
    let redis = Redis::start().await;
    let port = free_port().to_string();
    let program = Program::over(redis.url()).with("ORCHESTRATOR_PORT", &port);
    let mut place = Place::over(Deployment::of(redis, program)).await;
    let agent = place.agent(&["--lease-ms", "60000"], PATIENT);
    let id = place.submit().await;
    place.written("began").await;

    place.deployment.gateway.kill().await;
    std::fs::write(place.file("go"), "").unwrap();
    agent.says("outcomes wait for the gateway").await;
    place.deployment.gateway = place.deployment.program.start(&["gateway"]);

    place.crew = place.deployment.client("crew").await;
    let task = place.becomes(&id, "completed").await;
    assert_eq!((&task["attempt"], &task["lost_count"]), (&json!(1), &json!(0)), "{task}");
    let other = place.submit().await;
    place.becomes(&other, "completed").await;
    agent.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn stopping_agent_finishes_what_runs() {
    let place = Place::open().await;
    let mut agent = place.agent(&[], PATIENT);
    let id = place.submit().await;
    place.written("began").await;
    let other = place.submit().await;

    agent.signal(Signal::TERM);
    agent.says("stopping").await;
    std::fs::write(place.file("go"), "").unwrap();

    assert_eq!(agent.ended().await, 0, "{}", agent.log());
    let task = place.task(&id).await;
    assert_eq!((&task["status"], &task["result"]["went"]), (&json!("completed"), &json!(true)));
    assert!(
        ["pending", "assigned"].contains(&place.task(&other).await["status"].as_str().unwrap())
    );
    place.deployment.finish().await;
}

#[tokio::test]
async fn task_of_a_program_that_is_late_at_the_stop_is_released() {
    let place = Place::open().await;
    let options = ["--stop-grace-ms", "0", "--kill-after-ms", "100"];
    let mut agent = place.agent(&options, STUBBORN);
    let id = place.submit().await;
    let numbers = place.written("numbers").await;

    agent.stops_within(Duration::from_secs(20)).await;

    all_gone(&numbers).await;
    let task = place.task(&id).await;
    assert_eq!((&task["status"], &task["lost_count"]), (&json!("assigned"), &json!(0)), "{task}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn killed_agent_leaves_no_program_behind() {
    let place = Place::open().await;
    let mut agent = place.agent(&["--lease-ms", "1000"], STUBBORN);
    let id = place.submit().await;
    let numbers = place.written("numbers").await;

    agent.kill().await;

    all_gone(&numbers).await;
    let next = place.agent(&[], "echo true");
    assert_eq!(place.becomes(&id, "completed").await["attempt"], 2);
    next.stop().await;
    place.deployment.finish().await;
}

#[tokio::test]
async fn program_that_cannot_start_ends_the_agent_before_a_claim() {
    let place = Place::open().await;
    let id = place.submit().await;

    let arguments = ["agent", "run", "--agent", "faq_agent", "--", "/nothing/there"];
    let (code, _, log) = place.shell.run(&arguments).await;

    assert!(code == 2 && log.contains("cannot start `/nothing/there`"), "{log}");
    let task = place.task(&id).await;
    assert!(task["status"] != "in_progress" && task["attempt"] == 0, "{task}");
    let (code, _, log) =
        place.shell.run(&["agent", "run", "--agent", "unknown_agent", "--", "true"]).await;
    assert!(code == 1 && log.contains("404"), "{log}");
    place.deployment.finish().await;
}

#[tokio::test]
async fn program_asks_for_an_approval_and_goes_on_after_it() {
    let place = Place::open().await;
    let script = format!(
        r#"{} agent ask --reason "drop the table" --action '{{"table": "users"}}' || exit $?
        echo '"dropped"'"#,
        env!("CARGO_BIN_EXE_orchestrator")
    );
    let agent = place.agent(&[], &script);
    let id = place.submit().await;
    let task = place.becomes(&id, "blocked").await;
    assert_eq!(task["approval"]["reason"], "drop the table");

    let judge = place.deployment.gateway.shell("judge").await;
    let approval = task["approval_id"].as_str().unwrap();
    let (code, output, log) = judge.run(&["approvals", "approve", approval]).await;
    assert_eq!(code, 0, "{output}{log}");

    let task = place.becomes(&id, "completed").await;
    assert_eq!((&task["result"], &task["attempt"]), (&json!("dropped"), &json!(2)), "{task}");
    agent.stop().await;
    place.deployment.finish().await;
}
