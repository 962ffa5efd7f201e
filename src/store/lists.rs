//! Pages of tasks and approvals, newest first, over the pool of long reads.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use crate::domain::approval::{Approval, ApprovalStatus};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::task::Task;

use super::{Error, Store, keys};

/// One place in a sorted set.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The score that the set is ordered by.
    pub score: f64,
    /// The member, which decides between equal scores.
    pub member: String,
}

/// How many members of equal score a page may have to skip at once: more than one batch of submissions.
const FIRST_LOOK: usize = 256;

/// How many sets are looked at together: each agent may have one.
const SETS: usize = 16;

impl Store {
    /// Up to `limit` members of `set` that come after `from`, the highest score first.
    async fn newest(
        &self,
        set: &str,
        from: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<Place>, Error> {
        let mut connection = self.cold_connection("list").await?;
        let mut look = limit;
        loop {
            let mut cmd = redis::cmd("ZREVRANGEBYSCORE");
            match from {
                Some(place) => cmd.arg(set).arg(place.score),
                None => cmd.arg(set).arg("+inf"),
            };
            cmd.arg("-inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(look);
            let answer = cmd.query_async(&mut connection).await;
            let members: Vec<(String, f64)> = self.heard("list", answer)?;
            let seen = members.len();
            let places = members.into_iter().map(|(member, score)| Place { score, member });
            let after: Vec<_> =
                places.filter(|place| from.is_none_or(|from| is_after(place, from))).collect();
            if after.len() >= limit || seen < look {
                return Ok(after.into_iter().take(limit).collect());
            }
            look = (look * 4).max(FIRST_LOOK);
        }
    }

    /// The next `limit` places after `from` of several sets together, each with its partition.
    async fn merge(
        &self,
        sets: &[(Partition, String)],
        from: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Partition, Place)>, Error> {
        let mut places = Vec::new();
        for some in sets.chunks(SETS) {
            let newest = some.iter().map(|(_, set)| self.newest(set, from, limit));
            let newest = try_join_all(newest).await?;
            for ((partition, _), newest) in some.iter().zip(newest) {
                places.extend(newest.into_iter().map(|place| (*partition, place)));
            }
            places.sort_by(|(_, one), (_, other)| {
                other.score.total_cmp(&one.score).then_with(|| other.member.cmp(&one.member))
            });
            places.truncate(limit);
        }
        Ok(places)
    }

    /// Tasks after `from`, newest first, with the place that each has in its list.
    ///
    /// The list is that of the `parent`'s children, else that of the `state` (of the `agent`, where the state has
    /// a set for each), else that of all tasks.
    pub async fn list(
        &self,
        state: Option<State>,
        agent: Option<&Name>,
        parent: Option<TaskId>,
        from: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Option<Task>)>, Error> {
        let sets = self.sets(state, agent, parent).await?;
        let places = self.merge(&sets, from, limit).await?;
        let mut rows: Vec<(Place, Option<Task>)> = Vec::with_capacity(places.len());
        let mut by_partition: Vec<(Partition, Vec<TaskId>)> = Vec::new();
        for (partition, place) in places {
            let id: TaskId = place
                .member
                .parse()
                .map_err(|_| Error::corrupt(format!("member {:?}", place.member)))?;
            match by_partition.iter_mut().find(|(known, _)| *known == partition) {
                Some((_, ids)) => ids.push(id),
                None => by_partition.push((partition, vec![id])),
            }
            rows.push((place, None));
        }
        for (partition, ids) in by_partition {
            for task in self.read_cold(partition, &ids).await? {
                let id = task.id.to_string();
                if let Some((_, slot)) = rows.iter_mut().find(|(place, _)| place.member == id) {
                    *slot = Some(task);
                }
            }
        }
        Ok(rows)
    }

    async fn sets(
        &self,
        state: Option<State>,
        agent: Option<&Name>,
        parent: Option<TaskId>,
    ) -> Result<Vec<(Partition, String)>, Error> {
        if let Some(parent) = parent {
            // A child with an idempotency key lives where the key's hash says.
            return Ok(self
                .partitions()
                .map(|partition| (partition, self.keys().children(partition, parent)))
                .collect());
        }
        let mut sets = Vec::new();
        for partition in self.partitions() {
            match state {
                None => sets.push((partition, self.keys().tasks(partition))),
                Some(state) if keys::is_per_agent(state) && agent.is_none() => {
                    let agents: Vec<Name> = self.agent_names(partition).await?;
                    sets.extend(agents.iter().map(|agent| {
                        (partition, self.keys().state(partition, state, Some(agent)))
                    }));
                }
                Some(state) => sets.push((partition, self.keys().state(partition, state, agent))),
            }
        }
        Ok(sets)
    }

    /// The agents of the partition's roster.
    async fn agent_names(&self, partition: Partition) -> Result<Vec<Name>, Error> {
        let (mut names, mut cursor) = (BTreeSet::new(), 0u64);
        loop {
            let mut cmd = redis::cmd("ZSCAN");
            cmd.arg(self.keys().roster(partition)).arg(cursor).arg("COUNT").arg(FIRST_LOOK);
            let (next, flat): (u64, Vec<String>) = self.query("agents", &mut cmd).await?;
            names.extend(flat.into_iter().step_by(2).filter_map(|name| Name::try_from(name).ok()));
            cursor = next;
            if cursor == 0 {
                return Ok(names.into_iter().collect());
            }
        }
    }

    /// Approvals of the given statuses after `from`, newest first, with their places.
    pub async fn list_approvals(
        &self,
        statuses: &[ApprovalStatus],
        from: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Approval)>, Error> {
        let partitions: Vec<_> = self.partitions().collect();
        let sets = partitions.iter().flat_map(|partition| {
            statuses.iter().map(|status| (*partition, self.keys().approvals(*partition, *status)))
        });
        let places = self.merge(&sets.collect::<Vec<_>>(), from, limit).await?;
        let ids = places.iter().map(|(_, place)| {
            place
                .member
                .parse::<ApprovalId>()
                .map_err(|_| Error::corrupt(format!("member {:?}", place.member)))
        });
        let ids: Vec<_> = ids.collect::<Result<_, _>>()?;
        let approvals = if ids.is_empty() { Vec::new() } else { self.read_approvals(&ids).await? };
        let place_of = |approval: &Approval| {
            let member = approval.id.to_string();
            places.iter().find(|(_, place)| place.member == member).map(|(_, place)| place.clone())
        };
        Ok(approvals
            .into_iter()
            .filter_map(|approval| Some((place_of(&approval)?, approval)))
            .collect())
    }
}

/// Whether `place` comes after `from` in descending order.
fn is_after(place: &Place, from: &Place) -> bool {
    place.score < from.score || (place.score == from.score && place.member < from.member)
}
