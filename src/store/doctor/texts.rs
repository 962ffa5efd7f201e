//! The encryption of stored texts: the doctor counts them by their keys, finds those that cannot be
//! decrypted, and puts texts of other keys under the current one.

use std::collections::{BTreeMap, HashMap};

use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::task::Task;

use super::super::codec::cipher::{Place, key_of};
use super::super::codec::fields::bytes_text;
use super::super::{Error, Parts, Store, args, script};
use super::{Finding, Problem, Repair};

/// How many texts there are under each key. Those that are stored as they are count under ``.
pub type Texts = BTreeMap<String, u64>;

/// How many bytes of texts one call puts under another key, about.
const AT_ONCE: usize = 1 << 20;

/// How many approvals are read in one round trip. Each may have some 2 MB of texts.
const APPROVALS_AT_ONCE: usize = 10;

/// How many bytes of tasks one call reads to compute their digests.
const DIGESTED_AT_ONCE: usize = 1 << 20;

/// What a check does about the texts that it reads.
#[derive(Clone, Copy)]
pub(super) struct Work {
    /// Whether texts that are not as a new one would be are encrypted again.
    pub is_rewriting: bool,
    /// Whether the check repairs what it finds.
    pub is_repair: bool,
}

/// A text as it is stored.
pub(super) struct Stored {
    /// The hash without the prefix of its partition.
    hash: String,
    field: String,
    place: Place,
    text: String,
}

impl Stored {
    /// Returns the texts among the fields and values of a hash, which this name ends.
    pub fn all_in(hash: &str, pairs: &[String]) -> Vec<Self> {
        let place: fn(TaskId) -> Place = match hash {
            "specs" => Place::Spec,
            "results" => Place::Result,
            _ => return Vec::new(),
        };
        let pairs: BTreeMap<_, _> =
            pairs.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect();
        let texts = pairs.into_iter().filter_map(|(field, text)| {
            let place = place(field.parse().ok()?);
            Some(Self { hash: hash.to_owned(), field: field.clone(), place, text: text.clone() })
        });
        texts.collect()
    }
}

impl Store {
    /// Checks whether these texts can be decrypted, and adds them to the counts. If the
    /// work is rewriting, those that are not as a new text would be are replaced.
    pub(super) async fn check_texts(
        &self,
        partition: Partition,
        texts: &[Stored],
        work: Work,
        counts: &mut Texts,
    ) -> Result<Vec<Finding>, Error> {
        let cipher = &self.shared.cipher;
        let mut findings = Vec::new();
        let (mut stale, mut bytes) = (args(), 0);
        for Stored { hash, field, place, text } in texts {
            let read = match cipher.open(*place, text.clone()) {
                Ok(read) => read,
                Err(Error::Undecryptable { what, why }) => {
                    *counts.entry(key_of(text).to_owned()).or_default() += 1;
                    let subject = hash.strip_prefix("approval:").unwrap_or(field);
                    let problem = Problem::Undecryptable { what, why };
                    findings.push(Finding::new(
                        subject,
                        problem,
                        Repair::impossible_if(work.is_repair),
                    ));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if cipher.is_current(text) || !work.is_rewriting {
                *counts.entry(key_of(text).to_owned()).or_default() += 1;
                continue;
            }
            let new = cipher.seal(*place, &read)?;
            *counts.entry(key_of(&new).to_owned()).or_default() += 1;
            bytes += text.len() + new.len();
            let size = bytes_text(new.len());
            stale.arg(hash).arg(field).arg(text).arg(new).arg(size);
            if bytes >= AT_ONCE {
                let full = std::mem::replace(&mut stale, args());
                let _replaced: u64 = self.run_cold(&script::RESEAL, partition, full).await?;
                bytes = 0;
            }
        }
        if bytes > 0 {
            let _replaced: u64 = self.run_cold(&script::RESEAL, partition, stale).await?;
        }
        Ok(findings)
    }

    /// Checks the texts of these approvals as [`Self::check_texts`] does.
    pub(super) async fn check_texts_of(
        &self,
        partition: Partition,
        approvals: &[String],
        work: Work,
        counts: &mut Texts,
    ) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        if !self.shared.cipher.has_keys() {
            return Ok(findings);
        }
        let ids: Vec<ApprovalId> = approvals.iter().filter_map(|id| id.parse().ok()).collect();
        for ids in ids.chunks(APPROVALS_AT_ONCE) {
            let mut pipe = redis::pipe();
            for id in ids {
                let fields = ["task", "original", "changes", "action"];
                pipe.cmd("HMGET").arg(self.keys().approval(*id)).arg(&fields);
            }
            let hashes: Vec<[Option<String>; 4]> =
                self.query_cold("doctor", partition, &pipe).await?;
            let mut texts = Vec::new();
            for (id, [task, original, changes, action]) in ids.iter().zip(hashes) {
                let Some(task) = task.and_then(|task| task.parse().ok()) else { continue };
                let places = [
                    ("original", Place::Original(task), original),
                    ("changes", Place::Changes(task), changes),
                    ("action", Place::Action(*id), action),
                ];
                texts.extend(places.into_iter().filter_map(|(field, place, text)| {
                    let text = text.filter(|text| !text.is_empty())?;
                    let (hash, field) = (format!("approval:{id}"), field.to_owned());
                    Some(Stored { hash, field, place, text })
                }));
            }
            findings.extend(self.check_texts(partition, &texts, work, counts).await?);
        }
        Ok(findings)
    }

    /// Returns the digest that approvers decide on, for each of these tasks that is readable. The
    /// content of a task changes only while it waits for a decision.
    pub(super) async fn digests(
        &self,
        partition: Partition,
        members: &[String],
    ) -> Result<HashMap<String, String>, Error> {
        let ids: Vec<_> = members.iter().filter_map(|id| id.parse::<TaskId>().ok()).collect();
        let mut rest = ids.as_slice();
        let mut found = HashMap::new();
        let mut at_once = rest.len();
        while !rest.is_empty() {
            let piece = &rest[..at_once.min(rest.len())];
            let read = self.read_cold(partition, piece, Parts::ALL, DIGESTED_AT_ONCE).await;
            let (looked_at, tasks) = match read {
                // Other checks find an unreadable task, which must not hide the others.
                Err(Error::Corrupt { .. } | Error::Undecryptable { .. }) if piece.len() > 1 => {
                    at_once = 1;
                    continue;
                }
                Err(Error::Corrupt { .. } | Error::Undecryptable { .. }) => (1, Vec::new()),
                read => read?,
            };
            found.extend(digests(&tasks));
            rest = rest.get(looked_at.max(1)..).unwrap_or_default();
        }
        Ok(found)
    }
}

fn digests(tasks: &[Task]) -> HashMap<String, String> {
    tasks.iter().map(|task| (task.id.to_string(), task.content(None).digest())).collect()
}
