//! Clients that read the events of a site, as they come or later.

use orchestrator::domain::event::NewEvent;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use crate::harness::{Block, Site, json, key_of, new_event, within};

impl Site {
    /// The head of what the key `reader` is answered at `/events`.
    pub async fn events(&self, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        self.head("/events", query, headers).await
    }

    /// The head of what the key `reader` is answered.
    async fn head(&self, path: &str, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let call = self.call("reader", Method::GET, &format!("{path}{query}"));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        within("the head of an answer", call.0.send()).await.unwrap()
    }

    /// A stream; its opening is read.
    pub async fn stream(&self, query: &str, headers: &[(&str, &str)]) -> Reader {
        let response = self.head("/events/stream", query, headers).await;
        Reader::of(response).await
    }

    /// The stream of those who name its media type at `/events`.
    pub async fn stream_of_events(&self, query: &str) -> Reader {
        Reader::of(self.events(query, &[("accept", "text/event-stream")]).await).await
    }

    /// A stream that goes on after `id`.
    pub async fn resume(&self, id: &str) -> Reader {
        self.stream("", &[("last-event-id", id)]).await
    }

    /// A page.
    pub async fn page(&self, query: &str) -> Value {
        self.events(query, &[]).await.json().await.unwrap()
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
        let mut stream = socket.connect(self.address()).await.unwrap();
        let request = format!(
            "GET /events/stream{query} HTTP/{version}\r\nHost: {}\r\nX-API-Key: {}\r\n\r\n",
            self.address(),
            key_of("reader")
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
    async fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let mut reader = Self { response, text: String::new(), opening: Block::default() };
        reader.opening = reader.block().await.unwrap();
        reader
    }

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
