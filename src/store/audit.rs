//! The audit log: reading it, and noting what a gateway was told to accept. Everything else in it is written by the
//! scripts that make the change.

use std::collections::HashMap;

use crate::domain::audit::{AuditChain, AuditEntry, AuditPlace, Credential, NO_HASH};
use crate::domain::ids::Partition;
use crate::domain::principal::Role;

use super::{Error, ORCHESTRATOR, Store, args, script};

/// How many changes of credentials one call notes: some 0.5 ms of Redis each.
const NOTED_AT_ONCE: usize = 8;

/// Where changes of credentials come from.
const CONFIGURATION: &str = "configuration";

/// A stream's entry: its id, and its fields.
type Raw = (String, HashMap<String, String>);

impl Store {
    /// Up to `limit` entries after `from`, newest first, of all partitions, with their places; and where each
    /// partition's chain began and ended in the moment in which it was read.
    pub async fn list_audit(
        &self,
        from: Option<AuditPlace>,
        limit: usize,
    ) -> Result<(Vec<(AuditPlace, AuditEntry)>, Vec<AuditChain>), Error> {
        let (mut entries, mut chains) = (Vec::new(), Vec::new());
        let mut partitions: Vec<_> = self.partitions().collect();
        partitions.sort();
        for partition in partitions {
            let (found, chain) = self.read_audit(partition, from, limit).await?;
            entries.extend(found);
            chains.push(chain);
            // No more is held than two partitions have.
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
        // In one moment, so that entries and chain belong together.
        pipe.atomic();
        pipe.cmd("XREVRANGE")
            .arg(self.keys().audit(partition))
            .arg(newest)
            .arg("-")
            .arg("COUNT")
            .arg(limit);
        pipe.cmd("HGETALL").arg(self.keys().audit_head(partition));
        let mut connection = self.cold_connection("read the audit log").await?;
        let answer = pipe.query_async(&mut connection).await;
        let (entries, head): (Vec<Raw>, HashMap<String, String>) =
            self.heard("read the audit log", answer)?;
        let entries = entries
            .into_iter()
            .map(|entry| read_entry(partition, entry))
            .collect::<Result<_, _>>()?;
        Ok((entries, read_chain(partition, &head)))
    }

    /// Notes every credential that was added, removed or changed since a gateway last told; returns how many.
    pub async fn note_credentials(&self, credentials: &[Credential]) -> Result<usize, Error> {
        let mut noted = 0;
        loop {
            let mut args = args();
            args.arg(NOTED_AT_ONCE);
            for credential in credentials {
                let role = credential.role.map(|role| role.as_str()).unwrap_or_default();
                args.arg(&credential.subject).arg(role).arg(&credential.fingerprint);
            }
            // Of no caller.
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

/// Reads an entry. What a hand has made of it must not hide the others: a field that is not there or not readable is
/// empty, and the hash shows it.
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
    let number =
        |field: &str| head.get(field).and_then(|text| text.parse().ok()).unwrap_or_default();
    let hash = |field: &str| head.get(field).cloned().unwrap_or_else(|| NO_HASH.to_owned());
    AuditChain {
        partition,
        sequence: number("sequence"),
        hash: hash("hash"),
        trimmed: number("trimmed"),
        trimmed_hash: hash("trimmed_hash"),
    }
}
