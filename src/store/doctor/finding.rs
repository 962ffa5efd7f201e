//! What the doctor finds: every kind of finding with its words, defined once for the command, the
//! log, the metrics and the documentation.

use std::fmt;

/// An inconsistency in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The id, the key or the name that the finding is about.
    pub subject: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What the doctor did about it.
    pub repair: Repair,
}

/// What the doctor did about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// It only searched.
    NotTried,
    /// It repaired the finding.
    Done,
    /// It cannot repair the finding.
    Impossible,
}

/// The words of one kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The name of the kind, for scripts, logs and metrics.
    pub kind: &'static str,
    /// What is wrong with the subject; `{…}` stands for an argument.
    pub what: &'static str,
    /// How the doctor repairs it, in the past tense. Empty if it never does.
    pub done: &'static str,
    /// Why the doctor does not repair it. Empty if it always does.
    pub left: &'static str,
}

macro_rules! problems {
    ($(
        $variant:ident { $($argument:ident),* } = $kind:literal, $what:literal
        $(, done $done:literal)? $(, left $left:literal)?;
    )*) => {
        /// What is wrong with a subject, with what the check saw.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each variant's documentation is its text")]
        pub enum Problem {
            $(
                #[doc = concat!("The subject ", $what, ".")]
                $variant { $($argument: String),* },
            )*
        }

        impl Problem {
            /// The words of every kind.
            pub const WORDS: &[Words] = &[$(Words {
                kind: $kind,
                what: $what,
                done: concat!($($done)?),
                left: concat!($($left)?),
            }),*];

            /// Reads a problem from the name of its kind and its arguments, in order.
            pub(super) fn read(kind: &str, arguments: &[String]) -> Option<Self> {
                match (kind, arguments) {
                    $(($kind, [$($argument),*]) => {
                        Some(Self::$variant { $($argument: $argument.clone()),* })
                    })*
                    _ => None,
                }
            }

            /// Returns the name of the kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)*
                }
            }
        }

        impl fmt::Display for Problem {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($argument),* } => write!(formatter, $what),)*
                }
            }
        }
    };
}

problems! {
    ApprovalForeign { approval } = "approval_foreign",
        "names the approval {approval}, which is not its own",
        done "asked for a new one, which it waits for",
        left "it is over; a retry asks for a new one";
    ApprovalMissing {} = "approval_missing", "is blocked without an approval",
        done "asked for one";
    ApprovalOpen { state } = "approval_open", "is {state} while its approval is pending",
        done "closed the approval";
    ApprovalUnasked { task } = "approval_unasked",
        "asks about the task {task}, which does not wait for it",
        done "closed";
    ApprovalUnreadable {} = "approval_unreadable", "is an approval that cannot be read",
        left "what it says is for a human to find out";
    ChildForeign { parent } = "child_foreign",
        "is among the children of {parent}, which is not its parent",
        done "taken out of them";
    ChildMisplaced { parent, score } = "child_misplaced",
        "stands among the children of {parent} at {score}, not at its acceptance",
        done "put there";
    ChildMissing { parent } = "child_missing", "is missing from the children of {parent}",
        done "added to them";
    ContentUnapproved { approval } = "content_unapproved",
        "holds what its approval {approval} is not for",
        left "no agent gets it; cancel it";
    CounterWrong { counted, priority, open } = "counter_wrong",
        "counts {counted} open tasks of {priority} where there are {open}",
        done "corrected",
        left "another doctor corrected it at the same time; run again";
    EndedUnapproved { state, status } = "ended_unapproved",
        "is {state} though its approval is {status}",
        left "it has happened";
    HashMissing { place } = "hash_missing", "is in {place} but has no hash",
        done "taken out of it";
    IndexMisplaced { score } = "index_misplaced",
        "stands in the index of tasks at {score}, not at its acceptance",
        done "put there";
    IndexMissing {} = "index_missing", "is missing from the index of tasks",
        done "added to it";
    KeyType { found, expected } = "key_type", "is a {found} where a {expected} belongs",
        left "an operator must find out what the key is for";
    KeyUnknown {} = "key_unknown", "is no key of this layout",
        left "an operator must find out what the key is for";
    LeaseEndless { until } = "lease_endless", "is leased until {until}, longer than any lease",
        done "ended the lease";
    NotAsked { status } = "not_asked", "is blocked though its approval is {status}",
        done "asked for a new one";
    NotBlocked { state } = "not_blocked", "is {state} though its approval is pending",
        done "put back to wait for it";
    NotCancelled { state, status } = "not_cancelled",
        "is {state} though its approval is {status}",
        done "cancelled";
    PlaceMissing { state, place } = "place_missing", "is {state} but is missing from {place}",
        done "put back";
    PlaceSecond { state, place } = "place_second", "is {state} but stands in {place} too",
        done "taken out of it";
    PlaceWrong { place, score, right } = "place_wrong",
        "stands in {place} at {score}, not at {right}",
        done "put there";
    RecordMissing { place } = "record_missing", "is in {place} but has no record",
        done "taken out of it";
    RecordUnreadable {} = "record_unreadable", "has a record that cannot be read",
        left "what it says is for a human to find out";
    RecordUnreadableIn { place } = "record_unreadable_in",
        "is in {place} though its record cannot be read",
        done "taken out of it, so that it holds up no other";
    RedisEvicts { warning } = "redis_evicts", "{warning}",
        left "set maxmemory-policy to noeviction";
    Remains { what } = "remains", "has {what} but no record",
        done "removed";
    ReminderMissing {} = "reminder_missing", "is missing from the reminders",
        done "put back";
    ReminderStray {} = "reminder_stray", "is to be reminded of without need",
        done "taken out of the reminders";
    RosterLate { looked_at, lease_end } = "roster_late",
        "is looked at at {looked_at}, after its lease ends at {lease_end}",
        done "put to now";
    RosterMissing {} = "roster_missing",
        "has tasks or sessions, or is paused, but is missing from the roster",
        done "added to it";
    SessionFuture { worker } = "session_future",
        "has the session {worker}, which was last seen in the future",
        done "put to now";
    SpecMissing {} = "spec_missing", "has no spec",
        done "failed",
        left "it is over, and is forgotten with its retention";
    SumWrong { counted, open } = "sum_wrong",
        "counts {counted} open tasks where there are {open}",
        left "too much was written for a count of each priority; run again";
    TaskGone { task } = "task_gone", "is about the task {task}, which is gone",
        done "removed";
    TimelineDiffers { state, last } = "timeline_differs",
        "is {state}, but its timeline ends with {last}",
        left "it is unknown which is right; cancel or retry it";
    TimerStray { state } = "timer_stray", "is {state} but has a timer",
        done "taken out of timers";
    TimerWrong { score, noted, right } = "timer_wrong",
        "has its timer at {score}, and at {noted} in its record, not at {right}",
        done "put there";
    Unchecked { error } = "unchecked", "cannot be checked in full: {error}",
        left "an operator must remove what prevents the check";
    Undecryptable { what, why } = "undecryptable",
        "has a text that cannot be decrypted, the {what}: {why}",
        left "configure its key again, or cancel the task";
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} [{}]", self.subject, self.problem, self.problem.kind())?;
        match self.repair {
            Repair::NotTried => Ok(()),
            Repair::Done => write!(formatter, " – repaired: {}", self.explanation()),
            Repair::Impossible => write!(formatter, " – not repaired: {}", self.explanation()),
        }
    }
}

impl Finding {
    /// Returns a finding about `subject`.
    pub(super) fn new(subject: impl Into<String>, problem: Problem, repair: Repair) -> Self {
        Self { subject: subject.into(), problem, repair }
    }

    /// Returns what was done about it, or why nothing can be. Empty if the doctor only searched.
    pub fn explanation(&self) -> &'static str {
        let kind = self.problem.kind();
        let words = Problem::WORDS.iter().find(|words| words.kind == kind);
        match self.repair {
            Repair::NotTried => "",
            Repair::Done => words.map_or("", |words| words.done),
            Repair::Impossible => words.map_or("", |words| words.left),
        }
    }
}

impl Repair {
    /// Returns the repair of a finding that nothing but an operator can repair.
    pub(in crate::store) fn impossible_if(is_repair: bool) -> Self {
        if is_repair { Self::Impossible } else { Self::NotTried }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the kind and the number of arguments of each call of `note_finding` or `find_stray` in a
    /// script.
    fn calls(text: &str) -> Vec<(String, usize)> {
        let mut calls = Vec::new();
        let text = text.replace(" find_stray(", " note_finding(");
        for call in text.split(" note_finding(").skip(1) {
            let mut quoted = call.splitn(3, '\'');
            let subject = quoted.next().unwrap();
            if subject.contains(['\n', '{', ')']) {
                continue;
            }
            let kind = quoted.next().unwrap().to_owned();
            let rest = quoted.next().unwrap();
            let inner = rest.strip_prefix(", {").and_then(|rest| rest.split('}').next());
            let inner = inner.unwrap_or_else(|| panic!("{kind}: arguments in braces")).trim();
            let count = if inner.is_empty() { 0 } else { inner.matches(',').count() + 1 };
            calls.push((kind, count));
        }
        calls
    }

    #[test]
    fn every_finding_of_a_script_is_known_with_as_many_arguments() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/lua");
        let mut used = BTreeSet::new();
        for script in ["tasks", "index", "places", "gate", "approvals", "agents", "children"] {
            let text = std::fs::read_to_string(format!("{directory}/doctor_{script}.lua")).unwrap();
            for (kind, count) in calls(&text) {
                let problem = Problem::read(&kind, &vec![String::new(); count]);
                assert!(problem.is_some(), "doctor_{script}: {kind} with {count} arguments");
                used.insert(kind);
            }
        }
        let of_rust = [
            "counter_wrong",
            "key_type",
            "key_unknown",
            "redis_evicts",
            "sum_wrong",
            "unchecked",
            "undecryptable",
        ];
        used.extend(of_rust.map(str::to_owned));
        let known: BTreeSet<_> = Problem::WORDS.iter().map(|words| words.kind.to_owned()).collect();
        assert_eq!(used, known);
    }

    #[test]
    fn the_documentation_lists_every_kind() {
        let page = include_str!("../../../docs/operations.md");
        for Words { kind, what, done, left } in Problem::WORDS {
            let mut entry = format!("* `{kind}`: {what}.");
            if !done.is_empty() {
                entry.push_str(&format!("\n  Repaired: {done}."));
            }
            if !left.is_empty() {
                entry.push_str(&format!("\n  Not repaired: {left}."));
            }
            assert!(page.contains(&format!("{entry}\n")), "docs/operations.md lacks:\n{entry}");
        }
    }

    #[test]
    fn every_kind_says_what_happens_in_a_repair() {
        let kinds: Vec<_> = Problem::WORDS.iter().map(|words| words.kind).collect();
        assert!(kinds.is_sorted(), "{kinds:?}");
        for words in Problem::WORDS {
            assert!(!words.done.is_empty() || !words.left.is_empty(), "{}", words.kind);
        }
    }
}
