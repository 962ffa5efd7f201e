//! Publishes events of callers into the event log.

use crate::domain::ids::{EventId, Partition};
use crate::domain::time::Millis;

use super::{Error, Store, args, script};

/// The period of a caller's share of the log, in milliseconds.
const SHARE_MS: Millis = 60_000;

impl Store {
    /// Appends an event. Returns its id, or in how many milliseconds the caller may publish again.
    ///
    /// * `json`: the JSON of the event, from `"event_type"` to the closing brace.
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

/// Returns the id of the event at `index` of the log entry `<ms>-<sequence>`. `None` if `entry` is
/// not of this form.
pub(super) fn event_id(entry: &str, index: u16, partition: Partition) -> Option<EventId> {
    let (at_ms, sequence) = entry.split_once('-')?;
    Some(EventId { at_ms: at_ms.parse().ok()?, sequence: sequence.parse().ok()?, index, partition })
}
