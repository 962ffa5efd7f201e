//! The doctor: checks the integrity of the store and repairs it.

use std::collections::BTreeSet;

use crate::domain::ids::Partition;
use crate::store::{Examination, Gate};

use super::{Engine, Error, Finding, Remedy};

impl Engine {
    /// Returns every violated invariant of the keyspace. The result is correct even while the fleet
    /// works.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        self.examine_all(None).await
    }

    /// Checks the store and repairs what it can: each finding says what was done. It is safe to
    /// repeat and to interrupt; a second run finds only what cannot be repaired. No repair lets a
    /// task run without an approval that it needs.
    pub async fn repair(&self) -> Result<Vec<Finding>, Error> {
        let findings = self.examine_all(Some(&self.lost_gate(Partition(0)))).await?;
        for Finding { subject, what, remedy } in &findings {
            match remedy {
                Some(Remedy::Mended(how)) => {
                    tracing::warn!(subject, what, how, "the store was mended")
                }
                Some(Remedy::Left(why)) => {
                    tracing::error!(subject, what, why, "store cannot be repaired here")
                }
                None => tracing::error!(subject, what, "store not repaired"),
            }
        }
        Ok(findings)
    }

    async fn examine_all(&self, repair: Option<&Gate>) -> Result<Vec<Finding>, Error> {
        let mut examination = Examination::new(repair.map(Gate::lines).transpose()?);
        let mut findings = BTreeSet::new();
        while !examination.is_over() {
            findings.extend(self.store.examine(&mut examination).await?);
        }
        // Last, because the repairs may have changed how many tasks are open.
        for partition in self.store.partitions() {
            findings.extend(self.store.recount(partition, repair.is_some()).await?);
        }
        Ok(findings.into_iter().collect())
    }
}
