//! The background doctor: checks the store all the time, slowly, in one process of the fleet at a
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::time::Millis;
use crate::store::{Check, Finding, Turn};

use super::super::{Engine, Error};

/// How long a process keeps its turn without a step. Then another process starts a new check.
const LEASE_MS: Millis = 30_000;

/// The pause between two parts of a check, which keeps its share of Redis below a few percent.
const PAUSE: Duration = Duration::from_millis(50);

/// How many findings are remembered so that each is logged once. Those beyond are not logged.
const REMEMBERED: usize = 1_000;

/// The state of one process's background check.
#[derive(Default)]
pub struct BackgroundCheck {
    check: Option<Check>,
    /// The findings of the current check so far.
    found: BTreeSet<Finding>,
    /// The findings of the previous check.
    known: BTreeSet<Finding>,
    /// How many findings of each kind were logged but not yet counted in the store.
    untold: BTreeMap<&'static str, usize>,
}

impl Engine {
    /// Checks the next part if it is `holder`'s turn. Returns how long to rest after it.
    pub async fn check_on(
        &self,
        holder: &str,
        background: &mut BackgroundCheck,
    ) -> Result<Duration, Error> {
        let is_over = background.check.as_ref().is_some_and(Check::is_over);
        if is_over {
            for partition in self.store.partitions() {
                background.note(self.store.check_sum(partition).await?);
            }
        }
        let ended = background.check.as_ref().filter(|_| is_over);
        let ended = ended.map(|check| (background.found.len(), check.texts()));
        let every_ms = self.settings.doctor.every_ms;
        let turn =
            self.store.take_turn(holder, LEASE_MS, every_ms, &background.untold, ended).await?;
        background.untold.clear();
        if is_over {
            background.end();
        }
        match turn {
            Turn::Rest(rest) => {
                // Another process took over and starts a new check.
                background.check = None;
                return Ok(rest);
            }
            Turn::Begin => {
                background.check = Some(Check::in_background());
                background.found = BTreeSet::new();
            }
            Turn::GoOn => {}
        }
        let found =
            self.store.check(background.check.get_or_insert_with(Check::in_background)).await?;
        background.note(found);
        Ok(PAUSE)
    }
}

impl BackgroundCheck {
    /// Logs and remembers findings that the previous check did not have.
    fn note(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if self.found.len() >= REMEMBERED || self.found.contains(&finding) {
                continue;
            }
            if !self.known.contains(&finding) {
                let Finding { subject, problem, .. } = &finding;
                let kind = problem.kind();
                tracing::error!(
                    subject,
                    kind,
                    %problem,
                    "store integrity violated; repair it with `orchestrator doctor --repair`"
                );
                *self.untold.entry(kind).or_default() += 1;
            }
            self.found.insert(finding);
        }
    }

    fn end(&mut self) {
        let found = std::mem::take(&mut self.found);
        for Finding { subject, problem, .. } in self.known.difference(&found) {
            tracing::info!(subject, kind = problem.kind(), %problem, "store finding resolved");
        }
        self.known = found;
        self.check = None;
    }
}
