//! Who may decide on an approval. Rules compare [`People`] and content, not credentials and calls.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::approval::{Approval, Groups, Level, Verdict};
use super::content::canonical;
use super::people::{Identity, People};
use super::principal::Principal;
use super::task::Task;
use super::text::hex;

/// The value of [`Author::payload`](super::approval::Author::payload) that matches every payload.
const EVERY_PAYLOAD: &str = "*";

/// Returns the hexadecimal SHA-256 of the canonical JSON of a payload. It depends on neither its
/// author nor its version.
pub fn payload_digest(payload: &RawValue) -> String {
    hex(&Sha256::digest(canonical(payload)))
}

/// The reason why a person may not decide on an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The approval asks other approvers, who are described by this text.
    NotAsked(String),
    /// The person submitted the task or requested the approval.
    Own,
    /// The terms require four eyes, and the person edited the payload.
    OwnContent,
    /// The person has already approved this, so a second approval adds nothing.
    Voted,
}

/// The people of the configuration and the groups they belong to.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'d> {
    /// Which credentials belong to one person; see [`People::identity`].
    pub people: &'d People,
    /// The members of each group, in the form that [`super::people::credential`] reads.
    pub groups: &'d Groups,
}

impl Directory<'_> {
    /// Returns why `caller`, whose role may decide approvals, may not make this decision. `None` if
    /// the caller may.
    pub fn bar(
        &self,
        caller: &Principal,
        approval: &Approval,
        task: &Task,
        verdict: &Verdict,
    ) -> Option<Bar> {
        if let Some(level) = approval.terms.level(approval.level)
            && !self.includes(level, caller)
        {
            return Some(Bar::NotAsked(self.describe(level)));
        }
        if self.is_own(caller, approval, task) {
            return Some(Bar::Own);
        }
        let Verdict::Approve { payload: None } = verdict else { return None };
        let caller = self.people.identity(caller.subject());
        if approval.terms.four_eyes && self.has_written(&caller, approval, task) {
            return Some(Bar::OwnContent);
        }
        let has_voted = approval.votes.iter().any(|vote| self.people.is(&caller, &vote.by));
        has_voted.then_some(Bar::Voted)
    }

    /// Returns whether the caller submitted the task or requested the approval.
    pub fn is_own(&self, caller: &Principal, approval: &Approval, task: &Task) -> bool {
        let caller = self.people.identity(caller.subject());
        [&task.submitted_by, &approval.requested_by]
            .into_iter()
            .any(|actor| self.people.is(&caller, actor))
    }

    /// Whether the person edited the payload to what it is now, for any approval of the task.
    fn has_written(&self, person: &Identity, approval: &Approval, task: &Task) -> bool {
        if approval.authors.is_empty() {
            return false;
        }
        let current = payload_digest(&task.spec.payload);
        approval.authors.iter().any(|author| {
            [EVERY_PAYLOAD, current.as_str()].contains(&author.payload.as_str())
                && self.people.is(person, &author.by)
        })
    }

    /// Returns whether `level` asks `caller`, by role or by group.
    pub fn includes(&self, level: &Level, caller: &Principal) -> bool {
        level.asks_everyone()
            || level.roles.contains(&caller.role())
            || self.members(level).contains(&self.people.identity(caller.subject()))
    }

    /// Returns the people in the groups of `level`, each once, without the callers of its roles.
    pub fn members(&self, level: &Level) -> BTreeSet<Identity> {
        level.groups.iter().flat_map(|group| self.people.members(self.groups, group)).collect()
    }

    /// Returns a text for users that says which approvers `level` asks.
    pub fn describe(&self, level: &Level) -> String {
        if level.asks_everyone() {
            return "every caller whose role may decide approvals".to_owned();
        }
        let roles = level.roles.iter().map(|role| format!("role {}", role.as_str()));
        let groups = level.groups.iter().map(|group| match self.fault_of(group) {
            Some(fault) => format!("group {group}, which {fault}"),
            None => format!("group {group}"),
        });
        roles.chain(groups).collect::<Vec<_>>().join(", ")
    }

    /// Returns what is wrong with `level` if `quorum` people must approve: unknown or empty groups,
    /// and too few members. Empty if it can reach the quorum.
    pub fn faults(&self, level: &Level, quorum: u32) -> Vec<String> {
        let faults = level
            .groups
            .iter()
            .filter_map(|group| Some(format!("group `{group}` {}", self.fault_of(group)?)));
        let mut faults: Vec<_> = faults.collect();
        let left = self.members(level).len();
        if level.roles.is_empty() && !level.groups.is_empty() && left < quorum as usize {
            let groups = level.groups.join("`, `");
            faults.push(format!("`{groups}` has {left} of the {quorum} people who must approve"));
        }
        faults
    }

    fn fault_of(&self, group: &str) -> Option<&'static str> {
        match self.groups.get(group).map(Vec::is_empty) {
            None => Some("is not configured"),
            Some(true) => Some("has no members"),
            Some(false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::principal::{Role, Subject};
    use super::*;

    fn groups() -> Groups {
        let members = |members: &[&str]| members.iter().map(|one| (*one).to_owned()).collect();
        Groups::from([
            ("oncall".to_owned(), members(&["user:Ann", "key:ann", "key:bob"])),
            ("empty".to_owned(), members(&[])),
        ])
    }

    fn level(roles: &[Role], groups: &[&str]) -> Level {
        Level {
            roles: roles.to_vec(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            expires_after_ms: 1_000,
        }
    }

    #[test]
    fn a_level_asks_roles_and_people_in_groups_or_everyone() {
        let (people, groups) = (People::default(), groups());
        let directory = Directory { people: &people, groups: &groups };
        let caller =
            |name: &str, role| Principal::new(Subject::User(name.to_owned()), role).unwrap();
        let callers = [
            caller("ann", Role::Approver),
            caller("BOB", Role::Admin),
            caller("eve", Role::Approver),
        ];

        for (level, expected) in [
            (level(&[], &[]), [true, true, true]),
            (level(&[Role::Admin], &[]), [false, true, false]),
            (level(&[], &["oncall"]), [true, true, false]),
            (level(&[Role::Admin], &["oncall"]), [true, true, false]),
            (level(&[], &["gone"]), [false, false, false]),
            (level(&[], &["empty"]), [false, false, false]),
        ] {
            let found = callers.each_ref().map(|caller| directory.includes(&level, caller));
            assert_eq!(found, expected, "{level:?}");
        }
    }

    #[test]
    fn missing_people_are_a_fault_of_the_level() {
        let (people, groups) = (People::default(), groups());
        let directory = Directory { people: &people, groups: &groups };

        for (level, quorum, expected) in [
            (level(&[], &[]), 3, vec![]),
            (level(&[Role::Admin], &["oncall"]), 3, vec![]),
            (level(&[], &["oncall"]), 2, vec![]),
            (level(&[], &["oncall"]), 3, vec!["`oncall` has 2 of the 3 people who must approve"]),
            (level(&[], &["oncall", "gone"]), 1, vec!["group `gone` is not configured"]),
            (
                level(&[], &["empty"]),
                1,
                vec![
                    "group `empty` has no members",
                    "`empty` has 0 of the 1 people who must approve",
                ],
            ),
        ] {
            assert_eq!(directory.faults(&level, quorum), expected, "{level:?}");
        }
    }

    #[test]
    fn a_payload_is_the_same_in_every_spelling_of_its_json() {
        let digest = |text: &str| payload_digest(&RawValue::from_string(text.to_owned()).unwrap());

        assert_eq!(digest(r#"{"b": [1], "a": "x"}"#), digest(r#"{"a":"\u0078","b":[1]}"#));
        assert_ne!(digest(r#"{"a": 1}"#), digest(r#"{"a": 2}"#));
    }
}
