//! The nodes of a Redis Cluster, as its URL and `CLUSTER SLOTS` name them.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, RedisResult, TlsCertificates, Value};
use tokio::time::timeout;

use crate::runtime::address::Url;

use super::super::client::client;

/// The scheme of the URL: `redis-cluster://[[user:]password@]host[:port][,host[:port]…]`.
const SCHEME: &str = "redis-cluster";

/// The same, with TLS to every node.
const SECURE_SCHEME: &str = "rediss-cluster";

/// The schemes of this module.
pub(in super::super) const SCHEMES: [&str; 2] = [SCHEME, SECURE_SCHEME];

/// The port of a node, unless the URL has one.
const PORT: u16 = 6379;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// How long a node may take to describe the cluster.
const LIMIT: Duration = Duration::from_millis(500);

/// The host and the port of a node.
pub(in super::super) type Address = (String, u16);

/// How to reach the nodes of a cluster.
pub(in super::super) struct Cluster {
    /// The scheme of the URL of one node.
    scheme: &'static str,
    /// User and password as in the URL, up to the `@`. Empty if there are none.
    credentials: String,
    /// The nodes that the URL names.
    pub seeds: Vec<Address>,
    certificates: Option<TlsCertificates>,
}

/// Which node serves which slots, as one node describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// The first and the last slot of each range, and the primary that serves it.
    ranges: Vec<(u16, u16, Address)>,
    /// Every node, replicas included.
    pub nodes: Vec<Address>,
}

impl Cluster {
    /// Reads a URL of this module's schemes that the check of settings accepts.
    pub fn read(url: &str, certificates: Option<TlsCertificates>) -> RedisResult<Self> {
        let fault = |why| (ErrorKind::InvalidClientConfig, "not a URL of a cluster", why);
        let read = Url::read(url).map_err(|why| fault(why.to_owned()))?;
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let credentials = match rest.rsplit_once('@') {
            // As in Lettuce, credentials without a colon are a password.
            Some((text, _)) if !text.contains(':') => format!(":{text}@"),
            Some((text, _)) => format!("{text}@"),
            None => String::new(),
        };
        let hosts = read.hosts.into_iter();
        Ok(Self {
            scheme: if read.scheme == SECURE_SCHEME { "rediss" } else { "redis" },
            credentials,
            seeds: hosts.map(|(host, port)| (host.to_owned(), port.unwrap_or(PORT))).collect(),
            certificates,
        })
    }

    /// Returns whether the client can use this URL.
    pub fn is_usable(url: &str) -> bool {
        let cluster = Self::read(url, None);
        cluster.is_ok_and(|cluster| cluster.seeds.iter().all(|seed| cluster.client(seed).is_ok()))
    }

    /// Returns a client of one node.
    pub fn client(&self, (host, port): &Address) -> RedisResult<redis::Client> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = format!("{}://{}{host}:{port}", self.scheme, self.credentials);
        client(&url, self.certificates.as_ref())
    }

    /// Asks all these nodes at once. Returns the first good answer.
    pub(super) async fn topology(&self, nodes: &[Address]) -> RedisResult<Topology> {
        let mut asked: FuturesUnordered<_> = nodes.iter().map(|node| self.ask(node)).collect();
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable).into();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(topology) => return Ok(topology),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, node: &Address) -> RedisResult<Topology> {
        let client = self.client(node)?;
        let asked = timeout(LIMIT, async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await
        });
        let answer =
            asked.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let unreadable = (ErrorKind::Parse, "unreadable answer to CLUSTER SLOTS");
        let topology = Topology::read(answer, node).ok_or(unreadable)?;
        if topology.ranges.is_empty() {
            // As the server itself answers, with a word of the table of answers.
            let why = Some("the cluster has no slots".to_owned());
            return Err(redis::make_extension_error("CLUSTERDOWN".to_owned(), why));
        }
        Ok(topology)
    }
}

impl Topology {
    /// Reads the answer of `CLUSTER SLOTS` by the node `asked`. `None` if it is unreadable.
    fn read(answer: Value, asked: &Address) -> Option<Self> {
        let mut topology = Self { ranges: Vec::new(), nodes: Vec::new() };
        for range in answer.into_sequence().ok()? {
            let mut parts = range.into_sequence().ok()?.into_iter();
            let first = redis::from_redis_value(parts.next()?).ok()?;
            let last = redis::from_redis_value(parts.next()?).ok()?;
            let nodes = parts.map(|node| read_node(node, asked)).collect::<Option<Vec<_>>>()?;
            topology.ranges.push((first, last, nodes.first()?.clone()));
            for node in nodes {
                if !topology.nodes.contains(&node) {
                    topology.nodes.push(node);
                }
            }
        }
        Some(topology)
    }

    /// Returns the primary that serves the slot. `None` if no node does.
    pub fn primary_of(&self, slot: u16) -> Option<&Address> {
        let mut ranges = self.ranges.iter();
        ranges.find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(.., node)| node)
    }
}

/// Reads a node. A host that is missing or empty is the one that was asked.
fn read_node(node: Value, asked: &Address) -> Option<Address> {
    let mut parts = node.into_sequence().ok()?.into_iter();
    let host: Option<String> = redis::from_redis_value(parts.next()?).ok()?;
    let port = redis::from_redis_value(parts.next()?).ok()?;
    let host = host.filter(|host| !host.is_empty() && host != "?");
    Some((host.unwrap_or_else(|| asked.0.clone()), port))
}

/// Returns the slot of a key: that of its hash tag, if it has one.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// The CRC-16 of XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::keys::Keys;
    use super::*;
    use crate::domain::ids::Partition;

    #[test]
    fn a_key_has_the_slot_of_its_hash_tag() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT` of Redis 7.0 answers.
        let keys = Keys::new(&"orchestrator".parse().unwrap());
        for (key, slot) in [
            (keys.events(Partition(0)), 13_907),
            (keys.prefix(Partition(3)), 1_584),
            (keys.layout(), 10_717),
            ("foo{}{bar}".to_owned(), 8_363),
            ("foo".to_owned(), 12_182),
        ] {
            assert_eq!(slot_of(&key), slot, "{key}");
        }
    }

    #[test]
    fn a_url_gives_nodes_and_credentials() {
        for (url, credentials) in [
            ("redis-cluster://one,two:1,[::1]:2", ""),
            ("redis-cluster://secret@one,two:1,[::1]:2", ":secret@"),
            ("rediss-cluster://ops:s%40fe@one,two:1,[::1]:2", "ops:s%40fe@"),
        ] {
            let cluster = Cluster::read(url, None).unwrap();

            let nodes = [("one", 6379), ("two", 1), ("::1", 2)];
            let nodes = nodes.map(|(host, port)| (host.to_owned(), port));
            assert_eq!((&*cluster.credentials, &*cluster.seeds), (credentials, &nodes[..]));
            let info = cluster.client(&nodes[2]).unwrap().get_connection_info().clone();
            assert_eq!(info.addr().to_string(), "::1:2");
        }
    }

    #[test]
    fn a_node_without_a_host_is_the_one_that_was_asked() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, last, nodes: [Value; 2]| {
            let [primary, replica] = nodes;
            Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
        };
        let answer = Value::Array(vec![
            range(0, 99, [node(text(""), 1), node(Value::Nil, 2)]),
            range(100, 16_383, [node(text("other"), 3), node(text("other"), 4)]),
        ]);

        let topology = Topology::read(answer, &("asked".to_owned(), 9)).unwrap();

        let address = |host: &str, port| (host.to_owned(), port);
        assert_eq!(topology.primary_of(99), Some(&address("asked", 1)));
        assert_eq!(topology.primary_of(100), Some(&address("other", 3)));
        assert_eq!(topology.nodes.len(), 4);
        assert_eq!(Topology::read(Value::Int(1), &address("asked", 9)), None);
    }
}
