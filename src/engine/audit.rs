//! The audit log: reading it, and recording changes of the credentials and refused calls.

use crate::domain::audit::{AuditChain, AuditEntry, AuditFilter, AuditPlace, Credential};
use crate::domain::principal::Principal;
use crate::runtime::chain::Chain;

use super::tasks::LOOKED_AT;
use super::{Engine, Error, PAGE_BYTES, Page};

impl Engine {
    /// Returns a page of the audit log of all partitions, newest first, and the two ends of each
    /// partition's chain.
    ///
    /// * `limit`: 1 to 200. A page can be shorter although more follow: `next_cursor` tells.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the cursor is not from a page of this log.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Page<AuditEntry>, Vec<AuditChain>), Error> {
        let from = cursor.map(str::parse::<AuditPlace>).transpose();
        let mut from = from.map_err(|error| Error::invalid("cursor", error.to_string()))?;
        let mut items = Vec::new();
        let mut looked_at = 0;
        let mut room = PAGE_BYTES;
        loop {
            let (rows, chains) = self.store.list_audit(from, limit).await?;
            looked_at += rows.len();
            // Only the rows that still fit are read; the next page continues after them.
            let found = rows.len();
            let mut is_last = found < limit;
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

    /// Records in the audit log that calls of an operator were refused. If the store does not answer,
    /// they are logged instead.
    ///
    /// * `call`: the last of them, its method and its path with the names of parameters.
    /// * `count`: how many there were since the caller was recorded last.
    pub async fn note_refusal(&self, caller: &Principal, call: &str, cause: &str, count: u64) {
        if let Err(error) = self.store.note_refusal(caller, call, cause, count).await {
            let error = Chain(&error);
            tracing::warn!(%caller, call, cause, count, %error, "refused calls not recorded");
        }
    }

    /// Records in the audit log how the credentials differ from those that were last recorded.
    pub async fn note_credentials(&self, credentials: &[Credential]) -> Result<(), Error> {
        let noted = self.store.note_credentials(credentials).await?;
        if noted > 0 {
            tracing::info!(changes = noted, "credentials changed");
        }
        Ok(())
    }
}
