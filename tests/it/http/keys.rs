//! Managed API keys: made, shown once, rotated and revoked while a gateway runs.

use reqwest::Method;
use serde_json::{Value, json};

use super::sessions::{cookie_of, own};
use crate::harness::{Answer, Call, MINUTE, Site, eventually, new_body};

/// A key that `root` has created.
pub struct Made {
    pub id: String,
    pub secret: String,
}

impl Site {
    /// Creates a key with these members.
    pub async fn create_key(&self, body: &Value) -> Made {
        made(&self.post("root", "/admin/keys", body).await.accepted(201))
    }

    /// A call with this secret.
    pub fn with_key(&self, secret: &str, method: Method, path: &str) -> Call {
        self.anonymous(method, path).header("x-api-key", secret)
    }

    /// What this secret reads there.
    pub async fn read_with(&self, secret: &str, path: &str) -> Answer {
        self.with_key(secret, Method::GET, path).send().await
    }

    /// What comes of posting `body` there with this secret.
    pub async fn post_with(&self, secret: &str, path: &str, body: &Value) -> Answer {
        self.with_key(secret, Method::POST, path).json(body).send().await
    }

    async fn revoke(&self, id: &str) -> Answer {
        self.call("root", Method::DELETE, &format!("/admin/keys/{id}")).send().await
    }

    /// Waits until the secret proves no caller any more.
    async fn is_refused(&self, secret: &str) {
        eventually("the key is refused", async || {
            let answer = self.read_with(secret, "/session").await;
            if answer.status == 401 { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// The actions on keys in the audit log, the newest first, each with its subject.
    async fn noted(&self) -> Vec<(String, String)> {
        let page = self.get("root", "/admin/audit").await.accepted(200);
        let entries = page["items"].as_array().unwrap().iter();
        let words = entries.map(|entry| {
            let word = |name: &str| entry[name].as_str().unwrap().to_owned();
            (word("action"), word("subject"))
        });
        words.filter(|(action, _)| action != "key.added").collect()
    }
}

fn made(answer: &Value) -> Made {
    let word = |name: &str| answer[name].as_str().unwrap().to_owned();
    Made { id: word("key_id"), secret: word("secret") }
}

#[tokio::test]
async fn created_key_works_and_its_secret_is_stored_nowhere() {
    let site = Site::open().await;
    let body = json!({"name": "ci", "role": "agent", "identity": "robots"});
    let answer = site.post("root", "/admin/keys", &body).await;
    let Made { id, secret } = made(&answer.accepted(201));

    let who = site.read_with(&secret, "/session").await.accepted(200);
    assert_eq!((&who["caller"], &who["role"]), (&json!("key:ci"), &json!("agent")));
    let list = site.get("root", "/admin/keys").await;
    let key = &list.accepted(200)["items"][0];
    assert_eq!((&key["key_id"], &key["identity"]), (&json!(id), &json!("robots")));
    assert_eq!(key["created_by"], "key:root");
    assert!(key["ended_at"].is_null() && key["expires_at"].is_null(), "{key}");
    assert!(secret.starts_with("orc_") && secret.len() == 53, "{secret}");
    assert!(!list.body.contains(&secret));
    let stored = site.fleet.redis.dump().await;
    assert!(!format!("{stored:?}").contains(&secret[4..]), "the secret is stored");
    assert_eq!(site.noted().await, [("key.created".to_owned(), "key:ci".to_owned())]);
    site.finish().await;
}

#[tokio::test]
async fn mistyped_secret_is_refused_as_such() {
    let site = Site::open().await;
    let Made { secret, .. } = site.create_key(&json!({"name": "ci", "role": "user"})).await;
    let unknown = format!("orc_{}2CZclj", "0".repeat(43));

    for (wrong, why) in [(&secret[..52], "mistyped"), (&unknown, "Unknown API key")] {
        let problem = site.read_with(wrong, "/session").await.refused(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    site.finish().await;
}

#[tokio::test]
async fn both_secrets_of_a_rotated_key_work_in_its_grace() {
    let site = Site::open().await;
    let first = site.create_key(&json!({"name": "ci", "role": "user"})).await;
    let path = format!("/admin/keys/{}/rotate", first.id);

    let rotated = site.post("root", &path, &json!({"grace_seconds": 60})).await.accepted(200);

    let second = made(&rotated);
    assert_ne!(first.secret, second.secret);
    assert!(rotated["key"]["old_secret_ends_at"].is_string(), "{rotated}");
    for secret in [&first.secret, &second.secret] {
        site.read_with(secret, "/session").await.accepted(200);
    }
    site.fleet.advance(MINUTE);
    site.is_refused(&first.secret).await;
    site.read_with(&second.secret, "/session").await.accepted(200);
    // Without a grace the old secret ends at once.
    let third = made(&site.post("root", &path, &json!({})).await.accepted(200));
    site.read_with(&second.secret, "/session").await.refused(401, "unauthenticated");
    site.read_with(&third.secret, "/session").await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn key_ends_at_its_expiry_and_is_valid_again_with_a_later_one() {
    let site = Site::open().await;
    let at = |ms: u64| json!(orchestrator::domain::time::written(ms));
    let now = site.fleet.store.now().await.unwrap();
    let body = json!({"name": "ci", "role": "user", "expires_at": at(now - 1)});
    assert_eq!(site.post("root", "/admin/keys", &body).await.pointers(), ["/expires_at"]);
    let body = json!({"name": "ci", "role": "user", "expires_at": at(now + 60_000)});
    let Made { id, secret } = site.create_key(&body).await;
    site.read_with(&secret, "/session").await.accepted(200);
    let mut reader = site.with_key(&secret, Method::GET, "/events/stream").0.send().await.unwrap();

    site.fleet.advance(MINUTE);

    site.is_refused(&secret).await;
    let mut text = String::new();
    while let Some(chunk) = reader.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.contains("event: credential-ended"), "{text}");
    let path = format!("/admin/keys/{id}/rotate");
    site.post("root", &path, &json!({})).await.refused(409, "key-ended");
    let body = json!({"expires_at": at(now + 120_000)});
    let Made { secret, .. } = made(&site.post("root", &path, &body).await.accepted(200));
    site.read_with(&secret, "/session").await.accepted(200);
    site.finish().await;
}

#[tokio::test]
async fn revoked_key_ends_its_streams_waits_and_sessions() {
    let site = Site::open().await;
    let Made { id, secret } = site.create_key(&json!({"name": "ops", "role": "admin"})).await;
    let session = site.post_with(&secret, "/session", &json!({})).await;
    session.accepted(200);
    let cookie = cookie_of(&session);
    own(&site, &cookie, Method::GET, "/session").send().await.accepted(200);
    let stream = site.with_key(&secret, Method::GET, "/events/stream").0.send().await.unwrap();
    let claim = json!({"worker": "w1", "wait_ms": 60_000});

    let (waited, streamed, revoked) = tokio::join!(
        site.post_with(&secret, "/agents/faq_agent/claim", &claim),
        stream.text(),
        async {
            eventually("the claim waits", async || {
                let agents = site.get("root", "/agents/faq_agent").await.json();
                if agents["session_count"] == 1 { Ok(()) } else { Err(agents) }
            })
            .await;
            // The key revokes itself, and gets the answer.
            site.with_key(&secret, Method::DELETE, &format!("/admin/keys/{id}")).send().await
        },
    );

    waited.refused(401, "unauthenticated");
    assert!(streamed.unwrap().contains("event: credential-ended"));
    assert_eq!(revoked.accepted(200)["revoked_by"], "key:ops");
    site.read_with(&secret, "/session").await.refused(401, "unauthenticated");
    own(&site, &cookie, Method::GET, "/session").send().await.refused(401, "unauthenticated");
    site.revoke(&id).await.accepted(200);
    let revocations = site.noted().await.into_iter().filter(|(action, _)| action == "key.revoked");
    assert_eq!(revocations.count(), 1);
    let path = format!("/admin/keys/{id}/rotate");
    site.post("root", &path, &json!({})).await.refused(409, "key-ended");
    site.finish().await;
}

#[tokio::test]
async fn name_stays_with_its_key_also_after_its_end() {
    let site = Site::open().await;
    let Made { id, .. } = site.create_key(&json!({"name": "ci", "role": "user"})).await;
    site.revoke(&id).await.accepted(200);

    // `root` is a key of the settings.
    for name in ["ci", "root"] {
        let body = json!({"name": name, "role": "user"});
        site.post("root", "/admin/keys", &body).await.refused(409, "key-name-taken");
    }
    let body = json!({"name": "orchestrator", "role": "user"});
    assert_eq!(site.post("root", "/admin/keys", &body).await.pointers(), ["/name"]);
    let unknown = "019ab3c4-7d2e-7000-8000-0000000000a0";
    site.revoke(unknown).await.refused(404, "unknown-key");
    site.finish().await;
}

#[tokio::test]
async fn last_use_of_a_key_is_recorded() {
    let site = Site::open().await;
    let Made { id, secret } = site.create_key(&json!({"name": "ci", "role": "user"})).await;
    site.read_with(&secret, "/session").await.accepted(200);

    eventually("the use is recorded", async || {
        let list = site.get("root", "/admin/keys").await.accepted(200);
        let key = &list["items"][0];
        assert_eq!(key["key_id"], json!(id));
        if key["last_used_at"].is_string() { Ok(()) } else { Err(list) }
    })
    .await;
    site.finish().await;
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let site = Site::open().await;
    for name in ["one", "two", "three"] {
        site.create_key(&json!({"name": name, "role": "user"})).await;
    }

    let first = site.get("root", "/admin/keys?limit=2").await.accepted(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = site.get("root", &format!("/admin/keys?limit=2&cursor={cursor}")).await;

    let second = second.accepted(200);
    let names = [&first, &second].map(|page| page["items"].as_array().unwrap().clone()).concat();
    let names: Vec<_> = names.iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!((names, &second["next_cursor"]), (vec!["one", "two", "three"], &Value::Null));
    site.finish().await;
}

#[tokio::test]
async fn keys_stay_valid_while_the_store_is_away() {
    let mut site = Site::open().await;
    let Made { secret, .. } = site.create_key(&json!({"name": "ci", "role": "user"})).await;

    site.fleet.redis.kill();

    site.read_with(&secret, "/session").await.accepted(200);
    site.submit_refused(&secret).await;
    site.fleet.discard();
}

impl Site {
    async fn submit_refused(&self, secret: &str) {
        let answer = self.post_with(secret, "/tasks", &new_body("faq")).await;
        answer.refused(403, "missing-scope");
    }
}
