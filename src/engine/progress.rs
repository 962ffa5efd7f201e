//! Reports of agents: outcomes, progress and extensions of leases.

use crate::domain::ids::{Partition, TaskId, by_partition};
use crate::domain::lease::{Attempt, Lease, Proof};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::principal::Principal;
use crate::domain::report::Report;
use crate::domain::task::Progress;
use crate::domain::time::Millis;
use crate::store::{Answer, Row};

use super::restrictions::allow;
use super::tasks::refuse;
use super::{Engine, Error};

/// The most failures with a back-off of its own, which has reached its maximum by then.
const WAITS: u32 = 24;

/// The largest number of reports in one script: about 2 ms of Redis, so that no call waits long.
const BATCH: usize = 100;

impl Engine {
    /// Ends attempts. Returns one result for each report, in order: the new state of the task, or
    /// the refusal.
    ///
    /// A report that was accepted before is accepted again and changes nothing. One that differs
    /// from it is refused.
    pub async fn report(
        &self,
        caller: &Principal,
        reports: Vec<Report>,
    ) -> Result<Vec<Result<State, Error>>, Error> {
        let mut answers: Vec<_> =
            reports.iter().map(|report| Err(Error::UnknownTask(report.id))).collect();
        let mut known: Vec<_> = reports.iter().enumerate().collect();
        known.retain(|(_, report)| self.known(report.id).is_ok());
        let ids: Vec<_> = known.iter().map(|(_, report)| report.id).collect();
        let subjects = self.checked_subjects(caller, &ids).await?;
        known.retain(|(nth, report)| {
            let Some(subjects) = &subjects else { return true };
            match allow(caller, report.id, subjects.get(&report.id)) {
                Ok(()) => true,
                Err(refusal) => {
                    answers[*nth] = Err(refusal);
                    false
                }
            }
        });
        for (partition, reports) in by_partition(known, |(_, report)| report.id.partition()) {
            for piece in reports.chunks(BATCH) {
                let rows: Vec<_> = piece.iter().map(|(_, report)| row(report)).collect();
                let results = self.end_attempts(caller, partition, &rows).await?;
                for ((nth, report), answer) in piece.iter().zip(results) {
                    answers[*nth] =
                        refuse(report.id, report.outcome.verb(), report.attempt, answer);
                }
            }
        }
        Ok(answers)
    }

    /// Ends attempts of one partition.
    pub(super) async fn end_attempts(
        &self,
        caller: &Principal,
        partition: Partition,
        rows: &[Row<'_>],
    ) -> Result<Vec<Answer>, Error> {
        let has_failed = rows.iter().any(|row| row.outcome.verb() == Verb::Fail);
        let waits = if has_failed { self.waits() } else { String::new() };
        let actor = caller.to_string();
        Ok(self.store.report(partition, &actor, rows, (&waits, caller.role())).await?)
    }

    /// Extends a lease and records the progress. Returns the new end of the lease.
    ///
    /// * `extend_ms`: how long from now, 1 s to 1 h. `None` means the configured time. The task's
    ///   own timeout limits it.
    pub async fn extend(
        &self,
        caller: &Principal,
        id: TaskId,
        (attempt, lease): (Attempt, &Lease),
        progress: Option<Progress>,
        extend_ms: Option<Millis>,
    ) -> Result<Millis, Error> {
        self.known(id)?;
        self.check_task(caller, id).await?;
        let lease_ms = extend_ms.unwrap_or(self.settings.agents.lease_ms);
        let proof = Proof::Lease(attempt, lease);
        let actor = caller.to_string();
        let extended = self.store.extend(id, &actor, proof, lease_ms, progress.as_ref()).await?;
        extended.or_else(|answer| {
            let state = refuse(id, Verb::Extend, attempt, answer)?;
            Err(Error::Illegal { id, state, verb: Verb::Extend })
        })
    }

    /// Returns the waits after 1, 2, … failures, with jitter, from which the scripts choose.
    pub(super) fn waits(&self) -> String {
        let chance = fastrand::f64();
        let waits = (1..=WAITS)
            .map(|failures| self.settings.tasks.backoff.wait_ms(failures, chance).to_string());
        waits.collect::<Vec<_>>().join(",")
    }
}

fn row(report: &Report) -> Row<'_> {
    let proof = Proof::Lease(report.attempt, &report.lease);
    Row { id: report.id, proof, outcome: &report.outcome }
}
