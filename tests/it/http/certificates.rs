//! Certificates of clients as credentials.

use orchestrator::http::{Auth, CertificateSetting};
use rustls::version::TLS13;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Answer, Fleet, Site, Tls, auth, key_of, new_body, within};

fn entry(san: &str, name: &str, role: &str, agents: &[&str]) -> CertificateSetting {
    let entry = json!({"san": san, "name": name, "role": role, "agents": agents});
    serde_json::from_value(entry).unwrap()
}

/// A gateway that asks each client for a certificate, some of which stand for callers.
async fn open(fleet: Fleet) -> (Tls, Site) {
    let tls = Tls::new();
    tls.sign_for("worker", "DNS:Worker.example.com,URI:spiffe://example.com/worker");
    tls.sign_for("judge", "URI:spiffe://example.com/judge");
    tls.sign_for("both", "DNS:worker.example.com,URI:spiffe://example.com/judge");
    tls.sign_for("unknown", "DNS:other.example.com");
    tls.sign("nameless");
    let certificates = vec![
        entry("dns:worker.example.com", "worker", "agent", &["faq_agent"]),
        entry("uri:spiffe://example.com/worker", "worker", "agent", &["faq_agent"]),
        entry("uri:spiffe://example.com/judge", "umpire", "approver", &[]),
    ];
    let auth = Auth { certificates, ..auth() };
    let ca = tls.file("authority.pem").display().to_string();
    let site = Site::trusting(fleet, auth, |http| {
        tls.tell(http);
        http.tls_client_ca_file = ca;
    });
    let site = site.await;
    (tls, site)
}

/// Makes a call on a connection with the certificate of this name.
async fn call(
    (tls, site): (&Tls, &Site),
    own: &str,
    (method, path): (&str, &str),
    headers: &str,
    body: &Value,
) -> Answer {
    let mut stream = tls.connect(site.address(), &[&TLS13], Some(own)).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("the end", stream.read_to_end(&mut answer)).await.unwrap();
    Answer::parse(&answer)
}

#[tokio::test]
async fn certificate_proves_its_caller_with_its_role() {
    let (tls, site) = open(Fleet::start().await).await;
    let at = (&tls, &site);

    let task = call(at, "worker", ("POST", "/tasks"), "", &new_body("deploy")).await.accepted(201);
    assert_eq!(task["submitted_by"], "key:worker", "{task}");
    let approval = task["approval_id"].as_str().unwrap();
    let approve = format!("/approvals/{approval}/approve");
    call(at, "worker", ("POST", &approve), "", &json!({})).await.refused(403, "missing-scope");
    let decided = call(at, "judge", ("POST", &approve), "", &json!({})).await.accepted(200);
    assert_eq!(decided["decided_by"], "key:umpire", "{decided}");
    let audit = site.fleet.engine.audit(&Default::default(), 10, None).await.unwrap().0.items;
    assert!(audit.iter().any(|entry| entry.actor == "key:umpire"), "{audit:?}");

    site.finish().await;
}

#[tokio::test]
async fn certificate_is_bound_to_the_agents_of_its_entry() {
    let (tls, site) = open(Fleet::start().await).await;
    let claim = json!({"worker": "w1"});

    let own = ("POST", "/agents/faq_agent/claim");
    call((&tls, &site), "worker", own, "", &claim).await.accepted(200);
    let foreign = ("POST", "/agents/dev_agent/claim");
    call((&tls, &site), "worker", foreign, "", &claim).await.refused(403, "foreign-agent");

    site.finish().await;
}

#[tokio::test]
async fn certificate_of_no_or_of_two_callers_proves_none() {
    let (tls, site) = open(Fleet::start().await).await;

    for own in ["unknown", "nameless", "both"] {
        let answer = call((&tls, &site), own, ("GET", "/stats"), "", &Value::Null).await;
        answer.refused(401, "unauthenticated");
    }

    site.finish().await;
}

#[tokio::test]
async fn key_beside_a_certificate_decides() {
    let (tls, site) = open(Fleet::start().await).await;
    let at = (&tls, &site);
    let with = |key: &str| format!("x-api-key: {key}\r\n");

    let body = new_body("faq");
    let task = call(at, "worker", ("POST", "/tasks"), &with(&key_of("crew")), &body).await;
    assert_eq!(task.accepted(201)["submitted_by"], "key:crew");
    let wrong = with("no-such-key-0123456789");
    let refused = call(at, "worker", ("GET", "/stats"), &wrong, &Value::Null).await;
    refused.refused(401, "unauthenticated");

    site.finish().await;
}

#[tokio::test]
async fn write_of_a_foreign_page_does_not_use_the_certificate() {
    let (tls, site) = open(Fleet::start().await).await;
    let at = (&tls, &site);
    let foreign = "sec-fetch-site: cross-site\r\norigin: https://evil.example\r\n";

    let body = new_body("faq");
    let answer = call(at, "worker", ("POST", "/tasks"), foreign, &body).await;
    answer.refused(403, "origin-refused");

    site.finish().await;
}
