//! A gateway in this process over a fleet, and clients of every role that speak HTTP to it over loopback.

use orchestrator::http::{Auth, Gateway, Http, Settings};
use orchestrator::runtime::secret::Secret;
use orchestrator::workers::{self, Supervisor};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Answer, BOUND, Call, Fleet, connections, id_of, new_body, within};

/// What tokens are signed with.
pub const JWT_SECRET: &str = "a secret for tests, of 32 bytes or more";

/// Every key by its name: one of each role, and a second agent and approver.
pub const KEYS: [(&str, &str); 6] = [
    ("root", "admin"),
    ("crew", "agent"),
    ("rival", "agent"),
    ("judge", "approver"),
    ("second_judge", "approver"),
    ("reader", "user"),
];

/// A token with these claims, signed by HS256 with `secret`.
pub fn token(secret: &str, claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

/// What a client of this name and role says who it is by: `Bearer`, and a token that lasts.
pub fn bearer(sub: &str, role: &str) -> String {
    let claims = json!({"sub": sub, "role": role, "exp": 4_000_000_000u64});
    format!("Bearer {}", token(JWT_SECRET, &claims))
}

/// The API key of this name.
pub fn key_of(name: &str) -> String {
    format!("key-of-{name}-0123456789")
}

/// Every key of [`KEYS`], and tokens.
pub fn auth() -> Auth {
    let keys =
        KEYS.map(|(name, role)| (name.to_owned(), Secret::new(format!("{}:{role}", key_of(name)))));
    Auth {
        jwt_secret: Some(Secret::new(JWT_SECRET)),
        api_keys: BTreeMap::from(keys),
        // Tokens of tests end in 2096.
        jwt_max_seconds: 3_153_600_000,
        ..Auth::default()
    }
}

/// A fleet that is reached by HTTP. Ends with [`Site::finish`].
pub struct Site {
    pub fleet: Fleet,
    /// Ends the gateway, not the engine.
    gateway_stop: CancellationToken,
    client: reqwest::Client,
    address: std::net::SocketAddr,
    serving: JoinSet<io::Result<()>>,
    supervisor: Supervisor,
}

impl Site {
    /// A site with the default settings.
    pub async fn open() -> Self {
        Self::over(Fleet::start().await).await
    }

    /// A site at which no task needs an approval.
    pub async fn without_approvals() -> Self {
        Self::over(Fleet::build().without_approvals().start().await).await
    }

    /// A site over this fleet.
    pub async fn over(fleet: Fleet) -> Self {
        Self::told(fleet, |_| {}).await
    }

    /// A site whose gateway is told something else than usual.
    pub async fn told(fleet: Fleet, change: impl FnOnce(&mut Http)) -> Self {
        Self::trusting(fleet, auth(), change).await
    }

    /// A site whose gateway accepts these credentials.
    pub async fn trusting(fleet: Fleet, auth: Auth, change: impl FnOnce(&mut Http)) -> Self {
        let mut http = Http {
            host: "127.0.0.1".to_owned(),
            port: 0,
            // A stream on which nothing happens says nothing while a test waits.
            heartbeat_ms: BOUND.as_millis() as u64,
            // A request that is stuck is waited for longer than any test waits.
            grace_ms: 2 * BOUND.as_millis() as u64,
            // Many tests call without a valid credential, all from one address.
            max_failed_logins_per_minute: 0,
            ..Http::default()
        };
        change(&mut http);
        let gateway_stop = fleet.stop.child_token();
        let settings = Settings { http, auth };
        let gateway = Gateway::bind(fleet.engine.clone(), &settings, gateway_stop.clone());
        let gateway = gateway.await.unwrap();
        let address = gateway.address();
        let mut serving = JoinSet::new();
        serving.spawn(gateway.serve());
        let supervisor = Supervisor::new(fleet.stop.child_token());
        let client = connections();
        Self { fleet, gateway_stop, client, address, serving, supervisor }
    }

    /// Runs every duty, as a worker does.
    pub fn start_duties(&self) {
        workers::start_all(&self.supervisor, &self.fleet.engine);
    }

    /// The process is told to stop.
    pub fn stop(&self) {
        self.fleet.stop.cancel();
    }

    /// Only the gateway is told to stop.
    pub fn stop_gateway(&self) {
        self.gateway_stop.cancel();
    }

    /// Waits for the gateway to end after its stop; for a request that is stuck it would wait much longer.
    pub async fn ended(&mut self) {
        within("the end of the gateway", self.serving.join_next()).await.unwrap().unwrap().unwrap();
    }

    /// A call without a credential.
    pub fn anonymous(&self, method: Method, path: &str) -> Call {
        Call(self.client.request(method, format!("http://{}{path}", self.address)))
    }

    /// A call with the API key of this name.
    pub fn call(&self, name: &str, method: Method, path: &str) -> Call {
        self.anonymous(method, path).header("x-api-key", key_of(name))
    }

    /// What this key reads there.
    pub async fn get(&self, name: &str, path: &str) -> Answer {
        self.call(name, Method::GET, path).send().await
    }

    /// What comes of this key's sending `body` there.
    pub async fn post(&self, name: &str, path: &str, body: &Value) -> Answer {
        self.call(name, Method::POST, path).json(body).send().await
    }

    /// A task that the key `crew` submitted: what the answer says of it.
    pub async fn submit(&self, body: &Value) -> Value {
        let answer = self.post("crew", "/tasks", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Routes, and has the key `crew` claim the best task of an agent: the entry of the answer.
    pub async fn claim_one(&self, agent: &str) -> Value {
        self.fleet.route().await;
        let claim = json!({"worker": "w1"});
        let answer = self.post("crew", &format!("/agents/{agent}/claim"), &claim).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["tasks"][0].take()
    }

    /// A task that the key `crew` submitted and claimed: its id, and the entry of the claim's answer.
    pub async fn hold(&self) -> (String, Value) {
        self.submit(&new_body("faq")).await;
        let held = self.claim_one("faq_agent").await;
        (id_of(&held["task"]), held)
    }

    /// What comes back for these very bytes, sent over a connection of their own.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let (mut reads, mut writes) = stream.split();
            // Who is refused early may find the connection closed while it still sends.
            let send = async { writes.write_all(bytes).await };
            let mut answer = Vec::new();
            let (_, read) = tokio::join!(send, reads.read_to_end(&mut answer));
            assert!(read.is_ok() || !answer.is_empty(), "the connection was dropped: {read:?}");
            Answer::parse(&answer)
        };
        within("an answer to raw bytes", exchange).await
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// A connection of its own.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asserts that `work` changes nothing that is stored about tasks, and that no event is said.
    pub async fn unchanged<T>(&self, work: impl Future<Output = T>) -> T {
        let before = self.fleet.redis.dump().await;
        let done = work.await;
        let after = self.fleet.redis.dump().await;
        let changed: Vec<_> =
            after.iter().filter(|(key, content)| before.get(*key) != Some(content)).collect();
        assert!(
            changed.is_empty() && before.len() == after.len(),
            "something was stored: {changed:#?}"
        );
        done
    }

    /// Ends the test: the gateway ends in time, and the doctor finds nothing.
    pub async fn finish(mut self) {
        // Idle connections would be waited for.
        self.client = connections();
        self.stop();
        self.ended().await;
        self.supervisor.finish(BOUND).await;
        self.fleet.finish().await;
    }
}
