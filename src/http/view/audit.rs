//! The audit log, with everything that a reader needs to verify it.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::audit::{AuditChain, AuditEntry};
use crate::engine::Page;

use super::{At, at};

/// The actions that are known, for the API document.
pub const ACTIONS: [&str; 16] = [
    "approve",
    "reject",
    "cancel",
    "requeue",
    "reprioritize",
    "bulk",
    "abort",
    "pause",
    "resume",
    "key.added",
    "key.removed",
    "key.changed",
    "key.created",
    "key.rotated",
    "key.revoked",
    "refuse",
];

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "AuditEntry")]
pub struct AuditEntryView {
    /// The partition whose chain the entry belongs to; each has one.
    pub partition: u8,
    /// The number of the entry in its chain, from 1 without a gap.
    pub sequence: u64,
    /// When it was done; never before the previous entry of the chain.
    pub at: At,
    /// Who did it, such as `user:alice` or `key:ops`; `orchestrator` for what a gateway noted
    /// itself.
    pub actor: String,
    /// Where the call came from: the address at the other end of the HTTP connection, or without
    /// a port that of the client which a trusted proxy names; `nats` or `configuration`; null if
    /// unknown.
    pub origin: Option<String>,
    /// What was done.
    pub action: String,
    /// What it was done to: `task:<id>`, `approval:<id>`, `bulk:<id>`, `agent:<name>`,
    /// `key:<name>`, `secret:jwt`, which signs tokens, `secret:oidc`, that of the identity provider,
    /// or `call:<method> <path>`, which was refused.
    pub subject: String,
    /// More facts about the action, by name.
    pub detail: BTreeMap<String, String>,
    /// The hash of the previous entry of the chain; 64 zeros for the first.
    pub previous: String,
    /// SHA-256, hexadecimal, over the netstrings (`<bytes>:<text>,`) of previous, partition,
    /// sequence, at, actor, origin (`0:,` if null), action, subject, and the name and the text of
    /// each detail, in the order of the names' bytes; each exactly as shown here.
    pub hash: String,
}

/// The ends of a partition's chain.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "AuditChain")]
pub struct AuditChainView {
    /// The partition of the chain.
    pub partition: u8,
    /// The number of its newest entry; 0 if the chain never had one.
    pub sequence: u64,
    /// The hash of its newest entry, or 64 zeros. Keep a copy elsewhere: it proves later that
    /// nothing up to it was changed.
    pub hash: String,
    /// How many entries were removed because their retention ended: the oldest remaining one has
    /// the next number.
    pub trimmed: u64,
    /// The hash of the newest removed entry, which the oldest remaining one continues, or 64 zeros.
    pub trimmed_hash: String,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct AuditPage {
    /// The entries of the page.
    pub items: Vec<AuditEntryView>,
    /// The `cursor` of the next page; null if this is the last page.
    pub next_cursor: Option<String>,
    /// The chain of each partition when the page was read.
    pub chains: Vec<AuditChainView>,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            partition: entry.partition.0,
            sequence: entry.sequence,
            at: at(entry.at),
            actor: entry.actor,
            origin: Some(entry.origin).filter(|origin| !origin.is_empty()),
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            previous: entry.previous,
            hash: entry.hash,
        }
    }
}

impl From<AuditChain> for AuditChainView {
    fn from(chain: AuditChain) -> Self {
        let AuditChain { partition, sequence, hash, trimmed, trimmed_hash } = chain;
        Self { partition: partition.0, sequence, hash, trimmed, trimmed_hash }
    }
}

impl From<(Page<AuditEntry>, Vec<AuditChain>)> for AuditPage {
    fn from((page, chains): (Page<AuditEntry>, Vec<AuditChain>)) -> Self {
        Self {
            items: page.items.into_iter().map(AuditEntryView::from).collect(),
            next_cursor: page.next_cursor,
            chains: chains.into_iter().map(AuditChainView::from).collect(),
        }
    }
}
