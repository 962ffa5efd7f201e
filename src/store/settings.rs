//! The settings of the store: the section `[store]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::name::Prefix;
use crate::runtime::address::Address;
use crate::runtime::secret::Secret;

/// How the gateway connects to the store, and how it uses it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The URL of Redis: `redis://`, `rediss://`, `unix://`, `redis-sentinel://` or
    /// `redis-cluster://`, with user and password if Redis requires them.
    pub url: Address,
    /// The prefix of every key and channel. Deployments that share one Redis have different ones.
    pub prefix: Prefix,
    /// The number of partitions of the keyspace, 1 to 256. The first process writes it to Redis,
    /// which then refuses processes with another number.
    pub partitions: u16,
    /// How long an answer may take, in milliseconds.
    pub response_timeout_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The PEM file of the authorities that a `rediss://` server is checked against. Empty for
    /// those of the system.
    pub tls_ca_file: String,
    /// The PEM file of the client's certificate, for a `rediss://` server that requires one. Empty
    /// for none.
    pub tls_cert_file: String,
    /// The PEM file of the key of that certificate. Empty for none.
    pub tls_key_file: String,
    /// How many replicas must confirm a write before a caller gets its answer. 0 if the primary is
    /// enough.
    pub wait_replicas: u16,
    /// How long the replicas may take to confirm, in milliseconds.
    pub wait_timeout_ms: u64,
    /// How payloads and results are encrypted.
    pub encryption: Encryption,
    /// About how many entries of the event log each partition keeps.
    #[serde(skip)]
    pub events_kept: u64,
    /// How many bytes of the event log all partitions together keep.
    #[serde(skip)]
    pub events_bytes: u64,
}

/// How payloads and results are encrypted: the section `[store.encryption]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The id of the key for new texts. Empty to store them as they are.
    pub key: String,
    /// The keys by their ids: each 32 bytes in base64, or `file:` and the path of a file with them.
    pub keys: BTreeMap<String, Secret>,
}

impl Settings {
    /// Returns the limits of a partition's event log as scripts read them: `<entries> <bytes>`.
    pub(super) fn events_to_keep(&self) -> String {
        format!("{} {}", self.events_kept, self.events_bytes / u64::from(self.partitions.max(1)))
    }
}
