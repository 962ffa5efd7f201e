//! Reads the audit log, and records changes of credentials and refused calls in it. All other
//! entries are written by the scripts that make the change.

use std::collections::HashMap;

use crate::domain::audit::{AuditChain, AuditEntry, AuditPlace, Credential, NO_HASH};
use crate::domain::ids::Partition;
use crate::domain::principal::{Principal, Role};

use super::{Error, ORCHESTRATOR, Store, args, script};

/// How many changes of credentials one call records. Each takes about 0.5 ms of Redis.
const NOTED_AT_ONCE: usize = 8;

/// The origin of an entry about credentials.
const CONFIGURATION: &str = "configuration";

/// An entry of a stream: its id and its fields.
type Raw = (String, HashMap<String, String>);

impl Store {
    /// Returns up to `limit` entries after `from` from all partitions, newest first, with their
    /// places. Also returns the first and the last hash of each partition's chain, as they were
    /// when its entries were read.
    pub async fn list_audit(
        &self,
        from: Option<AuditPlace>,
        limit: usize,
    ) -> Result<(Vec<(AuditPlace, AuditEntry)>, Vec<AuditChain>), Error> {
        let mut entries = Vec::new();
        let mut chains = Vec::new();
        let mut partitions: Vec<_> = self.partitions().collect();
        partitions.sort();
        for partition in partitions {
            let (found, chain) = self.read_audit(partition, from, limit).await?;
            entries.extend(found);
            chains.push(chain);
            // Only the entries of two partitions are in memory at once.
            entries.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
            entries.truncate(limit);
        }
        Ok((entries, chains))
    }

    async fn read_audit(
        &self,
        partition: Partition,
        from: Option<AuditPlace>,
        limit: usize,
    ) -> Result<(Vec<(AuditPlace, AuditEntry)>, AuditChain), Error> {
        let newest = match from {
            None => "+".to_owned(),
            Some(place) if place.partition == partition => format!("({}-{}", place.at, place.nth),
            // At the same moment the higher partition comes first.
            Some(place) if place.partition > partition => place.at.to_string(),
            Some(place) => format!("({}-0", place.at),
        };
        let mut pipe = redis::pipe();
        // In one transaction, so that entries and chain belong together.
        pipe.atomic();
        pipe.cmd("XREVRANGE")
            .arg(self.keys().audit(partition))
            .arg(newest)
            .arg("-")
            .arg("COUNT")
            .arg(limit);
        pipe.cmd("HGETALL").arg(self.keys().audit_head(partition));
        let (entries, head): (Vec<Raw>, HashMap<String, String>) =
            self.query_cold("read the audit log", partition, &pipe).await?;
        let entries = entries
            .into_iter()
            .map(|entry| read_entry(partition, entry))
            .collect::<Result<_, _>>()?;
        Ok((entries, read_chain(partition, &head)))
    }

    /// Records that `count` calls of the caller were refused, in partition 0.
    ///
    /// * `call`: the last of them, its method and its path with the names of parameters.
    pub async fn note_refusal(
        &self,
        caller: &Principal,
        call: &str,
        cause: &str,
        count: u64,
    ) -> Result<(), Error> {
        let mut args = args();
        args.arg(call).arg(cause).arg(count).arg(format!("{:016x}", fastrand::u64(..)));
        self.commit_audited(&script::REFUSE, Partition(0), caller, args).await
    }

    /// Records every credential that was added, removed or changed since a gateway last called
    /// this. Returns how many were recorded.
    pub async fn note_credentials(&self, credentials: &[Credential]) -> Result<usize, Error> {
        let mut noted = 0;
        loop {
            let mut args = args();
            args.arg(NOTED_AT_ONCE);
            for credential in credentials {
                let role = credential.role.map(|role| role.as_str()).unwrap_or_default();
                args.arg(&credential.subject).arg(role).arg(&credential.fingerprint);
            }
            // No caller made this change.
            args.arg(Role::User.rank()).arg(CONFIGURATION);
            let step: usize =
                self.run(&script::CREDENTIALS, Partition(0), ORCHESTRATOR, args).await?;
            noted += step;
            if step < NOTED_AT_ONCE {
                return Ok(noted);
            }
        }
    }
}

/// Reads an entry. A field that is missing or unreadable, for example after manual changes, is
/// empty, so that it does not hide the other entries. The hash reveals it.
fn read_entry(
    partition: Partition,
    (id, mut fields): Raw,
) -> Result<(AuditPlace, AuditEntry), Error> {
    let place =
        id.split_once('-').and_then(|(at, nth)| Some((at.parse().ok()?, nth.parse().ok()?)));
    let (at, nth) = place.ok_or_else(|| {
        Error::corrupt(format!("entry {id} of the audit log of partition {partition}"))
    })?;
    let mut take = |field: &str| fields.remove(field).unwrap_or_default();
    let entry = AuditEntry {
        partition,
        sequence: take("sequence").parse().unwrap_or_default(),
        at,
        actor: take("actor"),
        origin: take("origin"),
        action: take("action"),
        subject: take("subject"),
        detail: serde_json::from_str(&take("detail")).unwrap_or_default(),
        previous: take("previous"),
        hash: take("hash"),
    };
    Ok((AuditPlace { at, partition, nth }, entry))
}

fn read_chain(partition: Partition, head: &HashMap<String, String>) -> AuditChain {
    AuditChain {
        partition,
        sequence: number(head, "sequence"),
        hash: hash(head, "hash"),
        trimmed: number(head, "trimmed"),
        trimmed_hash: hash(head, "trimmed_hash"),
    }
}

fn number(head: &HashMap<String, String>, field: &str) -> u64 {
    head.get(field).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn hash(head: &HashMap<String, String>, field: &str) -> String {
    head.get(field).cloned().unwrap_or_else(|| NO_HASH.to_owned())
}
