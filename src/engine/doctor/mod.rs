//! The doctor: checks the integrity of the store and repairs it.

use std::collections::BTreeSet;

use crate::store::{Check, Gate};

use super::{Engine, Error, Finding, Repair};

mod background;

pub use background::BackgroundCheck;

impl Engine {
    /// Returns every violated invariant of the keyspace, correctly even while the fleet works.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        self.check_all(None).await
    }

    /// Checks the store and repairs what it can: each finding says what was done. It is safe to
    /// repeat and to interrupt; a second run finds only what cannot be repaired. No repair lets a
    /// task run without an approval that it needs.
    pub async fn repair(&self) -> Result<Vec<Finding>, Error> {
        let findings = self.check_all(Some(&self.lost_gate())).await?;
        for finding in &findings {
            let Finding { subject, problem, repair } = finding;
            let kind = problem.kind();
            let explanation = finding.explanation();
            match repair {
                Repair::Done => {
                    tracing::warn!(subject, kind, %problem, how = explanation, "the store was repaired")
                }
                Repair::Impossible => {
                    let why = explanation;
                    tracing::error!(subject, kind, %problem, why, "store cannot be repaired here")
                }
                Repair::NotTried => tracing::error!(subject, kind, %problem, "store not repaired"),
            }
        }
        Ok(findings)
    }

    async fn check_all(&self, repair: Option<&Gate>) -> Result<Vec<Finding>, Error> {
        let mut check = Check::new(repair.map(Gate::lines).transpose()?);
        let mut findings = BTreeSet::new();
        while !check.is_over() {
            findings.extend(self.store.check(&mut check).await?);
        }
        // Last, because the repairs may have changed how many tasks are open.
        for partition in self.store.partitions() {
            findings.extend(self.store.recount(partition, repair.is_some()).await?);
        }
        Ok(findings.into_iter().collect())
    }
}
