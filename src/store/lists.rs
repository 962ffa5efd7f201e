//! Reads pages of tasks and approvals, newest first, over the pool of long reads.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use futures_util::future::try_join_all;

use crate::domain::approval::{Approval, ApprovalStatus};
use crate::domain::ids::{ApprovalId, Partition, TaskId};
use crate::domain::lifecycle::State;
use crate::domain::name::Name;
use crate::domain::task::Task;

use super::keys::GROUP_SIZE;
use super::{Error, Parts, Store, keys};

mod place;

pub use place::Place;

/// Which list of tasks to read: that of all, unless a part is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which<'f> {
    /// The list of the children of this task; the other parts do not count then.
    pub parent: Option<TaskId>,
    /// The list of the tasks in this state.
    pub state: Option<State>,
    /// Of a state with a set for each subject, only the subjects of this agent.
    pub agent: Option<&'f Name>,
    /// The same, only the subjects of this tenant.
    pub tenant: Option<&'f Name>,
}

impl Which<'_> {
    fn has_subject(&self, subject: &Name) -> bool {
        self.agent.is_none_or(|agent| subject.is_subject_of(agent))
            && self.tenant.is_none_or(|tenant| subject.tenant().as_ref() == Some(tenant))
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The highest score first.
    Descending,
    /// The lowest score first.
    Ascending,
}

/// A part of a list, with the places of its rows.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// Each place with its item. `None` if the item was deleted in the meantime.
    pub rows: Vec<(Place, Option<T>)>,
    /// Whether the part ends before the limit because it is large enough.
    pub is_cut: bool,
}

/// How many members of equal score a page skips at once: more than one batch of submissions.
const FIRST_LOOK: usize = 256;

/// How many groups a page of all tasks reads at first.
const FIRST_GROUPS: usize = 16;

/// How many bytes of tasks are read in one call, when all of them are needed.
const READ_AT_ONCE: usize = 1 << 20;

/// How many sets are read together. Each agent may have one.
const SETS: usize = 16;

/// A sorted set to list.
struct Set {
    partition: Partition,
    key: String,
    /// Whether its members are groups of tasks; see `index.lua`.
    has_groups: bool,
}

impl Store {
    /// Returns up to `limit` places of `set` that come after `from` in this order. Groups are listed
    /// in descending order only.
    async fn first(
        &self,
        set: &Set,
        from: Option<&Place>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Place>, Error> {
        let (command, first, last) = order.command();
        let mut look = if set.has_groups { FIRST_GROUPS } else { limit };
        loop {
            let mut cmd = redis::cmd(command);
            match from {
                Some(place) => cmd.arg(&set.key).arg(place.score),
                None => cmd.arg(&set.key).arg(first),
            };
            cmd.arg(last).arg("WITHSCORES").arg("LIMIT").arg(0).arg(look);
            let members: Vec<(String, f64)> = self.query_cold("list", set.partition, &cmd).await?;
            let is_all = members.len() < look;
            let places = if set.has_groups {
                places_in(&members, is_all)
            } else {
                members.into_iter().map(|(member, score)| Place { score, member }).collect()
            };
            let after: Vec<_> = places
                .into_iter()
                .filter(|place| from.is_none_or(|from| order.compare(from, place).is_lt()))
                .take(limit)
                .collect();
            if is_all || after.len() == limit {
                return Ok(after);
            }
            look = (look * 4).max(FIRST_LOOK);
        }
    }

    /// Returns the next `limit` places after `from` of several sets together, each with its
    /// partition.
    async fn merge(
        &self,
        sets: &[Set],
        from: Option<&Place>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<(Partition, Place)>, Error> {
        let mut places = Vec::new();
        for some in sets.chunks(SETS) {
            let firsts = some.iter().map(|set| self.first(set, from, limit, order));
            let firsts = try_join_all(firsts).await?;
            for (set, first) in some.iter().zip(firsts) {
                places.extend(first.into_iter().map(|place| (set.partition, place)));
            }
            places.sort_by(|(_, one), (_, other)| order.compare(one, other));
            places.truncate(limit);
        }
        Ok(places)
    }

    /// Returns tasks after `from`, newest first, with their places, until they have `budget` bytes.
    pub async fn list(
        &self,
        which: Which<'_>,
        from: Option<&Place>,
        limit: usize,
        (parts, budget): (Parts, usize),
    ) -> Result<Listed<Task>, Error> {
        let sets = self.sets(which).await?;
        let places = self.merge(&sets, from, limit, Order::Descending).await?;
        let mut found = Found::new(&places);
        for share in shares::<TaskId>(&places, budget)? {
            if found.bytes >= budget {
                found.end_before(&share);
                continue;
            }
            let read = self.read_cold(share.partition, &share.ids, parts, share.budget).await?;
            found.add(&share, read, |task: &Task| (task.id.to_string(), task.bytes()));
        }
        Ok(found.at(places))
    }

    async fn sets(&self, which: Which<'_>) -> Result<Vec<Set>, Error> {
        if let Some(parent) = which.parent {
            // A child with an idempotency key lives in the partition of the key's hash.
            return Ok(self
                .partitions()
                .map(|partition| Set::new(partition, self.keys().children(partition, parent)))
                .collect());
        }
        let mut sets = Vec::new();
        for partition in self.partitions() {
            match which.state {
                None => sets.push(Set {
                    has_groups: true,
                    ..Set::new(partition, self.keys().tasks(partition))
                }),
                Some(state) if keys::is_per_agent(state) => {
                    let mut subjects = self.subjects(partition).await?;
                    subjects.retain(|subject| which.has_subject(subject));
                    sets.extend(subjects.iter().map(|subject| {
                        Set::new(partition, self.keys().state(partition, state, Some(subject)))
                    }));
                }
                Some(state) => {
                    sets.push(Set::new(partition, self.keys().state(partition, state, None)));
                }
            }
        }
        Ok(sets)
    }

    /// Returns the tasks with these ids that exist, without their large parts.
    pub async fn tasks_of(&self, ids: &[TaskId]) -> Result<HashMap<TaskId, Task>, Error> {
        let mut of_partition: HashMap<Partition, Vec<TaskId>> = HashMap::new();
        for id in ids {
            of_partition.entry(id.partition()).or_default().push(*id);
        }
        let mut found = HashMap::new();
        for (partition, ids) in of_partition {
            let mut rest = &ids[..];
            while !rest.is_empty() {
                let read = self.read_cold(partition, rest, Parts::default(), READ_AT_ONCE).await?;
                let (looked_at, tasks) = read;
                found.extend(tasks.into_iter().map(|task| (task.id, task)));
                rest = rest.get(looked_at.max(1)..).unwrap_or_default();
            }
        }
        Ok(found)
    }

    async fn subjects(&self, partition: Partition) -> Result<Vec<Name>, Error> {
        let mut names = BTreeSet::new();
        let mut cursor = 0u64;
        loop {
            let mut cmd = redis::cmd("ZSCAN");
            cmd.arg(self.keys().roster(partition)).arg(cursor).arg("COUNT").arg(FIRST_LOOK);
            let (next, flat): (u64, Vec<String>) = self.query("agents", partition, &cmd).await?;
            names.extend(
                flat.into_iter().step_by(2).filter_map(|name| Name::of_subject(&name).ok()),
            );
            cursor = next;
            if cursor == 0 {
                return Ok(names.into_iter().collect());
            }
        }
    }

    /// Returns approvals of the given statuses after `from` in this order, with their places, until
    /// they have `budget` bytes.
    ///
    /// * `has_all`: whether to read the parts with payloads, which are empty otherwise.
    pub async fn list_approvals(
        &self,
        (statuses, order): (&[ApprovalStatus], Order),
        from: Option<&Place>,
        limit: usize,
        (has_all, budget): (bool, usize),
    ) -> Result<Listed<Approval>, Error> {
        let partitions: Vec<_> = self.partitions().collect();
        let sets = partitions.iter().flat_map(|partition| {
            statuses
                .iter()
                .map(|status| Set::new(*partition, self.keys().approvals(*partition, *status)))
        });
        let places = self.merge(&sets.collect::<Vec<_>>(), from, limit, order).await?;
        let mut found = Found::new(&places);
        for share in shares::<ApprovalId>(&places, budget)? {
            if found.bytes >= budget {
                found.end_before(&share);
                continue;
            }
            let read = self
                .read_approvals_cold(share.partition, &share.ids, has_all, share.budget)
                .await?;
            found.add(&share, read, |approval: &Approval| {
                (approval.id.to_string(), approval.bytes())
            });
        }
        Ok(found.at(places))
    }
}

impl Order {
    /// The command that reads a sorted set in this order, and the two ends of its scores.
    fn command(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Descending => ("ZREVRANGEBYSCORE", "+inf", "-inf"),
            Self::Ascending => ("ZRANGEBYSCORE", "-inf", "+inf"),
        }
    }

    fn compare(self, one: &Place, other: &Place) -> Ordering {
        let descending = one.descending(other);
        if self == Self::Descending { descending } else { descending.reverse() }
    }
}

/// The ids of one partition that a part of a list needs.
struct Share<I> {
    partition: Partition,
    /// The index of each id in the list.
    nths: Vec<usize>,
    ids: Vec<I>,
    budget: usize,
}

/// Returns the share of each partition in these places and in the budget, the partition of the
/// first place first.
fn shares<I: FromStr>(
    places: &[(Partition, Place)],
    budget: usize,
) -> Result<Vec<Share<I>>, Error> {
    let mut shares: Vec<Share<I>> = Vec::new();
    let each = budget / places.len().max(1);
    for (nth, (partition, place)) in places.iter().enumerate() {
        let member = &place.member;
        let id = member.parse().map_err(|_| Error::corrupt(format!("member {member:?}")))?;
        match shares.iter_mut().find(|share| share.partition == *partition) {
            Some(share) => {
                share.nths.push(nth);
                share.ids.push(id);
                share.budget += each;
            }
            None => shares.push(Share {
                partition: *partition,
                nths: vec![nth],
                ids: vec![id],
                budget: each,
            }),
        }
    }
    Ok(shares)
}

/// The items that were read for a part of a list.
struct Found<T> {
    by_member: HashMap<String, T>,
    /// The size of the items in bytes, about.
    bytes: usize,
    /// The index of the first place that was not read.
    end: usize,
}

impl<T> Found<T> {
    fn new(places: &[(Partition, Place)]) -> Self {
        Self { by_member: HashMap::new(), bytes: 0, end: places.len() }
    }

    /// Adds the items of a share, and how many of its ids were read.
    fn add(
        &mut self,
        share: &Share<impl Sized>,
        (looked_at, items): (usize, Vec<T>),
        key_of: impl Fn(&T) -> (String, usize),
    ) {
        for item in items {
            let (member, bytes) = key_of(&item);
            self.bytes += bytes;
            self.by_member.insert(member, item);
        }
        self.end = share.nths.get(looked_at).map_or(self.end, |nth| self.end.min(*nth));
    }

    /// Ends the part before the first place of this share, which is not read.
    fn end_before(&mut self, share: &Share<impl Sized>) {
        self.end = share.nths.first().map_or(self.end, |nth| self.end.min(*nth));
    }

    /// Returns the places before the first one that was not read, with their items.
    fn at(mut self, places: Vec<(Partition, Place)>) -> Listed<T> {
        let is_cut = self.end < places.len();
        let rows = places.into_iter().take(self.end).map(|(_, place)| {
            let item = self.by_member.remove(&place.member);
            (place, item)
        });
        Listed { rows: rows.collect(), is_cut }
    }
}

impl Set {
    fn new(partition: Partition, key: String) -> Self {
        Self { partition, key, has_groups: false }
    }
}

/// Returns the places of the tasks in these groups, newest first.
///
/// * `groups`: each with the score of its first task, highest first.
/// * `is_all`: whether there are no more groups. The tasks of more groups may stand between those of
///   the last ones, which are left out then.
fn places_in(groups: &[(String, f64)], is_all: bool) -> Vec<Place> {
    let lowest = groups.last().filter(|_| !is_all).map(|(_, score)| score + GROUP_SIZE as f64);
    let mut places = Vec::new();
    for (group, first) in groups {
        for (nth, id) in group.split(' ').enumerate() {
            let score = first + nth as f64;
            if !id.is_empty() && lowest.is_none_or(|lowest| score >= lowest) {
                places.push(Place { score, member: id.to_owned() });
            }
        }
    }
    places.sort_by(Place::descending);
    places
}
