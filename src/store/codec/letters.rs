//! The letters that stand for verbs and states in records. They are stored, so they never change.

use crate::domain::lifecycle::{State, Verb};

/// The letter of each verb.
const VERBS: [(char, Verb); 29] = [
    ('s', Verb::Submit),
    ('a', Verb::Ask),
    ('v', Verb::Vote),
    ('e', Verb::Edit),
    ('E', Verb::Escalate),
    ('T', Verb::Retarget),
    ('y', Verb::Approve),
    ('n', Verb::Reject),
    ('x', Verb::Expire),
    ('P', Verb::Promote),
    ('r', Verb::Route),
    ('c', Verb::Claim),
    ('k', Verb::Park),
    ('t', Verb::Take),
    ('d', Verb::Extend),
    ('C', Verb::Complete),
    ('R', Verb::Retry),
    ('f', Verb::Fail),
    ('l', Verb::Release),
    ('L', Verb::Reap),
    ('X', Verb::Cancel),
    ('w', Verb::Warn),
    ('V', Verb::Violate),
    ('N', Verb::Notify),
    ('p', Verb::Reprioritize),
    ('A', Verb::Abort),
    ('q', Verb::Requeue),
    ('D', Verb::Prune),
    ('h', Verb::Repair),
];

/// The letter of each state.
const STATES: [(char, State); 8] = [
    ('b', State::Blocked),
    ('s', State::Scheduled),
    ('p', State::Pending),
    ('a', State::Assigned),
    ('i', State::InProgress),
    ('c', State::Completed),
    ('f', State::Failed),
    ('x', State::Cancelled),
];

/// Returns the verb of a letter.
pub(super) fn verb(letter: char) -> Option<Verb> {
    VERBS.iter().find(|(known, _)| *known == letter).map(|(_, verb)| *verb)
}

/// Returns the state of a letter.
pub(in crate::store) fn state(letter: char) -> Option<State> {
    STATES.iter().find(|(known, _)| *known == letter).map(|(_, state)| *state)
}

/// Returns the letter of a verb.
pub(in crate::store) fn of_verb(verb: Verb) -> char {
    VERBS.iter().find(|(_, known)| *known == verb).map_or('?', |(letter, _)| *letter)
}

/// Returns the letter of a state.
pub(in crate::store) fn of_state(state: State) -> char {
    STATES.iter().find(|(_, known)| *known == state).map_or('?', |(letter, _)| *letter)
}

/// Returns the tables of verbs and of states by their letters, as Lua.
pub(in crate::store) fn lua() -> String {
    let verbs = VERBS.map(|(letter, verb)| format!("{letter}='{verb}'"));
    let states = STATES.map(|(letter, state)| format!("{letter}='{state}'"));
    format!("local VERB_OF = {{{}}}\nlocal STATE_OF = {{{}}}\n", verbs.join(","), states.join(","))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_verb_and_every_state_has_a_letter_of_its_own() {
        let letters: BTreeSet<_> = VERBS.iter().map(|(letter, _)| letter).collect();
        assert_eq!(letters.len(), Verb::ALL.len());
        assert!(Verb::ALL.iter().all(|verb| VERBS.iter().any(|(_, known)| known == verb)));
        let letters: BTreeSet<_> = STATES.iter().map(|(letter, _)| letter).collect();
        assert_eq!(letters.len(), State::ALL.len());
        assert!(State::ALL.iter().all(|state| STATES.iter().any(|(_, known)| known == state)));
    }
}
