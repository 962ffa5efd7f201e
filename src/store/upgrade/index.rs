//! Groups of the index of tasks: see `index.lua`.
//!
//! Up to layout 7 each member of the index is one task. That is a group of one, which the scripts
//! read as well, but they look at no more than [`MOST`] groups of a millisecond.

use super::super::keys::GROUP_SIZE;

/// How many groups of a millisecond the scripts look at: `MOST_GROUPS` of `index.lua`.
pub(super) const MOST: usize = 500;

/// How many scores a millisecond has.
pub(super) const PER_MS: u64 = 1_000;

/// Returns the millisecond of a score.
pub(super) fn ms_of(score: u64) -> u64 {
    score / PER_MS
}

/// Returns groups of these tasks and the score of each group. Every task keeps its score: its place
/// in the group stands for it, and places without a task are empty.
///
/// * `tasks`: ids and scores, lowest first.
pub(super) fn grouped(tasks: &[(String, u64)]) -> Vec<(String, u64)> {
    struct Group {
        ids: String,
        first: u64,
        last: u64,
    }
    let mut groups = Vec::<Group>::new();
    for (id, score) in tasks {
        let mut known = groups.iter_mut();
        let has_room =
            |group: &&mut Group| group.last < *score && *score - group.first < GROUP_SIZE as u64;
        let Some(group) = known.find(has_room) else {
            groups.push(Group { ids: id.clone(), first: *score, last: *score });
            continue;
        };
        group.ids.push_str(&" ".repeat((score - group.last) as usize));
        group.ids.push_str(id);
        group.last = *score;
    }
    groups.into_iter().map(|group| (group.ids, group.first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_of_a_group_keeps_its_score() {
        let scores = [5, 6, 9, 9, 104, 105, 204];
        let tasks: Vec<_> = (0..).zip(scores).map(|(nth, at)| (format!("t{nth}"), at)).collect();

        let groups = grouped(&tasks);

        let expected = [
            (format!("t0 t1   t2{}t4", " ".repeat(95)), 5),
            (format!("t3{}t5", " ".repeat(96)), 9),
            ("t6".to_owned(), 204),
        ];
        assert_eq!(groups, expected);
        let mut read: Vec<_> = groups
            .iter()
            .flat_map(|(group, first)| {
                let places = (*first..).zip(group.split(' ')).filter(|(_, id)| !id.is_empty());
                places.map(|(at, id)| (id.to_owned(), at)).collect::<Vec<_>>()
            })
            .collect();
        read.sort();
        assert_eq!(read, tasks);
    }

    #[test]
    fn the_scripts_look_at_this_many_groups() {
        assert!(include_str!("../lua/index.lua").contains(&format!("MOST_GROUPS = {MOST}\n")));
    }
}
