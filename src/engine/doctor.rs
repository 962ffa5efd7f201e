//! Whether the store is sound, and putting it right.

use std::collections::BTreeSet;

use crate::domain::ids::Partition;
use crate::store::{Examination, Gate};

use super::{Engine, Error, Finding, Remedy};

impl Engine {
    /// Every invariant of the keyspace that does not hold; correct while the fleet works.
    pub async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        self.examine_all(None).await
    }

    /// The same, and mends what can be mended: each finding tells what was done. Safe to repeat and to be stopped; a
    /// second run finds only what could not be mended. No mend leads a task past an approval that it needs.
    pub async fn repair(&self) -> Result<Vec<Finding>, Error> {
        let findings = self.examine_all(Some(&self.lost_gate(Partition(0)))).await?;
        for Finding { subject, what, remedy } in &findings {
            match remedy {
                Some(Remedy::Mended(how)) => {
                    tracing::warn!(subject, what, how, "the store was mended")
                }
                Some(Remedy::Left(why)) => {
                    tracing::error!(subject, what, why, "the store cannot be mended here")
                }
                None => tracing::error!(subject, what, "the store was not mended here"),
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
        // Last: what was mended may have changed how many tasks are open.
        for partition in self.store.partitions() {
            findings.extend(self.store.recount(partition, repair.is_some()).await?);
        }
        Ok(findings.into_iter().collect())
    }
}
