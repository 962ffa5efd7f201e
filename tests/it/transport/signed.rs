//! Requests that are signed in place of carrying a key.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::HeaderMap;
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use orchestrator::domain::principal::Role;
use orchestrator::domain::restrictions::Restrictions;
use orchestrator::engine::NewKey;
use orchestrator::transport::{Credentials, Settings};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{Fleet, Message, Nats, eventually, key_of, name, new_body, within};

use super::{Caller, Office, refused};

const SUBMIT: &str = "orchestrator.ingest.tasks";

const HEADER: &str = "Orchestrator-Signature";

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// What a request is signed with, and what of it is not as it was signed.
#[derive(Clone, Copy)]
struct Signer<'s> {
    caller: &'s str,
    key: &'s str,
    time: u64,
    nonce: &'s str,
}

impl<'s> Signer<'s> {
    fn of(caller: &'s str, key: &'s str, nonce: &'s str) -> Self {
        Self { caller, key, time: now_ms(), nonce }
    }

    fn sign(&self, subject: &str, reply: &str, body: &str) -> String {
        let Self { caller, key, time, nonce } = self;
        let body = HEXLOWER.encode(&Sha256::digest(body));
        let text = format!("{subject} {reply} {body} {time} {nonce} ");
        let secret = Sha256::digest(key);
        let mac = hmac_sha256(&secret, text.as_bytes());
        format!("{caller} {time} {nonce} {}", HEXLOWER.encode(&mac))
    }
}

/// HMAC by its definition (RFC 2104), apart from the library of the product.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| -> Vec<u8> {
        (0..64).map(|nth| key.get(nth).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::digest([padded(0x36), text.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

/// Sends a body with this signature, for a reply to that subject.
async fn send(caller: &Caller, reply: &str, header: &str, body: &str) -> Message {
    let mut answers = caller.0.subscribe(reply.to_owned()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, header);
    let sent = caller.0.publish_with_reply_and_headers(
        SUBMIT,
        reply.to_owned(),
        headers,
        body.to_owned().into(),
    );
    sent.await.unwrap();
    within("an answer", answers.next()).await.unwrap().into()
}

async fn open() -> (Fleet, Nats, Office, Caller) {
    super::open(Fleet::build().without_approvals().start().await, Nats::start().await).await
}

#[tokio::test]
async fn signed_request_is_accepted_once_and_only_as_signed() {
    let (fleet, _nats, office, caller) = open().await;
    let (body, reply) = (new_body("faq").to_string(), caller.0.new_inbox());
    let key = key_of("crew");
    let signer = Signer::of("key:crew", &key, "0123456789abcdef");
    let header = signer.sign(SUBMIT, &reply, &body);

    let accepted = send(&caller, &reply, &header, &body).await;

    assert_eq!(accepted.header("Orchestrator-Status"), Some("201"), "{accepted:?}");
    assert_eq!(
        fleet
            .task(serde_json::from_value(accepted.json()["task_id"].clone()).unwrap())
            .await
            .submitted_by,
        "key:crew"
    );
    let fresh = |nonce| Signer { nonce, ..signer };
    let other = caller.0.new_inbox();
    for (what, reply, header, body) in [
        ("replayed", &reply, header.clone(), body.as_str()),
        ("another reply", &other, fresh("1123456789abcdef").sign(SUBMIT, &reply, &body), &body),
        ("another body", &reply, fresh("2123456789abcdef").sign(SUBMIT, &reply, "{}"), &body),
        ("another subject", &reply, fresh("3123456789abcdef").sign("a.b", &reply, &body), &body),
        (
            "another key",
            &reply,
            Signer { key: "guess", ..fresh("4123456789abcdef") }.sign(SUBMIT, &reply, &body),
            &body,
        ),
        (
            "another caller",
            &reply,
            Signer { caller: "key:root", ..fresh("5123456789abcdef") }.sign(SUBMIT, &reply, &body),
            &body,
        ),
        (
            "an old one",
            &reply,
            Signer { time: now_ms() - 40_000, ..fresh("6123456789abcdef") }
                .sign(SUBMIT, &reply, &body),
            &body,
        ),
        (
            "one of the future",
            &reply,
            Signer { time: now_ms() + 40_000, ..fresh("7123456789abcdef") }
                .sign(SUBMIT, &reply, &body),
            &body,
        ),
        ("nonsense", &reply, "key:crew".to_owned(), &body),
    ] {
        let answer = send(&caller, reply, &header, body).await;
        assert_eq!(answer.header("Orchestrator-Status"), Some("401"), "{what}: {answer:?}");
        refused(&answer, 401, "unauthenticated");
    }
    assert_eq!(fleet.redis.count_tasks().await, 1);
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn nonce_is_taken_once_by_all_processes_together() {
    let (fleet, nats, office, caller) = open().await;
    let (body, reply) = (new_body("faq").to_string(), caller.0.new_inbox());
    let key = key_of("crew");
    let header = Signer::of("key:crew", &key, "0123456789abcdef").sign(SUBMIT, &reply, &body);
    send(&caller, &reply, &header, &body).await;
    office.close().await;

    let other = Office::of(&fleet.another_engine().await, &nats.settings()).await;

    let answer = eventually("the other process answers", async || {
        let answer = send(&caller, &reply, &header, &body).await;
        if answer.header("Orchestrator-Status").is_some() { Ok(answer) } else { Err(answer) }
    });
    refused(&answer.await, 401, "unauthenticated");
    other.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn managed_key_signs_with_its_digest_until_it_is_revoked() {
    let (fleet, _nats, office, caller) = open().await;
    let new = NewKey {
        name: name("robot"),
        identity: None,
        role: Role::Agent,
        restrictions: Restrictions::default(),
    };
    let alice = &fleet.people.alice;
    let (key, secret) = fleet.engine.create_key(alice, new, &Default::default()).await.unwrap();
    let (body, reply) = (new_body("faq").to_string(), caller.0.new_inbox());
    let sign = |nonce| Signer::of("key:robot", secret.expose(), nonce).sign(SUBMIT, &reply, &body);

    let first = send(&caller, &reply, &sign("0123456789abcdef"), &body).await;
    fleet.engine.revoke_key(alice, key.key.id).await.unwrap();
    let second = send(&caller, &reply, &sign("1123456789abcdef"), &body).await;

    assert_eq!(first.header("Orchestrator-Status"), Some("201"), "{first:?}");
    refused(&second, 401, "unauthenticated");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn deployment_that_wants_signatures_refuses_clear_keys() {
    let fleet = Fleet::build().without_approvals().start().await;
    let nats = Nats::start().await;
    let settings = Settings { credentials: Credentials::Signed, ..nats.settings() };
    let (office, caller) = (Office::of(&fleet.engine, &settings).await, Caller::of(&nats).await);
    let body = new_body("faq").to_string();

    let clear = caller.call("crew", SUBMIT, &json!({"type": "faq", "payload": {}})).await;
    let bearer = caller.ask(SUBMIT, &[("authorization", "Bearer x.y.z")], &body).await;
    let none = caller.ask(SUBMIT, &[], &body).await;
    let (reply, key) = (caller.0.new_inbox(), key_of("crew"));
    let header = Signer::of("key:crew", &key, "0123456789abcdef").sign(SUBMIT, &reply, &body);
    let signed = send(&caller, &reply, &header, &body).await;

    for answer in [clear, bearer] {
        let problem = refused(&answer, 400, "unreadable-request");
        assert!(problem["detail"].as_str().unwrap().contains("Sign the request"), "{problem}");
    }
    refused(&none, 401, "unauthenticated");
    assert_eq!(signed.header("Orchestrator-Status"), Some("201"), "{signed:?}");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn request_with_a_key_and_a_signature_is_refused() {
    let (fleet, _nats, office, caller) = open().await;
    let key = key_of("crew");
    let header = Signer::of("key:crew", &key, "0123456789abcdef").sign(SUBMIT, "", "{}");

    let both = caller.ask(SUBMIT, &[("X-API-Key", &key), (HEADER, &header)], "{}").await;

    refused(&both, 400, "unreadable-request");
    office.close().await;
    fleet.finish().await;
}

#[tokio::test]
async fn signature_of_the_example_in_python_is_accepted() {
    let (fleet, _nats, office, caller) = open().await;
    let (body, reply) = (new_body("faq").to_string(), caller.0.new_inbox());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sign_nats.py");
    let signed = Command::new("python3")
        .arg(example)
        .args([SUBMIT, &reply, &body])
        .envs([("CALLER", "key:crew"), ("KEY", &key_of("crew"))])
        .output()
        .unwrap();
    let header = String::from_utf8(signed.stdout).unwrap();

    let answer = send(&caller, &reply, header.trim_end(), &body).await;

    let log = String::from_utf8_lossy(&signed.stderr);
    assert_eq!(answer.header("Orchestrator-Status"), Some("201"), "{answer:?} {log}");
    office.close().await;
    fleet.finish().await;
}
