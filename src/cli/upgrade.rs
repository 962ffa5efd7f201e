//! The output of `orchestrator upgrade`.

use crate::engine::Upgrade;

/// Returns what was done, with a line for each task that could not be read.
pub fn text(upgrade: &Upgrade) -> String {
    match upgrade {
        Upgrade::Empty => "The store is empty: there is nothing to upgrade.\n".to_owned(),
        Upgrade::Current => {
            "The store has the key layout of this version: there is nothing to upgrade.\n"
                .to_owned()
        }
        Upgrade::Done { from, tasks, unreadable } => {
            let lines: String = unreadable
                .iter()
                .map(|id| format!("task {id}: has a record that cannot be read, left as it is\n"))
                .collect();
            let count = unreadable.len();
            format!(
                "{lines}The store was upgraded from key layout {from}: {tasks} tasks, {count} that \
                 cannot be read.\nRun `orchestrator doctor` before you start the fleet.\n"
            )
        }
    }
}

/// Returns whether nothing is left that a human has to look at.
pub fn is_clean(upgrade: &Upgrade) -> bool {
    !matches!(upgrade, Upgrade::Done { unreadable, .. } if !unreadable.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_tasks_are_named_and_are_a_failure() {
        let unreadable = vec!["1".to_owned()];
        let done = Upgrade::Done { from: "6".to_owned(), tasks: 3, unreadable };

        let expected = "task 1: has a record that cannot be read, left as it is\n\
            The store was upgraded from key layout 6: 3 tasks, 1 that cannot be read.\n\
            Run `orchestrator doctor` before you start the fleet.\n";
        assert_eq!(text(&done), expected);
        assert!(!is_clean(&done));
        assert!(is_clean(&Upgrade::Current) && is_clean(&Upgrade::Empty));
    }
}
