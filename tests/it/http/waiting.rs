//! Long-polls: they answer when something happens, end with the process, and lose nothing when a client hangs up.

use std::time::{Duration, Instant};

use orchestrator::domain::lifecycle::State;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::{Site, eventually, id_of, new_body, request};

/// Much less than any of these polls would wait, much more than an answer takes.
const SOON: Duration = Duration::from_secs(45);

#[tokio::test]
async fn a_client_that_waits_for_a_task_hears_of_its_end_at_once() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);
    let held = site.fleet.claim_one().await;
    let began = Instant::now();

    let path = format!("/tasks/{id}?wait_ms=60000");
    let (waited, ()) = tokio::join!(site.get("reader", &path), async {
        site.fleet.complete(&held).await.unwrap();
    });

    assert_eq!(waited.accepted(200)["status"], "completed");
    let again = site.get("reader", &format!("/tasks/{id}?wait_ms=60000")).await;
    assert_eq!(again.accepted(200)["status"], "completed");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    site.finish().await;
}

#[tokio::test]
async fn a_wait_that_is_over_is_answered_with_the_task_as_it_is() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);

    for wait_ms in [0, 50] {
        let waited = site.get("reader", &format!("/tasks/{id}?wait_ms={wait_ms}")).await;
        assert_eq!(waited.accepted(200)["status"], "pending");
    }
    let claim = json!({"worker": "w1", "wait_ms": 50});
    let claimed = site.post("crew", "/agents/ops_agent/claim", &claim).await;

    assert_eq!(claimed.accepted(200), json!({"tasks": []}));
    site.finish().await;
}

#[tokio::test]
async fn an_agent_that_waits_is_handed_a_task_as_soon_as_one_is_submitted() {
    let site = Site::open().await;
    site.start_duties();
    let began = Instant::now();
    let claim = json!({"worker": "w1", "wait_ms": 60_000});

    let body = new_body("faq");
    let (claimed, task) =
        tokio::join!(site.post("crew", "/agents/faq_agent/claim", &claim), site.submit(&body));

    assert_eq!(claimed.accepted(200)["tasks"][0]["task"]["task_id"], task["task_id"]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    site.finish().await;
}

#[tokio::test]
async fn waits_end_at_once_when_the_process_stops() {
    let site = Site::open().await;
    let id = id_of(&site.submit(&new_body("faq")).await);
    let began = Instant::now();
    let claim = json!({"worker": "w1", "wait_ms": 60_000});

    let path = format!("/tasks/{id}?wait_ms=60000");
    let (task, claimed, results, ()) = tokio::join!(
        site.get("reader", &path),
        site.post("crew", "/agents/ops_agent/claim", &claim),
        site.call("crew", Method::POST, "/agents/dev_agent/results")
            .json(&json!({"outcomes": [], "claim": claim}))
            .send(),
        async {
            // All three are being answered: each has looked once.
            eventually("two agents wait", async || {
                let agents = site.fleet.engine.agents().await.unwrap();
                let waiting = agents.iter().filter(|agent| agent.session_count > 0).count();
                if waiting == 2 { Ok(()) } else { Err(waiting) }
            })
            .await;
            site.stop();
        }
    );

    assert_eq!(task.accepted(200)["status"], "pending");
    assert_eq!(claimed.accepted(200), json!({"tasks": []}));
    assert_eq!(results.accepted(200)["claimed"], json!({"tasks": []}));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    site.finish().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_claims_leaves_nothing_leased() {
    let site = Site::open().await;
    let claim = r#"{"worker":"w1","max":5,"wait_ms":60000}"#;
    let request = request("POST /agents/faq_agent/claim", "crew", claim);

    // Gone before the answer, at every stage of the call.
    for _ in 0..20 {
        site.fleet.submit_many("faq", 5).await;
        site.fleet.route().await;
        let mut client = site.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        drop(client);
    }
    // Gone while it waits for a task that comes later.
    let mut client = site.connect().await;
    client.write_all(request.replace("faq_agent", "dev_agent").as_bytes()).await.unwrap();
    site.fleet.has_heard_from("dev_agent").await;
    drop(client);
    let late = site.fleet.submit("bugfix").await;
    site.fleet.route().await;

    // Every task claimed for a client that hung up is back.
    site.fleet.agents_have(&[(1, 0), (100, 0), (0, 0)]).await;
    let task = site.fleet.task(late.id).await;
    assert_eq!((task.state, task.lost_count, task.retry_count), (State::Assigned, 0, 0));
    site.finish().await;
}
