//! Who may call what: every operation with no credential, a bad one, and one of every role.

use orchestrator::domain::principal::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::operations::Operation;
use crate::harness::{JWT_SECRET, Site, id_of, key_of, new_body, token};

fn claims(role: &str) -> Value {
    json!({"sub": "alice@example.com", "role": role, "exp": 4_000_000_000u64})
}

/// Base64 as tokens have it, of plain ASCII.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = chunk
            .iter()
            .enumerate()
            .map(|(nth, byte)| u32::from(*byte) << (16 - 8 * nth))
            .sum::<u32>();
        (0..=chunk.len()).map(move |nth| LETTERS[(bits >> (18 - 6 * nth) & 63) as usize] as char)
    });
    letters.collect()
}

#[tokio::test]
async fn a_call_without_a_credential_is_refused_wherever_one_is_needed() {
    let site = Site::open().await;
    let operations = Operation::guarded();
    assert!(operations.len() >= 28);

    let refused = async {
        for operation in &operations {
            let answer = operation.call(&site, None).await;
            answer.refused(401, "unauthenticated");
            assert!(
                answer.header("www-authenticate").unwrap().starts_with("Bearer"),
                "{}",
                operation.id
            );
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn every_role_may_call_what_its_scopes_allow_and_nothing_else() {
    let site = Site::open().await;
    let roles = [
        ("reader", Role::User),
        ("crew", Role::Agent),
        ("judge", Role::Approver),
        ("root", Role::Admin),
    ];
    let reads = ["tasks:read", "events:read", "approvals:read"];

    for operation in Operation::guarded() {
        let scope = operation.scope.clone().unwrap();
        for (name, role) in roles {
            let is_allowed = match role {
                Role::User => reads.contains(&&*scope),
                Role::Agent => {
                    reads.contains(&&*scope)
                        || ["tasks:write", "agent", "events:publish"].contains(&&*scope)
                }
                Role::Approver => reads.contains(&&*scope) || scope == "approvals:decide",
                Role::Admin => true,
            };
            if is_allowed {
                let answer = operation.call(&site, Some(name)).await;
                assert!(
                    ![401, 403].contains(&answer.status) && answer.status < 500,
                    "{}: {answer:?}",
                    operation.id
                );
            } else {
                // The audit log has the first refused call of an operator in a minute.
                operation.call(&site, Some(name)).await.refused(403, "missing-scope");
                let answer = site.unchanged(operation.call(&site, Some(name))).await;
                let problem = answer.refused(403, "missing-scope");
                assert!(problem["detail"].as_str().unwrap().contains(&scope), "{answer:?}");
            }
        }
    }
    site.finish().await;
}

#[tokio::test]
async fn token_of_every_role_is_accepted_but_not_beside_a_key() {
    let site = Site::open().await;

    for role in ["user", "agent", "approver", "admin"] {
        let bearer = format!("Bearer {}", token(JWT_SECRET, &claims(role)));
        let stats =
            site.anonymous(Method::GET, "/stats").header("authorization", &bearer).send().await;
        stats.accepted(200);
    }
    let bearer = format!("bearer {}", token(JWT_SECRET, &claims("agent")));
    let call = site.anonymous(Method::POST, "/tasks").header("authorization", &bearer);
    let task = call.json(&new_body("faq")).send().await.accepted(201);
    assert_eq!(task["submitted_by"], "user:alice@example.com");

    for authorization in [&bearer, "Bearer nonsense"] {
        let both = site.call("root", Method::GET, "/stats").header("authorization", authorization);
        let problem = both.send().await.refused(400, "unreadable-request");
        assert!(problem["detail"].as_str().unwrap().contains("two credentials"), "{problem}");
    }
    site.finish().await;
}

#[tokio::test]
async fn a_credential_that_is_no_good_is_refused_and_nothing_is_stored() {
    let site = Site::open().await;
    let good = token(JWT_SECRET, &claims("admin"));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let with = |claim: &str, value: Value| {
        let mut all = claims("admin");
        all[claim] = value;
        token(JWT_SECRET, &all)
    };
    let unsigned = |algorithm: &str| {
        format!(
            "{}.{}.",
            base64(&format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#)),
            base64(&claims("admin").to_string())
        )
    };
    let hs384 = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS384);
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let tokens = [
        with("exp", json!(1_000_000_000)),
        with("exp", json!("never")),
        with("nbf", json!(4_000_000_000u64)),
        with("role", Value::Null),
        with("role", json!("root")),
        with("role", json!(["admin"])),
        with("sub", Value::Null),
        with("sub", json!("a b\n")),
        token(JWT_SECRET, &json!({"sub": "alice", "exp": 4_000_000_000u64})),
        token(JWT_SECRET, &json!({"sub": "alice", "role": "admin"})),
        token("another secret of at least 32 bytes", &claims("admin")),
        jsonwebtoken::encode(&hs384, &claims("admin"), &key).unwrap(),
        unsigned("none"),
        unsigned("None"),
        format!("{}{signature}", unsigned("none")),
        format!("{signed}."),
        signed.to_owned(),
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(8_000),
    ];
    let mut headers: Vec<_> =
        tokens.iter().map(|token| ("authorization", format!("Bearer {token}"))).collect();
    headers.extend(
        ["", "wrong-key-0123456789", "key-of-root-012345678"]
            .map(|key| ("x-api-key", key.to_owned())),
    );
    headers.push(("x-api-key", format!("{}:admin", key_of("root"))));
    headers.push(("authorization", format!("Basic {good}")));
    headers.push(("authorization", good.clone()));

    let refused = async {
        for (name, value) in &headers {
            let call = site.anonymous(Method::POST, "/tasks").header(name, value);
            let answer = call.json(&new_body("faq")).send().await;
            answer.refused(401, "unauthenticated");
            assert!(!answer.body.contains(JWT_SECRET), "{answer:?}");
        }
    };
    site.unchanged(refused).await;
    site.finish().await;
}

#[tokio::test]
async fn missing_scope_hides_whether_a_task_exists() {
    let site = Site::open().await;
    let task = site.submit(&new_body("faq")).await;
    let path = format!("/tasks/{}/cancel", id_of(&task));

    let known =
        site.unchanged(site.post("reader", &path, &json!({}))).await.refused(403, "missing-scope");
    let unknown =
        site.post("reader", "/tasks/no-id/cancel", &json!({})).await.refused(403, "missing-scope");

    assert_eq!(known["detail"], unknown["detail"]);
    site.finish().await;
}
