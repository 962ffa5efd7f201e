//! Publishing events from outside into the log.

use crate::domain::ids::{EventId, Partition};

use super::{Error, Store, args, script};

impl Store {
    /// Appends an event; `json` is its JSON from `"event_type"` on, to the closing brace. Returns its id.
    pub async fn publish(
        &self,
        partition: Partition,
        actor: &str,
        event_type: &str,
        json: &str,
    ) -> Result<EventId, Error> {
        let mut args = args();
        args.arg(event_type).arg(json).arg(format!("{:016x}", fastrand::u64(..)));
        let entry: String = self.commit(&script::PUBLISH, partition, actor, args).await?;
        event_id(&entry, 0, partition)
            .ok_or_else(|| Error::corrupt(format!("log entry id {entry:?}")))
    }
}

/// The id of the event at `index` of the log entry `<ms>-<sequence>`.
pub(super) fn event_id(entry: &str, index: u16, partition: Partition) -> Option<EventId> {
    let (at_ms, sequence) = entry.split_once('-')?;
    Some(EventId { at_ms: at_ms.parse().ok()?, sequence: sequence.parse().ok()?, index, partition })
}
