//! Strangers with sockets, against a gateway that is a process with few descriptors.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{
    Deployment, Process, Program, Redis, eventually, head, id_of, json_of, new_body, within,
};

/// So many connections on which these bytes were sent.
async fn strangers(process: &Process, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let url = process.url().await;
    let address = url.strip_prefix("http://").unwrap();
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A stranger that the gateway evicts at once may be gone already.
        let _ = stream.write_all(bytes).await;
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn half_open_connections_beyond_the_descriptors_keep_no_client_out() {
    let redis = Redis::start().await;
    let mut gateway = Program::over(redis.url()).start_gateway_with(256);
    let crew = gateway.client("crew").await;

    let begun = [&b""[..], b"G", b"POST /tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"];
    let mut all = Vec::new();
    for bytes in begun {
        all.extend(strangers(&gateway, 300, bytes).await);
        for _ in 0..5 {
            // Each on a connection of its own.
            let fresh = gateway.fresh_client("crew").await;
            fresh.get("/health/ready").await.accepted(200);
            fresh.post("/tasks", &new_body("faq")).await.accepted(201);
        }
        crew.get("/health").await.accepted(200);
    }

    gateway.stops_within(Duration::from_secs(10)).await;
    drop(all);
}

#[tokio::test]
async fn stop_does_not_wait_for_unread_answers_or_half_sent_requests() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url()).with("ORCHESTRATOR__HTTP__GRACE_MS", "1000");
    let mut gateway = program.start_gateway_with(256);
    let docs = strangers(&gateway, 50, b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let heads = strangers(&gateway, 50, b"GET /do").await;

    gateway.stops_within(Duration::from_secs(8)).await;
    drop((docs, heads));
}

#[tokio::test]
async fn five_hundred_unread_pages_and_sixty_partial_bodies_cost_little_memory() {
    let deployment = Deployment::start_gateway().await;
    let gateway = &deployment.gateway;
    let crew = gateway.client("crew").await;
    crew.get("/docs").await;
    let before = gateway.resident_kb();

    // More than fits on the way.
    let calls = b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    let docs = strangers(gateway, 500, &calls).await;
    have_come(gateway, 500.0).await;
    let unread = gateway.resident_kb() - before;
    assert!(unread < 64 * 1024, "500 unread pages cost {unread} kB");
    drop(docs);

    let head = head("POST /tasks", "crew", &json_of(10_485_760));
    let short = [head.as_bytes(), &vec![b' '; 10_485_759]].concat();
    let mut senders = tokio::task::JoinSet::new();
    let url = gateway.url().await;
    let address = url.strip_prefix("http://").unwrap().to_owned();
    for _ in 0..60 {
        let (address, short) = (address.clone(), short.clone());
        senders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&short).await;
            stream
        });
    }
    let streams = senders.join_all().await;
    let held = gateway.resident_kb() - before;
    assert!(held < 192 * 1024, "60 bodies short of their end cost {held} kB");
    crew.get("/health/ready").await.accepted(200);
    drop(streams);
    deployment.finish().await;
}

#[tokio::test]
async fn large_tasks_that_are_asked_for_and_not_read_cost_little_memory() {
    let deployment = Deployment::start_gateway().await;
    let gateway = &deployment.gateway;
    let crew = gateway.client("crew").await;
    let body = json!({"type": "faq", "payload": {"x": "y".repeat(1_000_000)}});
    let id = id_of(&crew.post("/tasks", &body).await.accepted(201));
    let before = gateway.resident_kb();

    let call = head(&format!("GET /tasks/{id}"), "crew", "");
    let unread = strangers(gateway, 500, call.as_bytes()).await;
    for stream in &unread {
        // Its answer has begun, or it made room.
        let _ = within("an answer begins", stream.peek(&mut [0])).await;
    }

    let most = gateway.peak_kb() - before;
    assert!(most < 128 * 1024, "500 large tasks cost {most} kB");
    crew.get("/health/ready").await.accepted(200);
    drop(unread);
    deployment.finish().await;
}

/// Waits until at least so many clients that do not read have come, and stayed or made room.
async fn have_come(gateway: &Process, least: f64) {
    let crew = gateway.client("crew").await;
    let names = [
        "orchestrator_http_connections",
        "orchestrator_http_refused_total{cause=\"answer_bytes\"}",
    ];
    eventually("all have come", async || {
        let metrics = crew.get("/metrics").await.metrics();
        let count: f64 = names.iter().map(|name| metrics[*name]).sum();
        if count >= least { Ok(()) } else { Err(count) }
    })
    .await;
}
