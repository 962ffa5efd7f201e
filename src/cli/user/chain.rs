//! The verification of the audit log on this side: every hash is computed again from what the
//! service returns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::text::hex;

/// A page of the audit log, with the members of the API.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub items: Vec<Entry>,
    pub next_cursor: Option<String>,
    pub chains: Vec<Ends>,
}

/// An entry of the audit log, with the members of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub partition: u8,
    pub sequence: u64,
    pub at: String,
    pub actor: String,
    pub origin: Option<String>,
    pub action: String,
    pub subject: String,
    pub detail: BTreeMap<String, String>,
    pub previous: String,
    pub hash: String,
}

/// The two ends of a partition's chain, as the service reports them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Ends {
    pub partition: u8,
    pub sequence: u64,
    pub hash: String,
    pub trimmed: u64,
    pub trimmed_hash: String,
}

impl Entry {
    /// Returns the hash that the entry must have.
    pub fn digest(&self) -> String {
        let partition = self.partition.to_string();
        let sequence = self.sequence.to_string();
        let origin = self.origin.as_deref().unwrap_or_default();
        let fixed = [
            &self.previous,
            &partition,
            &sequence,
            &self.at,
            &self.actor,
            origin,
            &self.action,
            &self.subject,
        ];
        let details = self.detail.iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
        let mut hash = Sha256::new();
        for text in fixed.into_iter().chain(details) {
            hash.update(format!("{}:{text},", text.len()));
        }
        hex(&hash.finalize())
    }
}

/// The result of the verification of all pages.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// A summary of each partition's chain.
    pub chains: Vec<Summary>,
    /// A sentence for each fault; empty if the log is complete and unchanged.
    pub faults: Vec<String>,
}

/// The summary of one partition's chain.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub partition: u8,
    /// The number of entries that the service returned.
    pub entries: u64,
    /// The time of the oldest entry. `None` if there is no entry.
    pub from: Option<String>,
    /// The time of the newest entry. `None` if there is no entry.
    pub to: Option<String>,
    /// The number of the last entry that was deleted after its retention; 0 if none was.
    pub trimmed: u64,
    /// The number of the newest entry.
    pub sequence: u64,
    /// The hash of the newest entry, to keep elsewhere and expect later.
    pub head: String,
}

/// The verification of every chain, from the newest entry to the oldest.
#[derive(Debug, Default)]
pub struct Chains {
    walks: BTreeMap<u8, Walk>,
    /// The hashes that must still occur.
    expected: Vec<String>,
    faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Walk {
    /// The ends as on the first page. Later entries do not belong to this verification.
    head: Ends,
    seen: Vec<u64>,
    newest: Option<String>,
    /// The entry before this one in the order of reading.
    above: Option<Entry>,
    /// Whether the hash of that entry was wrong, so that its `previous` proves nothing.
    is_changed: bool,
}

impl Chains {
    /// Starts a verification in which these hashes must occur.
    pub fn expecting(hashes: Vec<String>) -> Self {
        let expected = hashes.iter().map(|hash| hash.to_lowercase()).collect();
        Self { expected, ..Self::default() }
    }

    /// Verifies the next page.
    pub fn see(&mut self, page: &Page) {
        for head in &page.chains {
            let walk = self.walks.entry(head.partition);
            walk.or_insert_with(|| Walk { head: head.clone(), ..Walk::default() });
            self.meet(&head.trimmed_hash);
        }
        for entry in &page.items {
            self.meet(&entry.hash);
            let Some(walk) = self.walks.get_mut(&entry.partition) else {
                self.faults.push(format!("{}: the partition has no chain", name(entry)));
                continue;
            };
            let faults = walk.step(entry).into_iter();
            self.faults.extend(faults.map(|fault| format!("{}: {fault}", name(entry))));
        }
    }

    fn meet(&mut self, hash: &str) {
        self.expected.retain(|expected| expected != hash);
    }

    /// Ends the verification and returns its result. `last` are the chains of the last page.
    pub fn finish(mut self, last: &[Ends]) -> Findings {
        let mut chains = Vec::new();
        for (partition, walk) in self.walks {
            let trimmed =
                last.iter().find(|ends| ends.partition == partition).unwrap_or(&walk.head);
            let faults = walk.ends(trimmed).into_iter();
            self.faults.extend(faults.map(|fault| format!("partition {partition}: {fault}")));
            chains.push(Summary {
                partition,
                entries: walk.seen.len() as u64,
                from: walk.above.map(|entry| entry.at),
                to: walk.newest,
                trimmed: trimmed.trimmed,
                sequence: walk.head.sequence,
                head: walk.head.hash,
            });
        }
        let lost = self.expected.iter();
        self.faults.extend(lost.map(|hash| format!("no entry has the expected hash {hash}")));
        Findings { chains, faults: self.faults }
    }
}

fn name(entry: &Entry) -> String {
    format!("partition {}, entry {}", entry.partition, entry.sequence)
}

impl Walk {
    /// Returns the faults of the next older entry.
    fn step(&mut self, entry: &Entry) -> Vec<String> {
        let mut faults = Vec::new();
        let is_changed = entry.digest() != entry.hash;
        let (above, follows) = match &self.above {
            Some(above) => (above.sequence, &above.previous),
            None => (self.head.sequence.saturating_add(1), &self.head.hash),
        };
        if is_changed {
            faults.push("was changed: its hash does not match its content".to_owned());
        }
        if entry.sequence >= above {
            faults.push(match &self.above {
                Some(above) => format!("stands out of order, before entry {}", above.sequence),
                None => format!("stands after the newest known entry {}", self.head.sequence),
            });
        } else if !is_changed
            && !self.is_changed
            && entry.sequence.saturating_add(1) == above
            && entry.hash != *follows
        {
            faults.push(format!("was changed: what comes after it follows the hash {follows}"));
        }
        self.seen.push(entry.sequence);
        self.newest.get_or_insert_with(|| entry.at.clone());
        self.above = Some(entry.clone());
        self.is_changed = is_changed;
        faults
    }

    /// Returns the missing entries, and a fault if the oldest entry does not follow the trimmed
    /// one.
    fn ends(&self, trimmed: &Ends) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = self.seen.clone();
        seen.sort_unstable();
        let mut expected = trimmed.trimmed.saturating_add(1);
        for sequence in seen.into_iter().chain([self.head.sequence.saturating_add(1)]) {
            if sequence == expected.saturating_add(1) {
                faults.push(format!("entry {expected} is missing"));
            } else if sequence > expected {
                faults.push(format!("entries {expected} to {} are missing", sequence - 1));
            }
            expected = expected.max(sequence.saturating_add(1));
        }
        let follows = match &self.above {
            Some(_) if self.is_changed => None,
            Some(oldest) if oldest.sequence == trimmed.trimmed.saturating_add(1) => {
                Some(&oldest.previous)
            }
            None if self.head.sequence == trimmed.trimmed => Some(&self.head.hash),
            // Reported above, or trimmed during the verification.
            Some(_) | None => None,
        };
        if follows.is_some_and(|hash| *hash != trimmed.trimmed_hash) {
            faults.push(format!(
                "the oldest entry does not follow the deleted one with the hash {}",
                trimmed.trimmed_hash
            ));
        }
        faults
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
