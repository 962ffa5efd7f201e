//! Who did what that somebody must answer for.

use crate::domain::audit::{
    AuditChain, AuditEntry, AuditFilter, AuditPlace, Credential, NotAPlace,
};

use super::tasks::LOOKED_AT;
use super::{Engine, Error, Fault, PAGE_BYTES, Page};

impl Engine {
    /// A page of the audit log of all partitions, newest first, and where each partition's chain begins and ends.
    ///
    /// * `limit`: 1 to 200. A page may be short though more follow: `next_cursor` tells.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not one of ours.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Page<AuditEntry>, Vec<AuditChain>), Error> {
        let invalid =
            |error: NotAPlace| Error::Invalid(vec![Fault::new("cursor", error.to_string())]);
        let mut from = cursor.map(str::parse::<AuditPlace>).transpose().map_err(invalid)?;
        let (mut items, mut looked_at) = (Vec::new(), 0);
        let mut room = PAGE_BYTES;
        loop {
            let (rows, chains) = self.store.list_audit(from, limit).await?;
            looked_at += rows.len();
            // Of what was found, only what still fits is looked at; the next page goes on from there.
            let (found, mut is_last) = (rows.len(), rows.len() < limit);
            for (nth, (place, entry)) in rows.into_iter().enumerate() {
                from = Some(place);
                if filter.matches(&entry) {
                    room = room.saturating_sub(entry.bytes());
                    items.push(entry);
                }
                if items.len() == limit || room == 0 {
                    is_last &= nth + 1 == found;
                    break;
                }
            }
            if is_last || items.len() == limit || room == 0 || looked_at >= LOOKED_AT {
                let next_cursor = from.filter(|_| !is_last).map(|place| place.to_string());
                return Ok((Page { items, next_cursor }, chains));
            }
        }
    }

    /// Notes in the audit log what has changed about the credentials that a gateway accepts.
    pub async fn note_credentials(&self, credentials: &[Credential]) -> Result<(), Error> {
        let noted = self.store.note_credentials(credentials).await?;
        if noted > 0 {
            tracing::info!(changes = noted, "the credentials have changed");
        }
        Ok(())
    }
}
