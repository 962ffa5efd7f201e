//! The background doctor: which process checks the store, and the results of the checks so far.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::domain::ids::Partition;
use crate::domain::time::Millis;

use super::super::{Error, Store, args, script};
use super::{Problem, Texts};

/// What a process with a background doctor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Start a new check of the whole store.
    Begin,
    /// Continue the check that it started.
    GoOn,
    /// Call again after this time: another process checks the store, or the next check is not due.
    Rest(Duration),
}

/// The results of the checks so far, of all processes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoctorStats {
    /// How many checks have ended.
    pub checks: u64,
    /// How many findings the last check had.
    pub findings: u64,
    /// How many findings of each kind were logged in all checks together.
    pub found: BTreeMap<&'static str, u64>,
    /// When the last check ended, in milliseconds since 1970. `None` if no check has ended.
    pub finished: Option<Millis>,
    /// How many texts the last check found under each key. Those that are stored as they are count
    /// under ``.
    pub texts: Texts,
}

/// The partition that keeps the turn, which is one for the whole store.
const PLACE: Partition = Partition(0);

impl Store {
    /// Takes or keeps the turn for `holder`. Returns what `holder` does next.
    ///
    /// * `every_ms`: the shortest time from the start of one check to the start of the next.
    /// * `found`: how many findings of each kind `holder` logged since its last call.
    /// * `ended`: how many findings the check had that ended just now, and the texts that it found.
    ///   `None` if none ended.
    pub async fn take_turn(
        &self,
        holder: &str,
        lease_ms: Millis,
        every_ms: Millis,
        found: &BTreeMap<&'static str, usize>,
        ended: Option<(usize, &Texts)>,
    ) -> Result<Turn, Error> {
        let mut args = args();
        args.arg(holder).arg(lease_ms).arg(every_ms);
        args.arg(ended.map(|(count, _)| count.to_string()).unwrap_or_default());
        let texts = ended.map(|(_, texts)| serde_json::to_string(texts)).transpose();
        let texts = texts.map_err(|error| Error::corrupt(format!("counts of texts: {error}")))?;
        args.arg(texts.unwrap_or_default());
        for (kind, count) in found {
            args.arg(kind).arg(count);
        }
        let (wait, begins): (u64, bool) =
            self.run(&script::DOCTOR_TURN, PLACE, holder, args).await?;
        Ok(match wait {
            0 if begins => Turn::Begin,
            0 => Turn::GoOn,
            ms => Turn::Rest(Duration::from_millis(ms)),
        })
    }

    /// Returns the results of the checks so far, of all processes together.
    pub async fn doctor_stats(&self) -> Result<DoctorStats, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let key = format!("{}doctor", self.keys().prefix(PLACE));
        let text: HashMap<String, String> = self.query("doctor", PLACE, cmd.arg(key)).await?;
        let texts = text.get("texts").and_then(|texts| serde_json::from_str(texts).ok());
        let numbers =
            text.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?)));
        let fields: HashMap<String, u64> = numbers.collect();
        let kinds = Problem::WORDS.iter().map(|words| words.kind);
        let found = kinds.map(|kind| (kind, fields.get(&format!("found:{kind}")).copied()));
        Ok(DoctorStats {
            checks: fields.get("checks").copied().unwrap_or_default(),
            findings: fields.get("findings").copied().unwrap_or_default(),
            found: found.map(|(kind, count)| (kind, count.unwrap_or_default())).collect(),
            finished: fields.get("finished").copied(),
            texts: texts.unwrap_or_default(),
        })
    }
}
