//! The doctor: checks the integrity of the store and repairs it.

use std::collections::BTreeSet;

use crate::store::{Check, Gate, Texts};

use super::{Engine, Error, Finding, Repair};

mod background;

pub use background::BackgroundCheck;

/// The result of a check of the whole store.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// What is wrong, each finding once.
    pub findings: Vec<Finding>,
    /// How many payloads, results and other texts are under each encryption key. Those that are
    /// stored as they are count under ``.
    pub texts: Texts,
}

impl Engine {
    /// Returns every violated invariant of the keyspace, correctly even while the fleet works.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        Ok(self.diagnosis(false).await?.findings)
    }

    /// Checks the store, and repairs it with `is_repair`; see [`Self::repair`].
    pub async fn diagnosis(&self, is_repair: bool) -> Result<Diagnosis, Error> {
        let gate = self.lost_gate();
        let diagnosis = self.check_all(is_repair.then_some(&gate)).await?;
        if is_repair {
            log_repairs(&diagnosis.findings);
        }
        Ok(diagnosis)
    }

    /// Checks the store and repairs what it can: each finding says what was done. It is safe to
    /// repeat and to interrupt; a second run finds only what cannot be repaired. No repair lets a
    /// task run without an approval that it needs. Texts are put under the current encryption key.
    pub async fn repair(&self) -> Result<Vec<Finding>, Error> {
        Ok(self.diagnosis(true).await?.findings)
    }

    async fn check_all(&self, repair: Option<&Gate>) -> Result<Diagnosis, Error> {
        let mut check = Check::new(repair.map(Gate::lines).transpose()?);
        let mut findings = BTreeSet::new();
        while !check.is_over() {
            findings.extend(self.store.check(&mut check).await?);
        }
        // Last, because the repairs may have changed how many tasks are open.
        for partition in self.store.partitions() {
            findings.extend(self.store.recount(partition, repair.is_some()).await?);
        }
        let texts = check.texts().clone();
        Ok(Diagnosis { findings: findings.into_iter().collect(), texts })
    }
}

fn log_repairs(findings: &[Finding]) {
    for finding in findings {
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
}
