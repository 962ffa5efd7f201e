//! Which caller holds which connections, so that the one that holds the most makes room.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The caller of connections on which no credential was shown.
pub const STRANGER: &str = "";

/// The ids of connections, by their caller.
#[derive(Debug, Default)]
pub struct Holders {
    count: usize,
    by_caller: HashMap<Arc<str>, BTreeSet<u64>>,
    /// How many connections each caller holds, and its name; without strangers.
    ranking: BTreeSet<(usize, Arc<str>)>,
    /// The id at which the next search begins.
    cursor: u64,
}

impl Holders {
    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds a connection of `caller`.
    pub fn insert(&mut self, caller: &Arc<str>, id: u64) {
        self.change(caller, |ids| ids.insert(id));
    }

    /// Removes a connection of `caller`.
    pub fn remove(&mut self, caller: &Arc<str>, id: u64) {
        self.change(caller, |ids| ids.remove(&id));
    }

    fn change(&mut self, caller: &Arc<str>, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let ids = self.by_caller.entry(Arc::clone(caller)).or_default();
        let before = ids.len();
        change(ids);
        let after = ids.len();
        if after == 0 {
            self.by_caller.remove(caller);
        }
        self.count = self.count - before + after;
        if **caller == *STRANGER {
            return;
        }
        self.ranking.remove(&(before, Arc::clone(caller)));
        if after > 0 {
            self.ranking.insert((after, Arc::clone(caller)));
        }
    }

    /// The connections of strangers, the oldest first.
    pub fn strangers(&self) -> impl Iterator<Item = u64> {
        self.by_caller.get(STRANGER).into_iter().flatten().copied()
    }

    /// Looks at no more than `most` connections of callers, first at those of the caller that holds
    /// the most. Returns, of the first caller with one for which `spare_since` says since when it
    /// is unused, the one that is unused for longest. The next search continues behind this one.
    pub fn idlest<T: Ord>(
        &mut self,
        most: usize,
        spare_since: impl Fn(u64) -> Option<T>,
    ) -> Option<u64> {
        let mut left = most;
        let mut last = None;
        let mut found = None;
        for (_, caller) in self.ranking.iter().rev() {
            let Some(ids) = self.by_caller.get(caller) else { continue };
            let behind = ids.range(self.cursor..).chain(ids.range(..self.cursor));
            let looked_at: Vec<u64> = behind.take(left).copied().collect();
            left -= looked_at.len();
            last = looked_at.last().copied().or(last);
            let spare = looked_at.into_iter().filter_map(|id| Some((spare_since(id)?, id)));
            found = spare.min().map(|(_, id)| id);
            if found.is_some() || left == 0 {
                break;
            }
        }
        self.cursor = last.map_or(0, |id| id + 1);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(held: &[(&str, std::ops::Range<u64>)]) -> Holders {
        let mut holders = Holders::default();
        for (caller, ids) in held {
            for id in ids.clone() {
                holders.insert(&Arc::from(*caller), id);
            }
        }
        holders
    }

    #[test]
    fn the_caller_that_holds_the_most_makes_room() {
        let mut holders =
            holders(&[("key:modest", 0..3), ("key:greedy", 3..10), (STRANGER, 10..30)]);

        // Connections with small ids are unused for longest.
        assert_eq!(holders.idlest(100, Some), Some(3));
        assert_eq!(holders.strangers().next(), Some(10));
        assert_eq!(holders.count(), 30);

        for id in 5..10 {
            holders.remove(&"key:greedy".into(), id);
        }
        assert_eq!(holders.idlest(100, Some), Some(0));
    }

    #[test]
    fn a_caller_whose_connections_are_all_at_work_passes_it_on() {
        let mut holders = holders(&[("key:modest", 0..3), ("key:greedy", 3..10)]);

        assert_eq!(holders.idlest(100, |id| (id < 3).then_some(id)), Some(0));
        assert_eq!(holders.idlest(100, |_| None::<u64>), None);
    }

    #[test]
    fn a_search_is_bounded_and_the_next_one_looks_further() {
        let mut holders = holders(&[("key:modest", 0..1), ("key:greedy", 1..10)]);
        let only_the_last = |id| (id == 9).then_some(id);

        // The modest caller keeps its connection while the other's were not all looked at.
        assert_eq!(holders.idlest(4, |id| only_the_last(id).or((id == 0).then_some(id))), None);
        assert_eq!(holders.idlest(4, only_the_last), None);
        assert_eq!(holders.idlest(4, only_the_last), Some(9));
    }

    #[test]
    fn connections_that_left_leave_no_name() {
        let mut holders = holders(&[("key:a", 0..2), (STRANGER, 2..4)]);
        for id in 0..2 {
            holders.remove(&"key:a".into(), id);
            // A second time counts nothing.
            holders.remove(&"key:a".into(), id);
        }

        assert_eq!(holders.count(), 2);
        assert!(holders.ranking.is_empty() && holders.by_caller.len() == 1);
    }
}
