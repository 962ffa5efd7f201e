//! A gateway over a fleet, and clients that read its events.

use orchestrator::domain::event::NewEvent;
use orchestrator::http::{Auth, Gateway, Http, Settings};
use orchestrator::runtime::secret::Secret;
use serde_json::Value;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{BOUND, Builder, Fleet, json, new_event, within};

pub use crate::harness::{Block, number};

const KEY: &str = "reader-key-0123456789";

const CREW_KEY: &str = "crew-key-0123456789";

/// A gateway of this process. Ends with [`Site::finish`].
pub struct Site {
    pub fleet: Fleet,
    /// Ends the gateway, not the engine.
    pub stop: CancellationToken,
    url: String,
    client: reqwest::Client,
    serving: JoinSet<io::Result<()>>,
}

impl Site {
    pub async fn start() -> Self {
        Self::over(Fleet::build(), 60_000).await
    }

    pub async fn over(builder: Builder, heartbeat_ms: u64) -> Self {
        let fleet = builder.start().await;
        let stop = CancellationToken::new();
        let http = Http {
            host: "127.0.0.1".to_owned(),
            port: 0,
            heartbeat_ms,
            grace_ms: 2 * BOUND.as_millis() as u64,
            ..Http::default()
        };
        let keys = [("reader", KEY, "user"), ("crew", CREW_KEY, "agent")];
        let api_keys = keys
            .map(|(name, key, role)| (name.to_owned(), Secret::new(format!("{key}:{role}"))))
            .into();
        let settings = Settings { http, auth: Auth { api_keys, ..Auth::default() } };
        let gateway = Gateway::bind(fleet.engine.clone(), &settings, stop.clone()).await.unwrap();
        let url = format!("http://{}/events", gateway.address());
        let mut serving = JoinSet::new();
        serving.spawn(gateway.serve());
        Self { fleet, stop, url, client: reqwest::Client::new(), serving }
    }

    /// Waits for the gateway to end after its stop; for a request that is stuck it would wait much longer.
    pub async fn ended(&mut self) {
        within("the end of the gateway", self.serving.join_next()).await.unwrap().unwrap().unwrap();
    }

    /// Ends the test: nothing may hang, and the doctor must find nothing.
    pub async fn finish(mut self) {
        self.fleet.engine.stop().cancel();
        self.stop.cancel();
        self.ended().await;
        self.fleet.finish().await;
    }

    /// Ends a test whose log was written to by hand.
    pub fn discard(self) {
        self.fleet.discard();
    }

    pub async fn get(&self, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let request = self.client.get(format!("{}{query}", self.url)).header("x-api-key", KEY);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        within("the head of an answer", request.send()).await.unwrap()
    }

    /// What comes back for this body, which the key `crew` sends to `path` as JSON.
    pub async fn post(&self, path: &str, body: String) -> reqwest::Response {
        let request = self.client.post(self.url.replace("/events", path));
        let request =
            request.header("x-api-key", CREW_KEY).header("content-type", "application/json");
        within("an answer", request.body(body).send()).await.unwrap()
    }

    /// What the key `crew` reads at `path`.
    pub async fn read(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(self.url.replace("/events", path));
        within("an answer", request.header("x-api-key", CREW_KEY).send()).await.unwrap()
    }

    /// A stream; its opening is read.
    pub async fn open(&self, query: &str, headers: &[(&str, &str)]) -> Reader {
        let response = self.get(query, headers).await;
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let mut reader = Reader { response, text: String::new(), opening: Block::default() };
        reader.opening = reader.block().await.unwrap();
        reader
    }

    /// A stream that goes on after `id`.
    pub async fn resume(&self, id: &str) -> Reader {
        self.open("", &[("last-event-id", id)]).await
    }

    /// A page.
    pub async fn page(&self, query: &str) -> Value {
        self.get(query, &[("accept", "application/json")]).await.json().await.unwrap()
    }

    /// A client that asks for the stream and then does not read; its system takes as little as it can.
    pub async fn drowsy(&self, query: &str) -> Sleeper {
        // 1.0: the body is what comes until the end of the connection.
        self.bare(query, "1.0").await
    }

    /// A client of no more than a socket.
    pub async fn bare(&self, query: &str, version: &str) -> Sleeper {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let host = self.url.split('/').nth(2).unwrap();
        let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
        let request = format!(
            "GET /events{query} HTTP/{version}\r\nHost: {host}\r\nX-API-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") {
            text.push(within("the opening", stream.read_u8()).await.unwrap());
        }
        Sleeper { stream, text }
    }

    /// Alice publishes an event with a number in its payload.
    pub async fn publish(&self, event_type: &str, number: u64) -> Uuid {
        self.publish_with(event_type, |event| event.payload = json(&format!(r#"{{"n":{number}}}"#)))
            .await
    }

    pub async fn publish_with(&self, event_type: &str, change: impl FnOnce(&mut NewEvent)) -> Uuid {
        let mut event = new_event(event_type);
        change(&mut event);
        self.fleet.engine.publish(&self.fleet.people.alice, event).await.unwrap()
    }
}

/// A client that reads a stream.
pub struct Reader {
    pub response: reqwest::Response,
    pub opening: Block,
    text: String,
}

impl Reader {
    /// The next block of any kind; none: the stream has ended.
    pub async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = Block::take(&mut self.text) {
                return Some(block);
            }
            let chunk =
                within("the next bytes of a stream", self.response.chunk()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next block that is an event.
    pub async fn next(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if !block.event.is_empty() {
                return block;
            }
        }
    }

    /// The numbers of the next `count` events.
    pub async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            numbers.push(self.next().await.number());
        }
        numbers
    }
}

/// A client that does not read.
pub struct Sleeper {
    stream: TcpStream,
    text: Vec<u8>,
}

impl Sleeper {
    /// Wakes up and reads all that comes until the end of the stream.
    pub async fn wake(mut self) -> Vec<Block> {
        within("the end of the stream", self.stream.read_to_end(&mut self.text)).await.unwrap();
        let text = String::from_utf8(self.text).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        body.split_terminator("\n\n").map(Block::read).collect()
    }
}
