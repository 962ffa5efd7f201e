//! Whose turn it is to examine the store without end, and what came of it.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::ids::Partition;
use crate::domain::task::Millis;

use super::{Error, Store, args, script};

/// What an examiner is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Begin a round.
    Begin,
    /// Go on with the round that was begun.
    GoOn,
    /// Ask again after this time: somebody else is at it, or the next round is not due.
    Rest(Duration),
}

/// What came of the rounds so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    /// How many there were.
    pub rounds: u64,
    /// How many findings the last one had.
    pub findings: u64,
    /// How many findings were logged in all.
    pub found: u64,
    /// When the last one ended; none: there was none.
    pub finished: Option<Millis>,
}

/// The turn is of the whole store; its note lives in the first partition.
const PLACE: Partition = Partition(0);

impl Store {
    /// Takes or keeps the turn for `holder`.
    ///
    /// * `every_ms`: how long after the beginning of a round the next one may begin.
    /// * `found`: how many findings he logged since he asked last.
    /// * `ended`: how many findings the round has that ended just now.
    pub async fn take_turn(
        &self,
        holder: &str,
        lease_ms: Millis,
        every_ms: Millis,
        found: usize,
        ended: Option<usize>,
    ) -> Result<Turn, Error> {
        let mut args = args();
        args.arg(holder).arg(lease_ms).arg(every_ms).arg(found);
        args.arg(ended.map(|count| count.to_string()).unwrap_or_default());
        let (wait, begins): (u64, bool) = self.run(&script::EXAMINER, PLACE, holder, args).await?;
        Ok(match wait {
            0 if begins => Turn::Begin,
            0 => Turn::GoOn,
            ms => Turn::Rest(Duration::from_millis(ms)),
        })
    }

    /// What came of the rounds so far.
    pub async fn rounds(&self) -> Result<Rounds, Error> {
        let mut cmd = redis::cmd("HGETALL");
        let fields: HashMap<String, u64> = {
            let key = format!("{}examiner", self.keys().prefix(PLACE));
            let text: HashMap<String, String> = self.query("examiner", cmd.arg(key)).await?;
            text.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
        };
        let number = |name: &str| fields.get(name).copied();
        let of = |name: &str| number(name).unwrap_or_default();
        let (rounds, findings, found) = (of("rounds"), of("findings"), of("found"));
        Ok(Rounds { rounds, findings, found, finished: number("finished") })
    }
}
