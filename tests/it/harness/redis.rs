//! The private Redis of one test, and what is done to it on purpose.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use orchestrator::domain::ids::TaskId;
use orchestrator::runtime::redis_server::{Options, RedisServer};
use redis::FromRedisValue;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::keys::{is_presence, with_word};
use super::processes::{free_port, pause, send};
use super::{BOUND, GRANTS, eventually, key, late, limit, within};

/// A Redis that only this test knows.
pub struct Redis {
    /// None: it was stopped.
    server: Option<RedisServer>,
    options: Options,
    url: String,
    /// Where its data and its socket are, if it can be started again.
    _home: Option<TempDir>,
}

impl Redis {
    /// One that keeps what it has in memory.
    pub async fn start() -> Self {
        Self::told(false, &[]).await
    }

    /// * `is_durable`: whether every write goes to an append-only file, so that a restart brings all of it back.
    /// * `arguments`: more of them for the server.
    pub async fn told(is_durable: bool, arguments: &[&str]) -> Self {
        limit::watch();
        let home = is_durable.then(|| tempfile::tempdir().unwrap());
        let dir = home.as_ref().map(|home| home.path().join("d"));
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let options = Options { dir, has_own_group: false, arguments };
        let server = RedisServer::start(&options).await.unwrap();
        Self { url: server.url(), server: Some(server), options, _home: home }
    }

    /// One that is reached over TLS besides its socket, by clients that this authority has signed; and its URL there.
    pub async fn over_tls(certificate: &Path, key: &Path, authority: &Path) -> (Self, String) {
        let port = free_port().to_string();
        let [certificate, key, authority] =
            [certificate, key, authority].map(|path| path.to_str().unwrap());
        let arguments = [
            ["--tls-port", &port],
            ["--bind", "127.0.0.1"],
            ["--tls-cert-file", certificate],
            ["--tls-key-file", key],
            ["--tls-ca-cert-file", authority],
            ["--tls-auth-clients", "yes"],
        ];
        let redis = Self::told(false, arguments.as_flattened()).await;
        (redis, format!("rediss://127.0.0.1:{port}"))
    }

    /// Starts another one that follows it and has all of it on return.
    pub async fn replicate(&self) -> Self {
        self.followed_by(&[]).await
    }

    /// The same, and the other can be reached by port, so that others may follow it in turn.
    pub async fn replicate_for_others(&self) -> Self {
        self.followed_by(&[
            "--bind",
            "127.0.0.1",
            "--port",
            &free_port().to_string(),
            "--repl-diskless-sync-delay",
            "0",
        ])
        .await
    }

    async fn followed_by(&self, arguments: &[&str]) -> Self {
        let port = free_port().to_string();
        self.ask::<String>(&[
            "CONFIG",
            "SET",
            "repl-diskless-sync-delay",
            "0",
            "bind",
            "127.0.0.1",
            "port",
            &port,
        ])
        .await;
        let primary = format!("127.0.0.1 {port}");
        let replica = Self::told(false, &[&["--replicaof", &primary], arguments].concat()).await;
        eventually("the replica follows", async || {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
        })
        .await;
        replica
    }

    /// Makes it a primary.
    pub async fn promote(&self) {
        self.ask::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Makes it follow a primary that is not there: it takes no writes.
    pub async fn demote(&self) {
        self.ask::<String>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    }

    /// Makes it follow another one that is followed already.
    pub async fn follow(&self, primary: &Self) {
        self.ask::<String>(&["REPLICAOF", "127.0.0.1", &primary.port().await]).await;
    }

    /// The port at which it can be reached besides its socket, once it is followed.
    pub async fn port(&self) -> String {
        let (_, port): (String, String) = self.ask(&["CONFIG", "GET", "port"]).await;
        port
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The answer to one command, over a connection of its own.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.patient_connection().await;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        match command.query_async(&mut connection).await {
            Ok(answer) => answer,
            Err(error) => panic!("{words:?}: {error}"),
        }
    }

    /// What comes back for these very bytes, a call that was caught on its way here.
    pub async fn send(&self, bytes: &[u8]) -> String {
        let socket = self.url().split_once("://").unwrap().1;
        let mut stream = UnixStream::connect(socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    /// A connection whose answers have as long as they need: the machine may be busy.
    pub(super) async fn patient_connection(&self) -> redis::aio::MultiplexedConnection {
        self.try_connection().await.unwrap()
    }

    async fn try_connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Writes events into partition 0 with the numbers from `from` to before `to` and so many bytes each, 50 an
    /// entry, as fast as it takes them in.
    pub async fn flood(&self, from: u64, to: u64, bytes: usize) {
        let mut connection = self.patient_connection().await;
        let filler = "x".repeat(bytes);
        for chunk in (from..to).collect::<Vec<_>>().chunks(50) {
            let mut add = redis::cmd("XADD");
            add.arg(key("events")).arg("*");
            for number in chunk {
                add.arg("e").arg(format!(
                    r#""event_type":"kb.updated","source_agent":"flood","task_id":null,"payload":{{"n":{number},"f":"{filler}"}},"metadata":{{}}}}"#
                ));
            }
            let _: String = add.query_async(&mut connection).await.unwrap();
        }
    }

    /// Writes so many invented agents, each with a session, so many workers of one agent, and so many groups of an hour.
    pub async fn invent(&self, count: usize, now: u64) {
        let mut connection = self.patient_connection().await;
        for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
            let mut pipe = redis::pipe();
            for nth in chunk {
                let agent = format!("invented_{nth}");
                pipe.cmd("ZADD").arg(key("roster")).arg(now).arg(&agent).ignore();
                pipe.cmd("ZADD").arg(key("roster")).arg(now).arg("faq_agent").ignore();
                pipe.cmd("ZADD").arg(key(&format!("sessions:{agent}"))).arg(now).arg("w").ignore();
                pipe.cmd("ZADD").arg(key("sessions:faq_agent")).arg(now).arg(&agent).ignore();
                let hour = key(&format!("sla:{}", now / 3_600_000));
                pipe.cmd("HINCRBY").arg(hour).arg(format!("{agent} faq P2 met")).arg(1).ignore();
            }
            let _: () = pipe.query_async(&mut connection).await.unwrap();
        }
    }

    /// Lets the user `orch` in, and do what the documentation says.
    pub async fn grant_to_lesser_user(&self) {
        let user = ["ACL", "SETUSER", "orch", "on", "resetpass", ">secret"];
        let words = user.into_iter().chain(["resetkeys", "resetchannels"]).chain(GRANTS.split(' '));
        let words: Vec<&str> = words.collect();
        self.ask::<String>(&words).await;
    }

    /// Ends it at once, as a crash does. What it had acknowledged is in its file, if it is durable.
    pub fn kill(&mut self) {
        self.server = None;
    }

    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().pid()
    }

    /// Ends the process behind a Redis that is in use: see [`Redis::kill`].
    pub fn kill_process(pid: u32) {
        send(pid, Signal::KILL);
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(BOUND).await.unwrap();
        }
    }

    /// Starts it again with the data that it had.
    pub async fn start_again(&mut self) {
        assert!(self.options.dir.is_some(), "only a durable Redis can be started again");
        self.server = Some(RedisServer::start(&self.options).await.unwrap());
    }

    /// Starts another one in its place, with nothing in it.
    pub async fn start_empty(&mut self) {
        let dir = self.options.dir.as_ref().unwrap();
        std::fs::remove_dir_all(dir).unwrap();
        self.start_again().await;
    }

    /// Makes it stop answering, though it stays connected, until [`Redis::thaw`]. It has stopped on return.
    pub fn freeze(&self) {
        pause(self.pid());
    }

    pub fn thaw(&self) {
        send(self.pid(), Signal::CONT);
    }

    /// Cuts every connection of this kind: `normal` or `pubsub`. Returns how many there were.
    pub async fn cut_connections(&self, kind: &str) -> i64 {
        self.ask(&["CLIENT", "KILL", "TYPE", kind]).await
    }

    /// Cuts every connection that waits in a blocking command for the log to grow. Returns how many there were.
    pub async fn cut_blocked_connections(&self) -> i64 {
        let mut cuts = 0;
        let clients: String = self.ask(&["CLIENT", "LIST"]).await;
        for client in clients.lines().filter(|client| client.contains(" cmd=xread ")) {
            let id = client.split_whitespace().find_map(|word| word.strip_prefix("id=")).unwrap();
            cuts += self.ask::<i64>(&["CLIENT", "KILL", "ID", id]).await;
        }
        cuts
    }

    /// What it says of its part in replication under this name. Asked again if it cuts the connection, as it does when it
    /// is given another part.
    pub async fn replication(&self, name: &str) -> String {
        let info: String = eventually("it says of its part", async || {
            let mut connection = self.try_connection().await?;
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await
        })
        .await;
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| *found == name).map(|(_, text)| text.to_owned()).collect()
    }

    /// Everything that is stored about tasks, readable: key → content, without what any call may touch or bring back.
    pub async fn dump(&self) -> BTreeMap<String, String> {
        let mut dump = BTreeMap::new();
        for key in self.ask::<Vec<String>>(&["KEYS", "*"]).await {
            if is_presence(&key) {
                continue;
            }
            let kind: String = self.ask(&["TYPE", &key]).await;
            let content = match kind.as_str() {
                "hash" => {
                    format!("{:?}", self.ask::<BTreeMap<String, String>>(&["HGETALL", &key]).await)
                }
                "zset" => {
                    let words = ["ZRANGE", &key, "0", "-1", "WITHSCORES"];
                    let mut members: Vec<(String, String)> = self.ask(&words).await;
                    if key.ends_with(":timers") {
                        // When a group of tasks is due says nothing about the one in question.
                        members.retain(|(member, _)| member.contains('-'));
                    }
                    if members.is_empty() {
                        continue;
                    }
                    format!("{members:?}")
                }
                "set" => {
                    let members: std::collections::BTreeSet<String> =
                        self.ask(&["SMEMBERS", &key]).await;
                    format!("{members:?}")
                }
                "stream" => format!("{} entries", self.ask::<i64>(&["XLEN", &key]).await),
                _ => self.ask(&["GET", &key]).await,
            };
            dump.insert(key, content);
        }
        dump
    }

    /// A planned switchover under one address: another Redis takes over what is stored, and this one, which only follows
    /// then, refuses writes for so long; then it is given back its part. Nothing that was written is lost.
    pub async fn switch_over(&self, pause: Duration) {
        let other = self.replicate_for_others().await;
        self.ask::<String>(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
        follows_closely(self, &other).await;
        other.promote().await;
        self.follow(&other).await;
        self.ask::<String>(&["CLIENT", "UNPAUSE"]).await;
        late(pause).await;
        follows_closely(&other, self).await;
        self.promote().await;
    }

    /// How many libraries of functions it has.
    pub async fn libraries(&self) -> usize {
        self.ask::<Vec<redis::Value>>(&["FUNCTION", "LIST"]).await.len()
    }

    /// Gives (`+`) or takes (`-`) the user of a store permissions to run commands.
    pub async fn permit(&self, sign: &str, commands: &[&str]) {
        let rules: Vec<_> = commands.iter().map(|command| format!("{sign}{command}")).collect();
        let mut words = vec!["ACL", "SETUSER", "orch"];
        words.extend(rules.iter().map(String::as_str));
        self.ask::<String>(&words).await;
    }

    /// Makes it forget every script and every function, as a restart without a disk does.
    pub async fn forget_scripts(&self) {
        self.ask::<String>(&["SCRIPT", "FLUSH"]).await;
        self.ask::<String>(&["FUNCTION", "FLUSH"]).await;
    }

    /// Overwrites a field of a task's record; returns what stood there.
    pub async fn edit_record(&self, id: TaskId, field: &str, word: &str) -> String {
        let id = id.to_string();
        let record: String = self.ask(&["HGET", &key("records"), &id]).await;
        let (edited, old) = with_word(&record, field, word);
        self.ask::<i64>(&["HSET", &key("records"), &id, &edited]).await;
        old
    }

    /// Listens to channels of this pattern from now on.
    pub async fn subscribe(&self, pattern: &str) -> Subscriber {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_async_pubsub().await.unwrap();
        connection.psubscribe(pattern).await.unwrap();
        Subscriber(connection)
    }
}

/// Waits until the replica has everything that the primary has.
pub async fn follows_closely(primary: &Redis, replica: &Redis) {
    eventually("the replica has caught up", async || {
        let link = replica.replication("master_link_status").await;
        let offset = primary.replication("master_repl_offset").await;
        let reached = replica.replication("slave_repl_offset").await;
        if link == "up" && offset == reached { Ok(()) } else { Err((link, offset, reached)) }
    })
    .await;
}

/// How many bytes the Redis at `url` uses.
pub async fn used_memory(url: &str) -> u64 {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

/// A client outside the orchestrator that listens to Redis channels.
pub struct Subscriber(redis::aio::PubSub);

impl Subscriber {
    /// The next message: its channel and its text.
    pub async fn next(&mut self) -> (String, String) {
        let message = within("a message on a channel", self.0.on_message().next()).await;
        let message = message.unwrap();
        (message.get_channel_name().to_owned(), message.get_payload().unwrap())
    }
}
