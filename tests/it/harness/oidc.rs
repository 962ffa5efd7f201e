//! A small OpenID provider: real HTTP on loopback, keys of its own, codes that count once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, Header};
use orchestrator::http::Auth;
use orchestrator::runtime::secret::Secret;
use orchestrator::runtime::session_key;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::auth;

/// What the gateway is known by.
const CLIENT: &str = "orchestrator page";
const CLIENT_SECRET: &str = "7c1f/49ab:0e62 d8b35";

/// Where the gateway says that it is; a test may know better.
const CALLBACK: &str = "http://127.0.0.1/ui/sign-in/oidc/callback";

/// A provider that signs every browser in, as the person whose claims a test has set.
pub struct OpenId {
    pub issuer: String,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

struct State {
    /// What the ID token says instead of good claims; null leaves one out.
    claims: Value,
    /// Where browsers are sent back to: scheme, host and port; `None` for what the gateway says.
    home: Option<String>,
    /// What was requested, by code.
    codes: HashMap<String, HashMap<String, String>>,
    nth: usize,
}

/// The parameters of a query or a form.
fn pairs(text: &str) -> HashMap<String, String> {
    let url = Url::parse(&format!("http://localhost/?{text}")).unwrap();
    url.query_pairs().into_owned().collect()
}

impl OpenId {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = State { claims: json!({}), home: None, codes: HashMap::new(), nth: 0 };
        let state = Arc::new(Mutex::new(state));
        let mut serving = JoinSet::new();
        let (own, known) = (issuer.clone(), Arc::clone(&state));
        serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, &own, &known).await;
            }
        });
        Self { issuer, state, _serving: serving }
    }

    /// What a gateway is told that trusts this provider.
    pub fn trusted(&self) -> Auth {
        Auth {
            oidc_issuer: self.issuer.clone(),
            oidc_client_id: CLIENT.to_owned(),
            oidc_client_secret: Some(Secret::new(CLIENT_SECRET)),
            oidc_redirect_uri: CALLBACK.to_owned(),
            role_claims: vec!["groups".to_owned()],
            token_roles: [("deciders".to_owned(), "approver".parse().unwrap())].into(),
            ..auth()
        }
    }

    /// The next ID tokens have these claims instead of good ones.
    pub fn says(&self, claims: Value) {
        self.state.lock().unwrap().claims = claims;
    }

    /// Browsers are sent back to this scheme, host and port.
    pub fn send_back_to(&self, home: String) {
        self.state.lock().unwrap().home = Some(home);
    }
}

async fn serve(mut stream: TcpStream, issuer: &str, state: &Mutex<State>) {
    let Some((target, head, body)) = request(&mut stream).await else { return };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let answer = match path {
        "/.well-known/openid-configuration" => found(&json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        })),
        "/keys" => {
            let key = session_key::signing("provider");
            let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
            jwk.common.key_id = Some("one".to_owned());
            found(&json!({"keys": [jwk]}))
        }
        "/authorize" => state.lock().unwrap().authorize(pairs(query)),
        "/token" => state.lock().unwrap().token(issuer, &head, &pairs(&body)),
        other => panic!("the gateway asks for {other}"),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Reads a request: target, head and body.
async fn request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                let target = head.split(' ').nth(1)?.to_owned();
                return Some((target, head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn found(body: &Value) -> String {
    answer("200 OK", "content-type: application/json\r\n", &body.to_string())
}

impl State {
    /// Sends the browser back with a code, as if its person had signed in.
    fn authorize(&mut self, request: HashMap<String, String>) -> String {
        assert_eq!(request["response_type"], "code");
        assert_eq!(request["client_id"], CLIENT);
        assert_eq!(request["redirect_uri"], CALLBACK);
        assert_eq!(request["code_challenge_method"], "S256");
        assert!(request["scope"].split(' ').any(|scope| scope == "openid"));
        self.nth += 1;
        let code = format!("code-{}", self.nth);
        let mut back = Url::parse(&request["redirect_uri"]).unwrap();
        let query = [("code", &code), ("state", &request["state"])];
        back.query_pairs_mut().extend_pairs(query);
        let home = self.home.as_deref().unwrap_or("http://127.0.0.1");
        let back = format!("{home}{}?{}", back.path(), back.query().unwrap());
        self.codes.insert(code, request);
        answer("302 Found", &format!("location: {back}\r\n"), "")
    }

    /// Exchanges a code, once, for the ID token.
    fn token(&mut self, issuer: &str, head: &str, form: &HashMap<String, String>) -> String {
        let client = "orchestrator+page:7c1f%2F49ab%3A0e62+d8b35";
        let credential = data_encoding::BASE64.encode(client.as_bytes());
        let is_client = head.contains(&format!("Basic {credential}"));
        assert!(is_client && form["redirect_uri"] == CALLBACK, "{head}");
        let Some(request) = self.codes.remove(&form["code"]) else {
            return answer("400 Bad Request", "", r#"{"error":"invalid_grant"}"#);
        };
        let digest = Sha256::digest(form["code_verifier"].as_bytes());
        assert_eq!(request["code_challenge"], data_encoding::BASE64URL_NOPAD.encode(&digest));
        let mut claims = json!({
            "iss": issuer, "aud": CLIENT, "sub": "Jürgen Groß", "groups": ["staff", "deciders"],
            "exp": 4_000_000_000u64, "nonce": request["nonce"],
        });
        let members = claims.as_object_mut().unwrap();
        members.extend(self.claims.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &session_key::signing("provider"));
        found(&json!({"id_token": token.unwrap(), "access_token": "x", "token_type": "Bearer"}))
    }
}
