//! Tokens of an identity provider: which count, also when its keys change or are away.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use orchestrator::http::Auth;
use orchestrator::runtime::session_key;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::harness::{Answer, Fleet, Site, auth, eventually};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "orchestrator";

/// A key of the provider.
struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// What the standard output of a shell command holds.
fn bytes_of(command: &str) -> Vec<u8> {
    let done = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

impl Signer {
    fn edwards(id: &'static str) -> Self {
        Self { id, algorithm: Algorithm::EdDSA, key: session_key::signing(id) }
    }

    fn elliptic(id: &'static str) -> Self {
        let command = "openssl ecparam -genkey -noout -name prime256v1 \
            | openssl pkcs8 -topk8 -nocrypt -outform DER";
        let key = EncodingKey::from_ec_der(&bytes_of(command));
        Self { id, algorithm: Algorithm::ES256, key }
    }

    fn rsa(id: &'static str) -> Self {
        let command = "openssl genrsa 2048 | openssl rsa -traditional -outform DER";
        let key = EncodingKey::from_rsa_der(&bytes_of(command));
        Self { id, algorithm: Algorithm::RS256, key }
    }

    /// The public half, as the provider publishes it.
    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.id, claims)
    }

    /// A token that claims to be signed with the key of this id.
    fn sign_as(&self, id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn set_of(signers: &[&Signer]) -> String {
    let mut keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
    // Keys of other kinds hide none.
    keys.push(json!({"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}));
    keys.push(json!({"kty": "new", "kid": "unknown"}));
    json!({"keys": keys}).to_string()
}

/// Good claims, with these instead.
fn claims(more: Value) -> Value {
    let mut claims = json!({"sub": "alice", "iss": ISSUER, "aud": [AUDIENCE, "other"],
        "exp": 4_000_000_000u64, "groups": ["staff", "deciders"]});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn trust(jwks: String) -> Auth {
    Auth {
        jwks,
        jwks_issuer: ISSUER.to_owned(),
        jwks_audience: AUDIENCE.to_owned(),
        jwks_refresh_seconds: 1,
        role_claims: vec!["role".to_owned(), "groups".to_owned()],
        token_roles: [("deciders".to_owned(), "approver".parse().unwrap())].into(),
        ..auth()
    }
}

async fn site(auth: Auth) -> Site {
    Site::trusting(Fleet::start().await, auth, |_| {}).await
}

impl Site {
    async fn who(&self, token: &str) -> Answer {
        let call = self.anonymous(Method::GET, "/session");
        call.header("authorization", format!("Bearer {token}")).send().await
    }
}

#[tokio::test]
async fn token_of_a_provider_counts_with_its_pinned_algorithm_only() {
    let home = tempfile::tempdir().unwrap();
    let signers = [Signer::edwards("ed"), Signer::elliptic("ec"), Signer::rsa("rsa")];
    let [ed, ec, rsa] = &signers;
    let file = home.path().join("jwks.json");
    std::fs::write(&file, set_of(&[ed, ec, rsa])).unwrap();
    let site = site(trust(file.display().to_string())).await;

    for signer in &signers {
        let who = site.who(&signer.sign(&claims(json!({})))).await.accepted(200);
        assert_eq!((&who["caller"], &who["role"]), (&json!("user:alice"), &json!("approver")));
    }
    let as_secret = EncodingKey::from_secret(ed.public()["x"].as_str().unwrap().as_bytes());
    let confused = Signer { id: "ed", algorithm: Algorithm::HS256, key: as_secret };
    let refused = [
        ed.sign(&claims(json!({"iss": "https://evil.example.com"}))),
        ed.sign(&claims(json!({"iss": null}))),
        ed.sign(&claims(json!({"aud": "other"}))),
        ed.sign(&claims(json!({"aud": null}))),
        ed.sign(&claims(json!({"exp": 1_000_000_000}))),
        ed.sign(&claims(json!({"exp": 1u64 << 63}))),
        ed.sign(&claims(json!({"exp": null}))),
        ed.sign(&claims(json!({"nbf": 3_900_000_000u64}))),
        ed.sign(&claims(json!({"sub": null}))),
        ed.sign(&claims(json!({"groups": ["staff"]}))),
        ed.sign_as("rsa", &claims(json!({}))),
        rsa.sign_as("ec", &claims(json!({}))),
        ec.sign_as("unknown", &claims(json!({}))),
        Signer::edwards("another").sign_as("ed", &claims(json!({}))),
        confused.sign(&claims(json!({"role": "admin"}))),
    ];
    for (nth, token) in refused.iter().enumerate() {
        let answer = site.who(token).await;
        assert_eq!(answer.status, 401, "{nth}: {answer:?}");
        answer.refused(401, "unauthenticated");
    }
    site.finish().await;
}

#[tokio::test]
async fn scope_claim_restricts_a_token_and_its_session() {
    let home = tempfile::tempdir().unwrap();
    let ed = Signer::edwards("ed");
    let file = home.path().join("jwks.json");
    std::fs::write(&file, set_of(&[&ed])).unwrap();
    let jwks = trust(file.display().to_string());
    let roles = vec!["realm_access.roles".to_owned()];
    let site = site(Auth { role_claims: roles, scope_claim: "scope".to_owned(), ..jwks }).await;
    let with = |scope: &str| {
        let roles = json!({"roles": ["user", "agent"]});
        ed.sign(&claims(json!({"realm_access": roles, "scope": scope})))
    };

    let token = with("openid tasks:read admin");
    let who = site.who(&token).await.accepted(200);
    assert_eq!((&who["role"], &who["scopes"]), (&json!("agent"), &json!(["tasks:read"])));
    site.who(&with("openid profile")).await.refused(401, "unauthenticated");
    let call = site.anonymous(Method::POST, "/session");
    let session = call.header("authorization", format!("Bearer {token}")).send().await;
    let cookie = super::sessions::cookie_of(&session);
    let who = super::sessions::own(&site, &cookie, Method::GET, "/session").send().await;
    assert_eq!(who.accepted(200)["scopes"], json!(["tasks:read"]));
    site.finish().await;
}

/// A provider that answers with its keys, or with an error while there are none.
struct Provider {
    url: String,
    keys: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (keys, asked) =
            (Arc::<Mutex<Option<String>>>::default(), Arc::<AtomicUsize>::default());
        let mut serving = JoinSet::new();
        let (body, count) = (Arc::clone(&keys), Arc::clone(&asked));
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4_096]).await;
                let body = body.lock().unwrap().clone();
                let status = if body.is_some() { "200 OK" } else { "503 Service Unavailable" };
                let body = body.unwrap_or_default();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
                let _ = stream
                    .write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes())
                    .await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { url, keys, asked, _serving: serving }
    }

    fn publish(&self, keys: Option<String>) {
        *self.keys.lock().unwrap() = keys;
    }

    /// Waits until the provider is asked once more, and again.
    async fn is_asked_again(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        eventually("the provider is asked again", async || {
            let asked = self.asked.load(Ordering::Relaxed);
            if asked >= before + 2 { Ok(()) } else { Err(asked) }
        })
        .await;
    }
}

/// Waits until this is answered to the token.
async fn is_answered(site: &Site, token: &str, status: u16) {
    eventually("the token is answered so", async || {
        let answer = site.who(token).await;
        if answer.status == status { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn keys_of_a_provider_are_kept_while_it_is_away_and_then_replaced() {
    let (old, new) = (Signer::edwards("old"), Signer::edwards("new"));
    let provider = Provider::start().await;
    let site = site(trust(provider.url.clone())).await;
    let [of_old, of_new] = [&old, &new].map(|signer| signer.sign(&claims(json!({}))));
    site.who(&of_old).await.refused(401, "unauthenticated");

    provider.publish(Some(set_of(&[&old])));
    is_answered(&site, &of_old, 200).await;
    provider.publish(None);
    provider.is_asked_again().await;
    site.who(&of_old).await.accepted(200);
    provider.publish(Some(set_of(&[&new])));
    is_answered(&site, &of_new, 200).await;
    site.who(&of_old).await.refused(401, "unauthenticated");
    site.finish().await;
}
