//! TLS on the port of the gateway: the same promises as over plain HTTP.

use std::time::Duration;

use reqwest::Method;
use rustls::ALL_VERSIONS;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{
    self, Answer, Fleet, Program, Redis, Site, Tls, eventually, head, key_of, new_body, within,
};

/// A gateway that speaks TLS.
async fn secure() -> (Tls, Site) {
    let tls = Tls::new();
    let site = Site::told(Fleet::start().await, |http| tls.tell(http)).await;
    (tls, site)
}

/// A connection that trusts the gateway.
async fn connect(tls: &Tls, site: &Site) -> TlsStream<TcpStream> {
    tls.connect(site.address(), ALL_VERSIONS, None).await.unwrap()
}

/// Sends the request and ends the sending.
async fn half_close(tls: &Tls, site: &Site, request: &str) -> TlsStream<TcpStream> {
    let mut stream = connect(tls, site).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

/// What comes back until the end of the connection.
async fn rest_of(mut stream: TlsStream<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    within("the end", stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// What the metrics show, from a connection of its own.
async fn shows(tls: &Tls, site: &Site, sample: &str, is_so: impl Fn(f64) -> bool) {
    eventually(sample, async || {
        let metrics = tls.call("crew", site.address(), Method::GET, "/metrics").send().await;
        let value = metrics.metrics().get(sample).copied();
        if value.is_some_and(&is_so) { Ok(()) } else { Err(value) }
    })
    .await;
}

#[tokio::test]
async fn calls_over_tls_are_answered_like_plain_ones() {
    let (tls, site) = secure().await;
    let call = |method, path| tls.call("crew", site.address(), method, path);

    let task = call(Method::POST, "/tasks").json(&new_body("faq")).send().await.accepted(201);
    let path = format!("/tasks/{}", task["task_id"].as_str().unwrap());
    let read = call(Method::GET, &path).send().await;
    assert_eq!(read.accepted(200)["task_id"], task["task_id"]);
    // Far more than fits into the buffers of the socket and of TLS.
    let page = call(Method::GET, "/docs").send().await;
    assert_eq!(page.body.len().to_string(), page.header("content-length").unwrap());
    let large = json!({"type": "faq", "payload": {"text": "x".repeat(900_000)}});
    call(Method::POST, "/tasks").json(&large).send().await.accepted(201);
    call(Method::GET, "/nothing").send().await.refused(404, "not-found");

    site.finish().await;
}

#[tokio::test]
async fn session_on_tls_is_bound_to_host_and_tls() {
    let (tls, site) = secure().await;

    let session = tls.call("judge", site.address(), Method::POST, "/session").send().await;

    let cookie = session.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-orchestrator_session=") && cookie.ends_with("; Secure"));
    assert_eq!(session.header("strict-transport-security"), Some("max-age=31536000"));
    let plain = Site::open().await;
    let answer = plain.get("judge", "/stats").await;
    assert_eq!(answer.header("strict-transport-security"), None);
    plain.finish().await;
    site.finish().await;
}

#[tokio::test]
async fn both_versions_of_tls_choose_http1_and_older_ones_fail() {
    let (tls, site) = secure().await;

    for version in [&TLS12, &TLS13] {
        let mut stream = tls.connect(site.address(), &[version], None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer::parse(&rest_of(stream).await).accepted(200);
    }
    // The first bytes of a handshake of TLS 1.0, without the extension that names newer versions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut old = site.connect().await;
    old.write_all(&hello).await.unwrap();
    let mut alert = Vec::new();
    within("the end", old.read_to_end(&mut alert)).await.unwrap();
    assert_eq!(alert.first(), Some(&0x15), "no alert: {alert:?}");

    site.finish().await;
}

#[tokio::test]
async fn plain_request_to_a_tls_port_gets_a_clear_400() {
    let (tls, site) = secure().await;

    let request = head("GET /stats", "crew", "");
    site.raw(request.as_bytes()).await.refused(400, "https-required");

    shows(&tls, &site, "orchestrator_http_refused_total{cause=\"no_tls\"}", |count| count == 1.0)
        .await;
    site.finish().await;
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_configured_authority() {
    let tls = Tls::new();
    tls.sign("client");
    crate::transport::credentials::certificate(
        tls.file("client.pem").parent().unwrap(),
        "stranger",
        None,
    );
    let ca = tls.file("authority.pem").display().to_string();
    let site = Site::told(Fleet::start().await, |http| {
        tls.tell(http);
        http.tls_client_ca_file = ca;
    })
    .await;
    let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let ask = async |own: Option<&str>, version| {
        let mut stream = tls.connect(site.address(), &[version], own).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        within("the end", stream.read_to_end(&mut answer)).await?;
        Ok::<_, std::io::Error>(answer)
    };

    for version in [&TLS12, &TLS13] {
        for own in [None, Some("stranger")] {
            let error = ask(own, version).await.unwrap_err().to_string();
            assert!(error.contains("alert"), "{own:?}: {error}");
        }
        Answer::parse(&ask(Some("client"), version).await.unwrap()).accepted(200);
    }
    site.finish().await;
}

#[tokio::test]
async fn half_open_handshakes_keep_no_client_out() {
    let tls = Tls::new();
    let site = Site::told(Fleet::start().await, |http| {
        tls.tell(http);
        (http.max_connections, http.header_timeout_ms) = (200, 2_000);
    })
    .await;
    // Some say nothing, some stop within their first message.
    let mut half_open = Vec::new();
    for nth in 0..1_000 {
        let mut stream = site.connect().await;
        if nth % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        half_open.push(stream);
        if nth % 50 == 0 {
            tls.call("crew", site.address(), Method::GET, "/stats").send().await.accepted(200);
        }
    }

    let evicted = "orchestrator_http_refused_total{cause=\"evicted\"}";
    shows(&tls, &site, evicted, |count| count >= 800.0).await;
    // The rest misses the deadline of a head.
    let late = "orchestrator_http_refused_total{cause=\"header_timeout\"}";
    shows(&tls, &site, late, |count| count >= 100.0).await;
    shows(&tls, &site, "orchestrator_http_connections", |count| count < 10.0).await;
    drop(half_open);
    site.finish().await;
}

#[tokio::test]
async fn client_that_closes_its_side_over_tls_gets_its_answer() {
    let (tls, site) = secure().await;
    let claim = harness::request(
        "POST /agents/faq_agent/claim",
        "crew",
        r#"{"worker":"w1","wait_ms":60000}"#,
    );
    let claimer = half_close(&tls, &site, &claim).await;
    site.fleet.has_heard_from("faq_agent").await;

    let late = site.fleet.submit("faq").await;
    site.fleet.route().await;

    let bytes = rest_of(claimer).await;
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let answer = Answer::parse(bytes.strip_prefix(interim).unwrap_or(&bytes)).accepted(200);
    assert_eq!(answer["tasks"][0]["task"]["task_id"], late.id.to_string(), "{answer}");
    site.finish().await;
}

#[tokio::test]
async fn clients_gone_over_tls_lose_no_task() {
    let (tls, site) = secure().await;
    let claim = harness::request(
        "POST /agents/faq_agent/claim",
        "crew",
        r#"{"worker":"w1","wait_ms":60000}"#,
    );
    for nth in 0..20 {
        let mut stream = connect(&tls, &site).await;
        stream.write_all(claim.as_bytes()).await.unwrap();
        if nth % 2 == 0 {
            stream.shutdown().await.unwrap();
        }
    }
    shows(&tls, &site, "orchestrator_http_waits", |waits| waits == 0.0).await;

    let late = site.fleet.submit("faq").await;
    site.fleet.route().await;

    let untouched = site.fleet.task(late.id).await;
    assert_eq!((untouched.attempt, untouched.lost_count), (0, 0), "it was leased to the gone");
    site.finish().await;
}

#[tokio::test]
async fn client_that_reads_nothing_over_tls_is_cut() {
    let tls = Tls::new();
    let site = Site::told(Fleet::start().await, |http| {
        tls.tell(http);
        http.write_timeout_ms = 300;
    })
    .await;
    let mut stream = connect(&tls, &site).await;
    let calls = "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    stream.write_all(calls.as_bytes()).await.unwrap();

    let cut = "orchestrator_http_refused_total{cause=\"write_timeout\"}";
    shows(&tls, &site, cut, |count| count == 1.0).await;

    drop(stream);
    site.finish().await;
}

#[tokio::test]
async fn changed_certificate_is_used_and_a_broken_one_is_not() {
    let redis = Redis::start().await;
    let tls = Tls::new();
    let variables = tls.variables();
    let program = variables
        .iter()
        .fold(Program::over(redis.url()), |program, (name, text)| program.with(name, text));
    let mut gateway = program.start(&["gateway"]);
    let address = gateway.url().await.replace("https://", "").parse().unwrap();
    let shown = async || {
        let stream = tls.connect(address, ALL_VERSIONS, None).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let mut open = tls.connect(address, ALL_VERSIONS, None).await.unwrap();
    let first = shown().await;

    tls.sign("server");
    let second = eventually("the new certificate is shown", async || {
        let seen = shown().await;
        if seen == first { Err("the old one") } else { Ok(seen) }
    })
    .await;
    gateway.says("TLS certificate changed").await;
    std::fs::write(tls.file("server.pem"), "not a certificate").unwrap();
    let line = gateway.says("changed TLS files not usable").await;
    assert!(line.contains("server.pem") && line.contains("no certificate in PEM"), "{line}");
    assert_eq!(shown().await, second);

    // The connection that was open all the time is still served.
    let request = "GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    open.write_all(request.as_bytes()).await.unwrap();
    Answer::parse(&rest_of(open).await).accepted(200);
    gateway.stops_within(Duration::from_secs(10)).await;
    let lines = gateway.log();
    assert_eq!(lines.matches("changed TLS files not usable").count(), 1, "{lines}");
}

#[tokio::test]
async fn commands_call_a_gateway_that_speaks_tls() {
    let redis = Redis::start().await;
    let tls = Tls::new();
    let variables = tls.variables();
    let program = variables
        .iter()
        .fold(Program::over(redis.url()), |program, (name, text)| program.with(name, text));
    let gateway = program.start(&["gateway"]);
    let shell = Program::new()
        .with("ORCHESTRATOR_URL", &gateway.url().await)
        .with("ORCHESTRATOR_CA_FILE", &tls.file("authority.pem").display().to_string());

    let crew = shell.clone().with("ORCHESTRATOR_API_KEY", &key_of("crew"));
    let (code, id, log) = crew.run(&["tasks", "submit", "faq", "-o", "id"]).await;
    assert_eq!(code, 0, "{log}");
    let (code, shown, log) = crew.run(&["tasks", "get", id.trim()]).await;
    assert!(code == 0 && shown.contains(id.trim()), "{shown}{log}");
    gateway.stop().await;
}
