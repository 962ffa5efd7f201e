//! Connections: none waits for ever or for free, and a stranger's never keep others out.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Answer, Fleet, Site, eventually, head, json_of, late, new_body, within};

/// A gateway with short deadlines.
async fn hasty() -> Site {
    Site::told(Fleet::start().await, |http| {
        (http.header_timeout_ms, http.body_timeout_ms, http.write_timeout_ms) = (300, 600, 300);
        http.min_bytes_per_second = 0;
    })
    .await
}

/// What comes back until the end of the connection.
async fn rest_of(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = within("the end of the connection", stream.read_to_end(&mut answer)).await;
    answer
}

/// A connection on which this was sent.
async fn sent(site: &Site, bytes: &str) -> TcpStream {
    let mut stream = site.connect().await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

/// A connection on which the client asks for more than fits on the way, and reads nothing.
async fn unread(site: &Site) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(site.address()).await.unwrap();
    let calls = "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    stream.write_all(calls.as_bytes()).await.unwrap();
    stream
}

/// Waits until that was the cause of so many refusals or cuts.
async fn refused(site: &Site, cause: &str, least: u32) {
    let sample = format!("orchestrator_http_refused_total{{cause=\"{cause}\"}}");
    site.shows(&sample, |count| count >= f64::from(least)).await;
}

/// Waits until no more than so many connections are open.
async fn open_connections(site: &Site, most: u32) {
    site.shows("orchestrator_http_connections", |count| count <= f64::from(most)).await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_gets_408() {
    let site = hasty().await;

    for begun in ["G", "GET /stats HTTP/1.1\r\nhost: x\r\n", "\r\nPOST /tasks HTTP/1.1\r\n"] {
        let answer = rest_of(sent(&site, begun).await).await;
        Answer::parse(&answer).refused(408, "request-timeout");
    }
    // A client that sends nothing gets no answer.
    assert_eq!(rest_of(site.connect().await).await, b"");
    refused(&site, "header_timeout", 4).await;
    site.finish().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_no_better() {
    let site = hasty().await;
    let mut stream = site.connect().await;
    let (mut reads, mut writes) = stream.split();
    let mut answer = Vec::new();

    let drip = async {
        for byte in format!("GET /stats HTTP/1.1\r\nx: {}", "a".repeat(10_000)).bytes() {
            if writes.write_all(&[byte]).await.is_err() {
                break;
            }
            late(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = drip => panic!("it was never ended"),
        read = reads.read_to_end(&mut answer) => drop(read),
    }

    Answer::parse(&answer).refused(408, "request-timeout");
    site.finish().await;
}

#[tokio::test]
async fn a_second_request_has_the_same_deadline_and_an_unused_connection_its_own() {
    let site = hasty().await;
    let mut stream = sent(&site, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = vec![0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first, b"HTTP/1.1 200");
    stream.write_all(b"GET /hea").await.unwrap();
    let answer = String::from_utf8(rest_of(stream).await).unwrap();
    let (_, second) = answer.split_once("HTTP/1.1 408").unwrap();
    assert!(second.contains("request-timeout"), "{answer}");

    let idle = Site::told(Fleet::start().await, |http| http.idle_timeout_ms = 300).await;
    let answer = rest_of(sent(&idle, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
    Answer::parse(&answer).accepted(200);
    idle.finish().await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_gets_408_and_stores_nothing() {
    let site = hasty().await;

    let late = async {
        let bytes = head("POST /tasks", "crew", &json_of(1_000)) + "{";
        Answer::parse(&rest_of(sent(&site, &bytes).await).await).refused(408, "request-timeout");
        let chunked = head("POST /tasks", "crew", &json_of(0))
            .replace("content-length: 0", "transfer-encoding: chunked")
            + "1\r\n{\r\n";
        Answer::parse(&rest_of(sent(&site, &chunked).await).await).refused(408, "request-timeout");
    };
    site.unchanged(late).await;
    refused(&site, "body_timeout", 2).await;
    site.finish().await;
}

#[tokio::test]
async fn a_body_below_the_least_rate_gets_408_long_before_its_deadline() {
    let site = Site::told(Fleet::start().await, |http| {
        (http.header_timeout_ms, http.min_bytes_per_second) = (300, 100_000);
    })
    .await;

    let bytes = head("POST /tasks", "crew", &json_of(100_000)) + "{";
    Answer::parse(&rest_of(sent(&site, &bytes).await).await).refused(408, "request-timeout");

    site.finish().await;
}

#[tokio::test]
async fn clients_that_do_not_read_their_answers_are_cut() {
    let site = Site::told(Fleet::start().await, |http| http.write_timeout_ms = 300).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(unread(&site).await);
    }

    refused(&site, "write_timeout", 20).await;
    open_connections(&site, 2).await;

    drop(clients);
    site.finish().await;
}

#[tokio::test]
async fn unread_answers_make_room_for_newer_ones() {
    let site = Site::told(Fleet::start().await, |http| {
        (http.max_inflight_bytes, http.max_body_bytes) = (10_000_000, 1_000_000);
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(unread(&site).await);
    }

    refused(&site, "answer_bytes", 20).await;
    // A client that reads is not cut.
    let page = site.anonymous(Method::GET, "/docs").send().await;
    assert!(page.body.ends_with("</html>") || page.body.contains("swagger"), "{}", page.status);

    drop(clients);
    site.finish().await;
}

#[tokio::test]
async fn http2_is_refused_in_words_that_http1_tools_can_show() {
    let site = Site::open().await;

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    site.raw(&preface).await.refused(505, "http-version");
    let upgrade = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    site.raw(upgrade.as_bytes()).await.accepted(200);

    refused(&site, "not_http", 1).await;
    site.finish().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_by_what_is_too_large() {
    let site = Site::told(Fleet::start().await, |http| http.max_header_bytes = 8_192).await;

    let long = format!("GET /stats HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    site.raw(long.as_bytes()).await.refused(431, "head-too-large");
    let many: String = (0..101).map(|nth| format!("x-{nth}: 1\r\n")).collect();
    let many = format!("GET /stats HTTP/1.1\r\n{many}\r\n");
    site.raw(many.as_bytes()).await.refused(431, "head-too-large");
    site.raw(b"GET /stats\r\n\r\n").await.refused(400, "unreadable-request");

    site.finish().await;
}

#[tokio::test]
async fn strangers_connections_are_evicted_for_other_clients() {
    let site = Site::told(Fleet::start().await, |http| http.max_connections = 20).await;
    let mut strangers = Vec::new();
    for nth in 0..60 {
        let begun = ["", "G", "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n"][nth % 3];
        strangers.push(sent(&site, begun).await);
    }

    for _ in 0..30 {
        let mut own = site.connect().await;
        own.write_all(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        Answer::parse(&rest_of(own).await).accepted(200);
    }
    site.submit(&new_body("faq")).await;

    refused(&site, "evicted", 40).await;
    drop(strangers);
    site.finish().await;
}

#[tokio::test]
async fn a_caller_with_many_connections_does_not_take_those_of_others() {
    let site = Site::told(Fleet::start().await, |http| http.max_connections = 20).await;
    let call = |name: &str| head("GET /agents", name, "");
    let mut own = sent(&site, &call("crew")).await;
    let mut begin = [0; 12];
    within("an answer", own.read_exact(&mut begin)).await.unwrap();
    let mut rivals = Vec::new();
    for _ in 0..60 {
        let mut rival = sent(&site, &call("rival")).await;
        within("an answer", rival.read_exact(&mut begin)).await.unwrap();
        rivals.push(rival);
    }

    refused(&site, "evicted", 40).await;
    own.write_all(call("crew").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let answers = String::from_utf8(rest_of(own).await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
    drop(rivals);
    site.finish().await;
}

#[tokio::test]
async fn one_address_keeps_to_its_own_number() {
    let site = Site::told(Fleet::start().await, |http| {
        (http.max_connections, http.max_connections_per_address) = (1_000, 16);
    })
    .await;
    let mut strangers = Vec::new();
    for _ in 0..60 {
        strangers.push(sent(&site, "G").await);
    }

    refused(&site, "evicted", 40).await;
    open_connections(&site, 16).await;
    drop(strangers);
    site.finish().await;
}

#[tokio::test]
async fn full_gateway_answers_health_and_metrics_and_503_to_the_rest() {
    let site = Site::told(Fleet::start().await, |http| http.max_connections = 16).await;
    let mut busy = Vec::new();
    for name in ["crew", "rival", "judge", "reader"].repeat(4) {
        let call = head("GET /events", name, "accept: text/event-stream\r\n");
        busy.push(sent(&site, &call).await);
    }

    // Those 16 are at work: the gateway can evict none of them for a new one.
    let call = "GET /stats HTTP/1.1\r\nhost: x\r\n\r\n";
    eventually("the gateway is full", async || {
        let answer = Answer::parse(&rest_of(sent(&site, call).await).await);
        if answer.status == 503 {
            answer.refused(503, "overloaded");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            return Ok(());
        }
        Err(answer.status)
    })
    .await;
    for path in ["/health", "/health/live", "/health/ready", "/metrics"] {
        let call = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = Answer::parse(&rest_of(sent(&site, &call).await).await);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    // However many strangers come besides.
    let mut strangers = Vec::new();
    for _ in 0..60 {
        strangers.push(sent(&site, "G").await);
    }
    let call = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    Answer::parse(&rest_of(sent(&site, call).await).await).accepted(200);

    drop((busy, strangers));
    site.finish().await;
}
