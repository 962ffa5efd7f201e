//! Budgets of callers: how many of their calls wait, and how many bytes of their bodies are held.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Answer, Call, Fleet, Site, eventually, head, json_of, new_body};

/// A claim that waits for long.
fn claim() -> Value {
    json!({"worker": "w1", "wait_ms": 60_000})
}

/// A gateway at which one caller may have two waits.
async fn narrow() -> Site {
    Site::told(Fleet::start().await, |http| http.max_waits_per_principal = 2).await
}

/// Waits until so many calls wait.
async fn wait_here(site: &Site, wanted: u32) {
    site.shows("orchestrator_http_waits", |waits| waits == f64::from(wanted)).await;
}

/// A stream of events, of the key `crew`.
fn stream(site: &Site) -> Call {
    site.call("crew", Method::GET, "/events").header("accept", "text/event-stream")
}

fn too_many(answer: &Answer) {
    answer.refused(429, "too-many-waits");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test]
async fn wait_limit_of_one_caller_does_not_count_for_other_callers() {
    let site = narrow().await;
    let id = site.submit(&new_body("faq")).await["task_id"].clone();
    let task = format!("/tasks/{}?wait_ms=60000", id.as_str().unwrap());
    let mut waiting = JoinSet::new();
    waiting.spawn(site.call("crew", Method::POST, "/agents/ops_agent/claim").json(&claim()).send());
    waiting.spawn(site.call("crew", Method::GET, &task).send());
    wait_here(&site, 2).await;

    // Every kind of wait counts.
    too_many(&site.post("crew", "/agents/ops_agent/claim", &claim()).await);
    too_many(&site.get("crew", &task).await);
    too_many(&stream(&site).send().await);
    let outcomes = json!({"outcomes": [], "claim": claim()});
    let results = site.post("crew", "/agents/ops_agent/results", &outcomes).await.accepted(200);
    assert_eq!(results["claim_problem"]["type"], "urn:orchestrator:problem:too-many-waits");
    // What does not wait is not counted, and others' waits are their own.
    let now = json!({"worker": "w1"});
    site.post("crew", "/agents/ops_agent/claim", &now).await.accepted(200);
    site.get("crew", &task.replace("60000", "0")).await.accepted(200);
    let short = json!({"worker": "w1", "wait_ms": 50});
    site.post("rival", "/agents/ops_agent/claim", &short).await.accepted(200);

    site.stop();
    waiting.join_all().await;
    site.finish().await;
}

#[tokio::test]
async fn a_place_is_free_as_soon_as_its_client_is_gone() {
    let site = narrow().await;
    let mut waiting = JoinSet::new();
    for _ in 0..2 {
        let call = site.call("crew", Method::POST, "/agents/ops_agent/claim");
        waiting.spawn(call.json(&claim()).try_send());
    }
    wait_here(&site, 2).await;
    too_many(&site.post("crew", "/agents/ops_agent/claim", &claim()).await);

    waiting.shutdown().await;

    wait_here(&site, 0).await;
    let short = json!({"worker": "w1", "wait_ms": 50});
    site.post("crew", "/agents/ops_agent/claim", &short).await.accepted(200);
    site.finish().await;
}

/// The head of a submission by this key, and so many bytes of its body.
async fn begin(site: &Site, name: &str, length: usize, sent: usize) -> TcpStream {
    let mut stream = site.connect().await;
    let head = head("POST /tasks", name, &(json_of(length) + "connection: close\r\n"));
    stream.write_all(head.as_bytes()).await.unwrap();
    // A client that is refused early may find the connection closed.
    let _ = stream.write_all(&vec![b' '; sent]).await;
    stream
}

/// Waits until at least so many bytes of bodies are held.
async fn held(site: &Site, least: f64) {
    site.shows("orchestrator_http_body_bytes", |held| held >= least).await;
}

/// A gateway that holds six hundred thousand bytes of bodies: of a caller two hundred and fifty.
async fn small() -> Site {
    Site::told(Fleet::start().await, |http| {
        (http.max_inflight_bytes, http.max_body_bytes) = (600_000, 250_000);
    })
    .await
}

/// A submission of that many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let body = br#"{"type": "faq", "payload": {}}"#;
    [&body[..], &vec![b' '; bytes - body.len()]].concat()
}

#[tokio::test]
async fn bodies_that_are_held_short_of_their_end_are_limited_by_caller_and_in_all() {
    let site = small().await;
    let own = begin(&site, "crew", 250_000, 249_999).await;
    held(&site, 249_999.0).await;

    let send = |name| site.call(name, Method::POST, "/tasks").body(padded(200_000)).send();
    let answer = send("crew").await;
    answer.refused(429, "too-many-bytes");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    send("rival").await.accepted(201);
    let other = begin(&site, "rival", 250_000, 249_999).await;
    held(&site, 499_998.0).await;
    let answer = send("root").await;
    answer.refused(503, "overloaded");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    // An approver may not submit: the gateway reads nothing of the body.
    send("judge").await.refused(403, "missing-scope");

    drop((own, other));
    eventually("all is given back", async || {
        let answer = send("crew").await;
        if answer.status == 201 { Ok(()) } else { Err(answer) }
    })
    .await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_nothing() {
    let site = small().await;
    let mut announced = Vec::new();
    for _ in 0..60 {
        announced.push(begin(&site, "crew", 250_000, 1).await);
    }

    let send = site.call("crew", Method::POST, "/tasks").body(padded(200_000)).send();
    send.await.accepted(201);

    drop(announced);
    site.finish().await;
}

#[tokio::test]
async fn a_stream_takes_a_place_for_as_long_as_it_is_read() {
    let site = narrow().await;
    let mut first = stream(&site).0.send().await.unwrap();
    let mut second = stream(&site).0.send().await.unwrap();
    assert!(first.chunk().await.unwrap().is_some() && second.chunk().await.unwrap().is_some());

    too_many(&stream(&site).send().await);
    drop(first);

    wait_here(&site, 1).await;
    drop(second);
    site.finish().await;
}
