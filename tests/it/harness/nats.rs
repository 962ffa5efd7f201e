//! The private NATS server of one test, and what its stream holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer::pull::OrderedConfig, stream};
use futures_util::{StreamExt, TryStreamExt};
use orchestrator::domain::ids::Partition;
use orchestrator::transport;
use serde_json::Value;
use tempfile::TempDir;

use super::processes::free_port;
use super::{Redis, defaults, eventually, key_of};

/// The stream that bridges make.
pub const STREAM: &str = "ORCHESTRATOR_EVENTS";

/// A NATS server that only this test knows.
pub struct Nats {
    /// None: it was killed.
    child: Option<Child>,
    /// Its configuration but for where it listens.
    config: String,
    port: u16,
    home: TempDir,
}

/// One message of the stream, or one that a subscriber got.
#[derive(Clone, Debug)]
pub struct Message {
    pub subject: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.as_str())
    }

    /// What it is deduplicated by.
    pub fn id(&self) -> &str {
        self.header("Nats-Msg-Id").unwrap_or_else(|| panic!("no message id: {self:?}"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<async_nats::Message> for Message {
    fn from(message: async_nats::Message) -> Self {
        let body = String::from_utf8(message.payload.to_vec()).unwrap();
        Self {
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            body,
        }
    }
}

impl Nats {
    /// A server with JetStream.
    pub async fn start() -> Self {
        Self::told("").await
    }

    /// A server without JetStream.
    pub async fn plain() -> Self {
        Self::configured(|_| String::new()).await
    }

    /// A server with JetStream and these lines in its configuration.
    pub async fn told(config: &str) -> Self {
        Self::configured(|home| format!("{}{config}", jetstream_in(home))).await
    }

    /// A server with this configuration, made for its directory.
    pub async fn configured(config: impl FnOnce(&Path) -> String) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut nats = Self { child: None, config: config(home.path()), port: free_port(), home };
        nats.launch().await;
        nats
    }

    async fn launch(&mut self) {
        let file = self.home.path().join("nats.conf");
        let listen = format!("listen: \"127.0.0.1:{}\"\n", self.port);
        std::fs::write(&file, listen + &self.config).unwrap();
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&file).arg("--ports_file_dir").arg(self.home.path());
        command.arg("-l").arg(self.home.path().join("nats.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.child.insert(command.spawn().unwrap());
        // It is written once the server takes connections.
        let ports = self.home.path().join(format!("nats-server_{}.ports", child.id()));
        eventually("nats-server answers", async || {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if text.contains(&self.port.to_string()) {
                return Ok(());
            }
            Err(std::fs::read_to_string(self.home.path().join("nats.log")))
        })
        .await;
        let _ = std::fs::remove_file(ports);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// How a bridge reaches it.
    pub fn settings(&self) -> transport::Settings {
        transport::Settings { url: self.url().into(), ..defaults().nats }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it where it was, with the data that it had.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.launch().await;
    }

    /// Starts it where it was, with another configuration.
    pub async fn start_otherwise(&mut self, config: &str) {
        self.config = config.to_owned();
        self.start_again().await;
    }

    /// Throws away what it stores.
    pub fn forget(&self) {
        assert!(self.child.is_none(), "it runs");
        std::fs::remove_dir_all(self.home.path().join("js")).unwrap();
    }

    /// A client outside the orchestrator.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }

    /// A stream of this form, as an operator makes it.
    pub async fn make_stream(&self, config: stream::Config) -> stream::Stream {
        jetstream::new(self.client().await).create_stream(config).await.unwrap()
    }

    /// How many messages the stream has; none: it is not there.
    pub async fn stream_size(&self) -> Option<u64> {
        let stream = jetstream::new(self.client().await).get_stream(STREAM).await.ok()?;
        Some(stream.cached_info().state.messages)
    }

    /// Waits until the stream has this many events.
    pub async fn grows_to(&self, wanted: usize) {
        let wanted = u64::try_from(wanted).unwrap();
        eventually(&format!("the stream has {wanted} events"), async || {
            match self.stream_size().await {
                Some(size) if size >= wanted => Ok(()),
                size => Err(size),
            }
        })
        .await;
    }

    /// The whole stream, oldest first.
    pub async fn stream(&self) -> Vec<Message> {
        let stream = jetstream::new(self.client().await).get_stream(STREAM).await.unwrap();
        let size = usize::try_from(stream.cached_info().state.messages).unwrap();
        if size == 0 {
            return Vec::new();
        }
        let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap().take(size);
        messages.map_ok(|message| Message::from(message.message)).try_collect().await.unwrap()
    }

    /// Asserts that everything in the logs of that many partitions is in the stream soon: each event once, those of
    /// a task in their order. Returns how many there are.
    pub async fn holds_the_log_of(&self, redis: &Redis, partitions: u8) -> usize {
        let mut log = Vec::new();
        for partition in 0..partitions {
            log.extend(redis.events(Partition(partition)).await);
        }
        self.grows_to(log.len()).await;
        let stream = self.stream().await;
        let once: BTreeSet<_> = stream.iter().map(Message::id).collect();
        assert_eq!(once.len(), stream.len(), "ids that are more than once in the stream");
        let known: BTreeSet<_> = log.iter().map(|event| event.id.to_string()).collect();
        assert!(
            known.iter().map(String::as_str).eq(once),
            "the stream holds other events than the log"
        );
        let told = by_task(stream.iter().map(|message| (message.json(), message.id().to_owned())));
        let happened = by_task(log.into_iter().map(|event| (event.body, event.id.to_string())));
        assert!(told == happened, "events of one task are out of order");
        stream.len()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process outside that calls over NATS with one API key.
pub struct NatsCaller {
    client: async_nats::Client,
    key: String,
}

impl NatsCaller {
    /// One with the key of this name, connected to the server at `url` as long as there is one.
    pub async fn connect(url: &str, name: &'static str) -> Self {
        Self::with_key(url, &key_of(name)).await
    }

    /// One with this key.
    pub async fn with_key(url: &str, key: &str) -> Self {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        Self { client: options.connect(url).await.unwrap(), key: key.to_owned() }
    }

    /// The status and the body of what is answered within `limit`.
    pub async fn ask(
        &self,
        subject: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<(u16, Value), async_nats::RequestErrorKind> {
        let mut headers = HeaderMap::new();
        headers.insert("X-API-Key", self.key.as_str());
        let request = async_nats::Request::new().headers(headers).timeout(Some(limit));
        let request = request.payload(body.to_string().into());
        let answer = self.client.send_request(subject.to_owned(), request).await;
        let answer = Message::from(answer.map_err(|error| error.kind())?);
        let status = answer.header("Orchestrator-Status").unwrap().parse().unwrap();
        Ok((status, answer.json()))
    }
}

/// The lines of a configuration that switch JetStream on.
pub fn jetstream_in(home: &Path) -> String {
    format!("jetstream {{ store_dir: \"{}\" }}\n", home.join("js").display())
}

/// The events' ids by their task.
fn by_task(events: impl Iterator<Item = (Value, String)>) -> BTreeMap<String, Vec<String>> {
    let mut tasks = BTreeMap::<_, Vec<_>>::new();
    for (event, id) in events.filter(|(event, _)| event["task_id"].is_string()) {
        tasks.entry(event["task_id"].to_string()).or_default().push(id);
    }
    tasks
}
