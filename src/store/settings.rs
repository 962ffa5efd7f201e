//! What an operator can set about the store: the section `[store]`.

use serde::Deserialize;

use crate::domain::name::Prefix;
use crate::runtime::address::Address;

/// How the store is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `redis://`, `rediss://`, `unix://` or `redis-sentinel://`, with user and password where needed.
    pub url: Address,
    /// What every key and channel begins with: deployments that share one Redis differ in it.
    pub prefix: Prefix,
    /// Into how many slices the keyspace is cut, 1 to 256. Written to Redis on first use; another number is
    /// refused from then on.
    pub partitions: u16,
    /// How long an answer may take, in milliseconds.
    pub response_timeout_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// PEM file of the authorities that a `rediss://` server is checked against; empty: the system's.
    pub tls_ca_file: String,
    /// PEM file of the client's certificate, for a `rediss://` server that asks for one; empty: none.
    pub tls_cert_file: String,
    /// PEM file of that certificate's key.
    pub tls_key_file: String,
    /// How many replicas must have a write before somebody is told that it is done; 0: the primary is enough.
    pub wait_replicas: u16,
    /// How long they may take, in milliseconds.
    pub wait_timeout_ms: u64,
    /// About how many entries of the event log to keep in each partition.
    #[serde(skip)]
    pub events_kept: u64,
    /// How many bytes of the event log to keep, of all partitions together.
    #[serde(skip)]
    pub events_bytes: u64,
}

impl Settings {
    /// What each partition keeps of the event log, as scripts read it: entries, a space, bytes.
    pub(super) fn events_to_keep(&self) -> String {
        format!("{} {}", self.events_kept, self.events_bytes / u64::from(self.partitions.max(1)))
    }
}
