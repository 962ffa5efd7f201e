//! The audit log, with all that a reader needs to check it himself.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;

use crate::domain::audit::{AuditChain, AuditEntry};
use crate::engine::Page;

use super::{At, at};

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "AuditEntry")]
pub struct AuditEntryView {
    /// In whose chain it is; each partition has one.
    pub partition: u8,
    /// Its number there, from 1 on without a gap.
    pub sequence: u64,
    /// When; never before the entry before it.
    pub at: At,
    /// Who, such as `user:alice` or `key:ops`; `orchestrator` for what a gateway noted itself.
    pub actor: String,
    /// From where: the address at the other end of the HTTP connection, which may be a proxy's (headers such as
    /// `X-Forwarded-For` are not believed), `nats` or `configuration`; null: not known.
    pub origin: Option<String>,
    /// What was done. Known: approve, reject, cancel, requeue, pause, resume, key.added, key.removed, key.changed.
    pub action: String,
    /// To what: `task:<id>`, `approval:<id>`, `agent:<name>`, `key:<name>`, or `secret:jwt`, which tokens are signed with.
    pub subject: String,
    /// What more there is to say, by name.
    pub detail: BTreeMap<String, String>,
    /// The hash of the entry before it; 64 zeros: there was none.
    pub previous: String,
    /// SHA-256, hexadecimal, over the netstrings (`<bytes>:<text>,`) of previous, partition, sequence, at, actor, origin
    /// (`0:,` if null), action, subject, and the name and the text of each detail, in the order of the names' bytes;
    /// every one as it stands here.
    pub hash: String,
}

/// Where a partition's chain begins and ends.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(rename = "AuditChain")]
pub struct AuditChainView {
    /// Whose.
    pub partition: u8,
    /// The number of its newest entry; 0: there was never one.
    pub sequence: u64,
    /// The hash of its newest entry, or 64 zeros. Kept elsewhere, it proves later that nothing up to it was changed.
    pub hash: String,
    /// How many entries are gone because their retention was over: the oldest one kept has the number after this.
    pub trimmed: u64,
    /// The hash of the newest entry that is gone, which the oldest one kept follows on, or 64 zeros.
    pub trimmed_hash: String,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Serialize, Object)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntryView>,
    /// What to send as `cursor` for the next page; null: this was the last.
    pub next_cursor: Option<String>,
    /// The chain of each partition, as it was when the page was read.
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
        Self {
            partition: chain.partition.0,
            sequence: chain.sequence,
            hash: chain.hash,
            trimmed: chain.trimmed,
            trimmed_hash: chain.trimmed_hash,
        }
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
