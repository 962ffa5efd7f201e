//! Checks the counters of open tasks while agents keep working.
//!
//! The counters are read at one moment. Then each record is asked whether its task was open just
//! before that moment, which its timeline shows. Each move changes the counter and the state
//! together, so a counter that was wrong by some number at that moment is still wrong by the same
//! number. The difference is simply added.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::domain::ids::{Partition, TaskId};
use crate::domain::time::Millis;

use super::super::{Error, Store, args, script};
use super::{Finding, Problem, Repair, uncheckable};

/// How many records one call asks.
const PIECE: usize = 200;

/// How often to try for a moment in which nothing was written yet: timelines have milliseconds, and
/// a move in the millisecond of the count could be before or after it. With ten writes per
/// millisecond one try in ten succeeds.
const TRIES: u32 = 500;

/// The counters of a partition at one moment.
struct Count {
    at: Millis,
    counted: BTreeMap<String, i64>,
    /// How many tasks are in the sets of open states.
    standing: i64,
}

impl Store {
    /// Checks whether the sum of the counters of open tasks equals the size of the sets, at a
    /// constant cost. Returns `None` if it does.
    pub async fn check_sum(&self, partition: Partition) -> Result<Option<Finding>, Error> {
        let (count, _) = self.count(partition).await?;
        let counted = count.counted.values().sum::<i64>();
        let open = count.standing.to_string();
        Ok((counted != count.standing).then(|| {
            let problem = Problem::SumWrong { counted: counted.to_string(), open };
            Finding::new("open", problem, Repair::NotTried)
        }))
    }

    /// Checks the counter of open tasks of each priority, and corrects it if `is_repair`. Reads
    /// every record.
    pub async fn recount(
        &self,
        partition: Partition,
        is_repair: bool,
    ) -> Result<Vec<Finding>, Error> {
        let found = self.recount_all(partition, is_repair).await;
        found.or_else(|error| Ok(vec![uncheckable(error, partition, is_repair)?]))
    }

    async fn recount_all(
        &self,
        partition: Partition,
        is_repair: bool,
    ) -> Result<Vec<Finding>, Error> {
        let Some(count) = self.count_cleanly(partition).await? else {
            // Too many writes for a clean count. The check of the sum is possible all the same.
            let finding = self.check_sum(partition).await?;
            let repair = Repair::impossible_if(is_repair);
            return Ok(finding.map(|finding| Finding { repair, ..finding }).into_iter().collect());
        };
        let mut open: BTreeMap<String, i64> =
            count.counted.keys().map(|priority| (priority.clone(), 0)).collect();
        let mut seen: HashSet<TaskId> = HashSet::new();
        let mut cursor = 0u64;
        loop {
            let mut cmd = redis::cmd("HSCAN");
            cmd.arg(format!("{}records", self.keys().prefix(partition)))
                .arg(cursor)
                .arg("COUNT")
                .arg(PIECE);
            let (next, records): (u64, Vec<String>) =
                self.query_cold("recount", partition, &cmd).await?;
            // A scan may return the same field twice.
            let ids = records.iter().step_by(2);
            let ids: Vec<_> = ids.filter(|id| id.parse().is_ok_and(|id| seen.insert(id))).collect();
            for piece in ids.chunks(PIECE) {
                let mut args = args();
                args.arg(count.at).arg(piece);
                for priority in
                    self.run_cold::<Vec<String>>(&script::OPEN_AT, partition, args).await?
                {
                    *open.entry(priority).or_default() += 1;
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        self.compare(partition, &count, &open, is_repair).await
    }

    async fn compare(
        &self,
        partition: Partition,
        count: &Count,
        open: &BTreeMap<String, i64>,
        is_repair: bool,
    ) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        let mut args = args();
        args.arg(count.at);
        for (priority, open) in open {
            let counted = count.counted.get(priority).copied().unwrap_or(0);
            if counted != *open {
                args.arg(priority).arg(open - counted);
                let problem = Problem::CounterWrong {
                    counted: counted.to_string(),
                    priority: priority.clone(),
                    open: open.to_string(),
                };
                let subject = format!("open of partition {partition}");
                findings.push(Finding::new(subject, problem, Repair::NotTried));
            }
        }
        if is_repair && !findings.is_empty() {
            let is_corrected: bool =
                self.run(&script::CORRECT, partition, super::super::ORCHESTRATOR, args).await?;
            let repair = if is_corrected { Repair::Done } else { Repair::Impossible };
            findings.iter_mut().for_each(|finding| finding.repair = repair);
        }
        Ok(findings)
    }

    /// Returns the counters at a moment in which nothing else was written. `None` if no try
    /// succeeded.
    async fn count_cleanly(&self, partition: Partition) -> Result<Option<Count>, Error> {
        for _ in 0..TRIES {
            let (count, is_fresh) = self.count(partition).await?;
            if is_fresh {
                return Ok(Some(count));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(None)
    }

    async fn count(&self, partition: Partition) -> Result<(Count, bool), Error> {
        type Raw = (Millis, bool, Vec<(String, i64)>, i64);
        let (at, is_fresh, counted, standing): Raw =
            self.run_cold(&script::COUNT, partition, args()).await?;
        Ok((Count { at, counted: counted.into_iter().collect(), standing }, is_fresh))
    }
}
