//! Examining the store without end: what the doctor does, slowly, by one process of the fleet at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::task::Millis;
use crate::store::{Examination, Finding, Turn};

use super::{Engine, Error};

/// How long an examiner may be silent before another one begins anew, in milliseconds.
const LEASE_MS: Millis = 30_000;

/// The pause between two pieces: what an examination takes of Redis stays below a few percent.
const PAUSE: Duration = Duration::from_millis(50);

/// How many findings are remembered so that each is logged once; beyond it a broken store is no news.
const REMEMBERED: usize = 1_000;

/// The round of one examiner.
#[derive(Default)]
pub struct Round {
    examination: Option<Examination>,
    /// What this round found so far.
    found: BTreeSet<Finding>,
    /// What the round before found.
    known: BTreeSet<Finding>,
    /// How many were logged that the store was not told of yet.
    untold: usize,
}

impl Engine {
    /// Examines the next piece, if it is `holder`'s turn; says how long to rest.
    pub async fn examine_on(&self, holder: &str, round: &mut Round) -> Result<Duration, Error> {
        let ended = match &round.examination {
            Some(examination) if examination.is_over() => {
                for partition in self.store.partitions() {
                    let finding = self.store.examine_sum(partition).await?;
                    round.note(finding);
                }
                Some(round.found.len())
            }
            _ => None,
        };
        let every_ms = self.settings.doctor.every_ms;
        let turn = self.store.take_turn(holder, LEASE_MS, every_ms, round.untold, ended).await?;
        round.untold = 0;
        if ended.is_some() {
            round.end();
        }
        match turn {
            Turn::Rest(rest) => {
                // Somebody else took over, who begins anew.
                round.examination = None;
                return Ok(rest);
            }
            Turn::Begin => {
                (round.examination, round.found) = (Some(Examination::new(None)), BTreeSet::new())
            }
            Turn::GoOn => {}
        }
        let found = self
            .store
            .examine(round.examination.get_or_insert_with(|| Examination::new(None)))
            .await?;
        round.note(found);
        Ok(PAUSE)
    }
}

impl Round {
    /// Logs what is news.
    fn note(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if self.found.len() >= REMEMBERED || self.found.contains(&finding) {
                continue;
            }
            if !self.known.contains(&finding) {
                let Finding { subject, what, .. } = &finding;
                tracing::error!(
                    subject,
                    what,
                    "something is wrong in the store; `orchestrator doctor --repair` mends it"
                );
                self.untold += 1;
            }
            self.found.insert(finding);
        }
    }

    fn end(&mut self) {
        let found = std::mem::take(&mut self.found);
        for Finding { subject, what, .. } in self.known.difference(&found) {
            tracing::info!(subject, what, "this is right again in the store");
        }
        (self.known, self.examination) = (found, None);
    }
}
