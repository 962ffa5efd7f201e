//! Strangers with sockets, against a gateway that is a process with few descriptors.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Process, Program, Redis, eventually, key_of, within};

/// A gateway that may have so many descriptors.
fn gateway(program: &Program, descriptors: u32) -> Process {
    let gateway = env!("CARGO_BIN_EXE_orchestrator");
    let script = format!("ulimit -n {descriptors}; exec {gateway} gateway");
    program.start_other(Path::new("/bin/sh"), &["-c", &script])
}

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
    let redis = Redis::start(false, &[]).await;
    let mut gateway = gateway(&Program::over(redis.url()), 256);
    let crew = gateway.client("crew").await;

    let begun = [&b""[..], b"G", b"POST /tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"];
    let mut all = Vec::new();
    for bytes in begun {
        all.extend(strangers(&gateway, 300, bytes).await);
        for _ in 0..5 {
            // Each on a connection of its own.
            let fresh = gateway.fresh_client("crew").await;
            fresh.get("/health/ready").await.accepted(200);
            fresh.post("/tasks", &json!({"type": "faq", "payload": {}})).await.accepted(201);
        }
        crew.get("/health").await.accepted(200);
    }

    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await, 0, "{}", gateway.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(all);
}

#[tokio::test]
async fn stop_does_not_wait_for_unread_answers_or_half_sent_requests() {
    let redis = Redis::start(false, &[]).await;
    let program = Program::over(redis.url()).with("ORCHESTRATOR__HTTP__GRACE_MS", "1000");
    let mut gateway = gateway(&program, 256);
    let docs = strangers(&gateway, 50, b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let heads = strangers(&gateway, 50, b"GET /do").await;

    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await, 0, "{}", gateway.log());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop((docs, heads));
}

#[tokio::test]
async fn five_hundred_unread_pages_and_sixty_partial_bodies_cost_little_memory() {
    let redis = Redis::start(false, &[]).await;
    let gateway = Program::over(redis.url()).start(&["gateway"]);
    let crew = gateway.client("crew").await;
    crew.get("/docs").await;
    let before = gateway.resident_kb();

    // More than fits on the way.
    let calls = b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    let docs = strangers(&gateway, 500, &calls).await;
    have_come(&gateway, 500).await;
    let unread = gateway.resident_kb() - before;
    assert!(unread < 64 * 1024, "500 unread pages cost {unread} kB");
    drop(docs);

    let head = format!(
        "POST /tasks HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: 10485760\r\n\r\n",
        key_of("crew")
    );
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
    gateway.stop().await;
}

#[tokio::test]
async fn large_tasks_that_are_asked_for_and_not_read_cost_little_memory() {
    let redis = Redis::start(false, &[]).await;
    let gateway = Program::over(redis.url()).start(&["gateway"]);
    let crew = gateway.client("crew").await;
    let body = json!({"type": "faq", "payload": {"x": "y".repeat(1_000_000)}});
    let task = crew.post("/tasks", &body).await.accepted(201)["task_id"].clone();
    let before = gateway.resident_kb();

    let line = format!("GET /tasks/{}", task.as_str().unwrap());
    let call = format!("{line} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n", key_of("crew"));
    let unread = strangers(&gateway, 500, call.as_bytes()).await;
    for stream in &unread {
        // Its answer has begun, or it made room.
        let _ = within("an answer begins", stream.peek(&mut [0])).await;
    }

    let most = gateway.peak_kb() - before;
    assert!(most < 128 * 1024, "500 large tasks cost {most} kB");
    crew.get("/health/ready").await.accepted(200);
    drop(unread);
    gateway.stop().await;
}

/// Waits until at least so many clients that do not read have come, and stayed or made room.
async fn have_come(gateway: &Process, least: u64) {
    let crew = gateway.client("crew").await;
    let names = [
        "orchestrator_http_connections ",
        "orchestrator_http_refused_total{cause=\"answer_bytes\"} ",
    ];
    eventually("all have come", async || {
        let metrics = crew.get("/metrics").await.body;
        let value = |name| metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let count: u64 = names.map(|name| value(name).parse::<u64>().unwrap()).iter().sum();
        if count >= least { Ok(()) } else { Err(count) }
    })
    .await;
}
