//! Publishing events from outside into the log.

use crate::domain::ids::{EventId, Partition};
use crate::domain::task::Millis;

use super::{Error, Store, args, script};

/// For how long a share of the log is, in milliseconds.
const SHARE_MS: Millis = 60_000;

impl Store {
    /// Appends an event; `json` is its JSON from `"event_type"` on, to the closing brace. Returns its id, or in how many
    /// milliseconds the caller has a share of the log again.
    ///
    /// * `share`: how many bytes the caller may publish in the partition within a minute.
    pub async fn publish(
        &self,
        partition: Partition,
        actor: &str,
        event_type: &str,
        json: &str,
        share: u64,
    ) -> Result<Result<EventId, Millis>, Error> {
        let mut args = args();
        args.arg(event_type).arg(json).arg(format!("{:016x}", fastrand::u64(..)));
        args.arg(share).arg(SHARE_MS);
        let entry: String = self.commit(&script::PUBLISH, partition, actor, args).await?;
        if let Some(wait) = entry.strip_prefix("LATER ").and_then(|ms| ms.parse().ok()) {
            return Ok(Err(wait));
        }
        event_id(&entry, 0, partition)
            .map(Ok)
            .ok_or_else(|| Error::corrupt(format!("log entry id {entry:?}")))
    }
}

/// The id of the event at `index` of the log entry `<ms>-<sequence>`.
pub(super) fn event_id(entry: &str, index: u16, partition: Partition) -> Option<EventId> {
    let (at_ms, sequence) = entry.split_once('-')?;
    Some(EventId { at_ms: at_ms.parse().ok()?, sequence: sequence.parse().ok()?, index, partition })
}
