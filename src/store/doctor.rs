//! Looking for what should not be.
//!
//! Candidates are gathered in bounded pieces from every index and every hash; each is then
//! examined in one moment by a script, so that a fleet at work causes no false findings.

use std::collections::BTreeSet;

use crate::domain::approval::ApprovalStatus;
use crate::domain::ids::{ApprovalId, Partition};
use crate::domain::lifecycle::State;

use super::{Error, Store, args, keys, script};

/// How many ids are examined, or asked for, in one call.
const PIECE: usize = 200;

impl Store {
    /// Everything wrong in a partition: the id or key, and what is wrong with it.
    pub async fn examine(&self, partition: Partition) -> Result<Vec<(String, String)>, Error> {
        let mut findings = BTreeSet::new();
        let prefix = keys::prefix(partition);
        let mut sets = vec![keys::tasks(partition)];
        let agents = self.agent_names(partition).await?;
        for state in State::ALL {
            if keys::is_per_agent(state) {
                sets.extend(agents.iter().map(|agent| keys::state(partition, state, Some(agent))));
            } else {
                sets.push(keys::state(partition, state, None));
            }
        }
        for set in sets {
            self.walk(partition, "ZSCAN", &set, &mut findings).await?;
        }
        for hash in ["records", "specs", "results", "progress"] {
            self.walk(partition, "HSCAN", &format!("{prefix}{hash}"), &mut findings).await?;
        }
        self.walk_approvals(partition, &mut findings).await?;
        findings.extend(self.call_examine(partition, &[]).await?);
        Ok(findings.into_iter().collect())
    }

    /// Examines every task that a cursor over `key` comes by; both commands answer a member and its value.
    async fn walk(
        &self,
        partition: Partition,
        command: &str,
        key: &str,
        findings: &mut BTreeSet<(String, String)>,
    ) -> Result<(), Error> {
        let mut cursor = 0u64;
        loop {
            let mut cmd = redis::cmd(command);
            cmd.arg(key).arg(cursor).arg("COUNT").arg(PIECE);
            let mut connection = self.cold_connection("doctor").await?;
            let answer = cmd.query_async(&mut connection).await;
            let (next, members): (u64, Vec<String>) = self.heard("doctor", answer)?;
            let ids: Vec<_> = members.iter().step_by(2).map(String::as_str).collect();
            for piece in ids.chunks(PIECE) {
                findings.extend(self.call_examine(partition, piece).await?);
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    async fn call_examine(&self, partition: Partition, ids: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let mut args = args();
        for id in ids {
            args.arg(*id);
        }
        let flat: Vec<String> = self.run_cold(&script::EXAMINE, partition, args).await?;
        Ok(flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
    }

    /// Finds members of the approvals' sets that have no approval.
    async fn walk_approvals(
        &self,
        partition: Partition,
        findings: &mut BTreeSet<(String, String)>,
    ) -> Result<(), Error> {
        for status in ApprovalStatus::ALL {
            let mut cursor = 0u64;
            loop {
                let mut cmd = redis::cmd("ZSCAN");
                cmd.arg(keys::approvals(partition, status)).arg(cursor).arg("COUNT").arg(PIECE);
                let mut connection = self.cold_connection("doctor").await?;
                let answer = cmd.query_async(&mut connection).await;
                let (next, members): (u64, Vec<(String, String)>) = self.heard("doctor", answer)?;
                let ids: Vec<ApprovalId> = members.iter().filter_map(|(member, _)| member.parse().ok()).collect();
                let found = if ids.is_empty() { Vec::new() } else { self.read_approvals(&ids).await? };
                for id in ids.iter().filter(|id| !found.iter().any(|approval| approval.id == **id)) {
                    findings.insert((id.to_string(), format!("is in approvals:{} but has no hash", status.as_str())));
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}
