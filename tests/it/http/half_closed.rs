//! Clients that end their sending after the request: they get their answer; those that are gone get nothing leased.

use orchestrator::domain::lifecycle::State;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{self, Answer, Site, head, new_body, within};

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request of the key `crew`; an empty body is none.
fn request(line: &str, body: &str) -> String {
    if body.is_empty() { head(line, "crew", "") } else { harness::request(line, "crew", body) }
}

/// Sends the request and ends the sending.
async fn half_close(site: &Site, request: &str) -> TcpStream {
    let mut stream = site.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

/// Whether interim answers came, and the answer.
async fn answer(mut stream: TcpStream) -> (bool, Answer) {
    let mut bytes = Vec::new();
    within("the answer", stream.read_to_end(&mut bytes)).await.unwrap();
    let is_interim = bytes.starts_with(INTERIM);
    (is_interim, Answer::parse(bytes.strip_prefix(INTERIM).unwrap_or(&bytes)))
}

#[tokio::test]
async fn a_client_that_ends_its_sending_gets_the_answer_to_each_kind_of_request() {
    let site = Site::without_approvals().await;
    let id = site.submit(&new_body("faq")).await["task_id"].clone();
    let id = id.as_str().unwrap();

    for (line, body, status) in [
        ("GET /health/live".to_owned(), "", 200),
        ("GET /stats".to_owned(), "", 200),
        ("POST /tasks".to_owned(), r#"{"type":"faq","payload":{}}"#, 201),
        ("POST /tasks/batch".to_owned(), r#"{"tasks":[{"type":"faq","payload":{}}]}"#, 200),
        ("POST /events/publish".to_owned(), r#"{"event_type":"pr.merged","payload":{}}"#, 202),
        (format!("GET /tasks/{id}?wait_ms=1"), "", 200),
        (format!("POST /tasks/{id}/cancel"), "", 200),
        ("POST /agents/faq_agent/claim".to_owned(), r#"{"worker":"w1"}"#, 200),
        ("POST /tasks".to_owned(), "{", 400),
        ("GET /nothing".to_owned(), "", 404),
    ] {
        let (is_interim, answer) = answer(half_close(&site, &request(&line, body)).await).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert!(!is_interim, "{line} does not wait");
    }
    let large = half_close(&site, "GET /docs HTTP/1.0\r\n\r\n").await;
    let page = answer(large).await.1;
    assert_eq!(page.body.len().to_string(), page.header("content-length").unwrap());
    site.finish().await;
}

#[tokio::test]
async fn truncated_body_or_head_is_refused_as_unreadable() {
    let site = Site::open().await;

    let cut = request("POST /tasks", r#"{"type":"faq","payload":{}}"#).replace("27", "28");
    let refused = async {
        answer(half_close(&site, &cut).await).await.1.refused(400, "unreadable-request");
        let head = half_close(&site, "POST /tasks HTTP/1.1\r\nhost").await;
        answer(head).await.1.refused(400, "unreadable-request");
    };

    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn a_client_that_ends_its_sending_and_waits_gets_what_it_waits_for() {
    let site = Site::open().await;
    let id = site.submit(&new_body("faq")).await["task_id"].clone();
    let path = format!("GET /tasks/{}?wait_ms=60000", id.as_str().unwrap());
    let held = site.fleet.claim_one().await;
    let claim = request("POST /agents/dev_agent/claim", r#"{"worker":"w1","wait_ms":60000}"#);
    let mut claimer = half_close(&site, &claim).await;
    let mut watcher = half_close(&site, &request(&path, "")).await;
    site.fleet.has_heard_from("dev_agent").await;
    // It was seen that both are there.
    for stream in [&mut claimer, &mut watcher] {
        let mut interim = vec![0; INTERIM.len()];
        let read = stream.read_exact(&mut interim);
        within("an interim answer", read).await.unwrap();
        assert_eq!(interim, INTERIM);
    }

    let late = site.fleet.submit("bugfix").await;
    site.fleet.route().await;
    site.fleet.complete(&held).await.unwrap();

    let claimed = answer(claimer).await.1.accepted(200);
    assert_eq!(claimed["tasks"][0]["task"]["task_id"], late.id.to_string(), "{claimed}");
    assert_eq!(answer(watcher).await.1.accepted(200)["status"], "completed");
    let task = site.fleet.task(late.id).await;
    assert_eq!((task.state, task.attempt), (State::InProgress, 1));
    site.finish().await;
}

#[tokio::test]
async fn clients_that_are_gone_lose_no_task() {
    let site = Site::open().await;
    let claim = |agent: &str| {
        let body = r#"{"worker":"w1","max":5,"wait_ms":60000}"#;
        request(&format!("POST /agents/{agent}/claim"), body)
    };
    let results = request(
        "POST /agents/faq_agent/results",
        r#"{"outcomes":[],"claim":{"worker":"w1","max":5}}"#,
    );

    // Gone as soon as they have asked: some before their claim is looked at, some before its answer is sent.
    let ids = site.fleet.submit_many("faq", 50).await;
    site.fleet.route().await;
    for nth in 0..30 {
        let asked = if nth % 3 == 0 { results.clone() } else { claim("faq_agent") };
        drop(half_close(&site, &asked).await);
    }
    // Gone while they wait.
    for _ in 0..20 {
        drop(half_close(&site, &claim("dev_agent")).await);
    }
    site.shows("orchestrator_http_waits", |waits| waits == 0.0).await;
    let late = site.fleet.submit("bugfix").await;
    site.fleet.route().await;

    // All tasks are back.
    site.fleet.agents_have(&[(1, 0), (50, 0), (0, 0)]).await;
    for id in ids {
        let task = site.fleet.task(id).await;
        let counts = (task.state, task.lost_count, task.retry_count);
        assert_eq!(counts, (State::Assigned, 0, 0));
    }
    let untouched = site.fleet.task(late.id).await;
    assert_eq!((untouched.attempt, untouched.lost_count), (0, 0), "it was leased to the gone");
    site.finish().await;
}

#[tokio::test]
async fn what_was_answered_to_a_client_that_read_it_stays_leased() {
    let site = Site::open().await;
    let id = site.fleet.submit("faq").await.id;
    site.fleet.route().await;

    let claim = request("POST /agents/faq_agent/claim", r#"{"worker":"w1","max":5}"#);
    let claimed: Value = answer(half_close(&site, &claim).await).await.1.accepted(200);

    let held = &claimed["tasks"][0];
    let attempt = json!({"attempt": held["attempt"], "lease": held["lease"]});
    site.post("crew", &format!("/tasks/{id}/heartbeat"), &attempt).await.accepted(200);
    site.post("crew", &format!("/tasks/{id}/complete"), &attempt).await.accepted(200);
    site.finish().await;
}
