//! The Lua scripts: each file of `lua/` with the shared parts that it needs before it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::domain::approval::ApprovalStatus;
use crate::domain::event::EventPriority;
use crate::domain::lifecycle::{State, Verb};
use crate::domain::principal::Role;
use crate::domain::priority::Priority;
use crate::domain::sla::REPORT_KEPT_S;
use crate::domain::task::{TIMELINE, TIMELINE_BYTES};

use super::keys;

/// The parts that every script begins with.
const COMMON: [&str; 4] = [
    include_str!("lua/prelude.lua"),
    include_str!("lua/clocks.lua"),
    include_str!("lua/move.lua"),
    include_str!("lua/write.lua"),
];
const PARTS: &str = include_str!("lua/parts.lua");
const SEAL: &str = include_str!("lua/seal.lua");
const APPROVAL: &str = include_str!("lua/approval.lua");
const FINDINGS: &str = include_str!("lua/findings.lua");
const AUDIT: &str = concat!(include_str!("lua/sha256.lua"), include_str!("lua/audit.lua"));

/// A script that the store calls by its digest.
pub struct Script {
    /// The name of its file without `.lua`, for errors and metrics.
    pub name: &'static str,
    /// The text that Redis runs, with all shared parts.
    pub text: String,
    /// The SHA-1 of the text, in hexadecimal, by which Redis finds the script.
    pub digest: String,
}

/// Whether a script may run while Redis is out of memory. Scripts that only move or free may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Takes,
    Frees,
}

impl Script {
    fn new(name: &'static str, memory: Memory, verbs: &[Verb], parts: &[&str]) -> Self {
        let mut text = String::from(if memory == Memory::Frees {
            "#!lua flags=allow-oom\n"
        } else {
            "#!lua\n"
        });
        // Before any change of a task, its clocks may have passed a threshold.
        text.push_str(&tables(&[&[Verb::Warn, Verb::Violate, Verb::Notify], verbs].concat()));
        for part in COMMON.iter().chain(parts) {
            text.push_str(part);
        }
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Self { name, text, digest }
    }
}

/// Returns the rows of the state machine that a script needs, as Lua.
fn tables(verbs: &[Verb]) -> String {
    let mut lua = String::from("local RULES = {");
    for verb in verbs {
        let rule = verb.rule();
        let from = set(rule.from.iter().copied());
        let to = set(rule.to.iter().copied());
        // Writing to a `String` cannot fail.
        let _ = write!(lua, "{verb}={{from={from},to={to},event='{}'}},", rule.event);
    }
    let event_priority = Priority::ALL.map(|priority| {
        format!("{}='{}'", priority.as_str(), EventPriority::from(priority).as_str())
    });
    let approvals = ApprovalStatus::ALL.map(|status| format!("{}=true", status.as_str()));
    let _ = writeln!(
        lua,
        "}}\n\
         local STATES = {}\n\
         local TERMINAL = {}\n\
         local PER_AGENT = {}\n\
         local TIMELINE = {TIMELINE}\n\
         local TIMELINE_BYTES = {TIMELINE_BYTES}\n\
         local REPORT_KEPT = {REPORT_KEPT_S}\n\
         local EVENT_PRIORITY = {{{}}}\n\
         local APPROVALS = {{{}}}\n\
         local HUMAN = {}",
        set(State::ALL.into_iter()),
        set(State::ALL.into_iter().filter(|state| state.is_terminal())),
        set(State::ALL.into_iter().filter(|state| keys::is_per_agent(*state))),
        event_priority.join(","),
        approvals.join(","),
        Role::HUMAN.rank(),
    );
    lua
}

/// Returns a Lua table with these states as keys.
fn set(states: impl Iterator<Item = State>) -> String {
    let words: Vec<_> = states.map(|state| format!("{state}=true")).collect();
    format!("{{{}}}", words.join(","))
}

macro_rules! scripts {
    ($($constant:ident = $file:literal, $memory:ident, [$($verb:ident),*] $(, $part:ident)*;)*) => {
        $(
            pub(super) static $constant: LazyLock<Script> = LazyLock::new(|| {
                Script::new($file, Memory::$memory, &[$(Verb::$verb),*],
                    &[$($part,)* include_str!(concat!("lua/", $file, ".lua"))])
            });
        )*
        /// Every script, for tests and to load them at the start.
        pub static ALL: &[&LazyLock<Script>] = &[$(&$constant),*];
    };
}

scripts! {
    SUBMIT = "submit", Takes, [Submit], SEAL, APPROVAL;
    ROUTE = "route", Frees, [Route, Park], SEAL;
    CLAIM = "claim", Frees, [Claim, Repair, Park], SEAL, PARTS;
    GIVE_BACK = "give_back", Frees, [Release];
    TAKE = "take", Frees, [Take], SEAL;
    EXTEND = "extend", Frees, [Extend];
    OUTCOME = "outcome", Frees, [Complete, Fail, Retry, Release];
    ASK = "ask", Takes, [Ask], SEAL, APPROVAL;
    CANCEL = "cancel", Frees, [Cancel], SEAL, APPROVAL, AUDIT;
    CASCADE = "cascade", Frees, [Cancel], SEAL, APPROVAL;
    REQUEUE = "requeue", Takes, [Requeue], SEAL, APPROVAL, AUDIT;
    APPROVE = "approve", Frees, [Approve, Edit, Vote], SEAL, APPROVAL, AUDIT;
    REJECT = "reject", Frees, [Reject], SEAL, APPROVAL, AUDIT;
    RETARGET = "retarget", Frees, [Retarget], SEAL, APPROVAL, AUDIT;
    EXPIRE = "expire", Frees, [Expire, Escalate], SEAL, APPROVAL;
    PAUSE = "pause", Frees, [], AUDIT;
    CREDENTIALS = "credentials", Frees, [], AUDIT;
    DEADLINES = "deadlines", Frees, [Abort, Reprioritize, Escalate], SEAL, APPROVAL;
    PROMOTE = "promote", Frees, [Promote];
    REAP = "reap", Frees, [Reap, Retry];
    PRUNE = "prune", Frees, [Prune];
    PUBLISH = "publish", Takes, [];
    READ = "read", Frees, [], SEAL, PARTS;
    READ_APPROVALS = "read_approvals", Frees, [], PARTS;
    STATS = "stats", Frees, [];
    BRIDGE = "bridge", Takes, [];
    DOCTOR_TASKS = "doctor_tasks", Frees, [Repair, Cancel], SEAL, APPROVAL, FINDINGS;
    DOCTOR_APPROVALS = "doctor_approvals", Frees, [], SEAL, APPROVAL, FINDINGS;
    DOCTOR_CHILDREN = "doctor_children", Frees, [], FINDINGS;
    DOCTOR_AGENTS = "doctor_agents", Frees, [], FINDINGS;
    COUNT = "count", Frees, [];
    OPEN_AT = "open_at", Frees, [], FINDINGS;
    CORRECT = "correct", Frees, [];
    DOCTOR_TURN = "doctor_turn", Frees, [];
    PROBE = "probe", Frees, [];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{KNOWN_TYPES, is_event_type};
    use crate::domain::lifecycle::RULES;

    /// The commands that a script may use to read before its first write, and `write.lua` after it.
    const READS: [&str; 23] = [
        "EXISTS",
        "GET",
        "HEXISTS",
        "HGETALL",
        "HMGET",
        "HGET",
        "HKEYS",
        "HSTRLEN",
        "PTTL",
        "SISMEMBER",
        "TIME",
        "XRANGE",
        "XREVRANGE",
        "ZCARD",
        "ZCOUNT",
        "ZRANGE",
        "ZRANGEBYSCORE",
        "ZREVRANGE",
        "ZSCAN",
        "ZSCORE",
        "SCARD",
        "HLEN",
        "XLEN",
    ];

    /// Each file of `lua/` with its code, without the comments.
    fn files() -> Vec<(String, Vec<String>)> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/lua");
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().map(|line| line.split("--").next().unwrap().to_owned());
                files.push((path.file_name().unwrap().to_string_lossy().into(), code.collect()));
            }
        }
        files
    }

    #[test]
    fn only_finish_writes_and_nothing_comes_after_it() {
        let mut wrong = Vec::new();
        for (file, code) in files().iter().filter(|(file, _)| file != "write.lua") {
            for (nth, line) in code.iter().enumerate() {
                let place = format!("{file}:{}: {line}", nth + 1);
                for call in line.split("redis.").skip(1) {
                    let is_read = call
                        .strip_prefix("call('")
                        .and_then(|rest| rest.split('\'').next())
                        .is_some_and(|command| READS.contains(&command));
                    let is_harmless =
                        call.starts_with("sha1hex(") || call.starts_with("acl_check_cmd,");
                    if !is_read && !is_harmless {
                        wrong.push(format!("{place}: a script only reads; finish() writes"));
                    }
                }
                let mut rest = code.iter().skip(nth + 1).map(|line| line.trim());
                let next = rest.find(|line| !line.is_empty()).unwrap_or_default();
                let ends = line.contains("return finish(") || next.starts_with("return");
                if line.contains("finish(") && !ends {
                    wrong.push(format!("{place}: what follows finish() is a return"));
                }
                if line.contains("unpack(")
                    && !["prelude.lua", "sha256.lua", "probe.lua"].contains(&file.as_str())
                {
                    wrong.push(format!("{place}: write() and read_fields() take long lists apart"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Commands that read a whole key, by file. The key has few fields, and clients do not name
    /// them.
    const WHOLE: [(&str, &str, &str); 7] = [
        ("approval.lua", "HGETALL", "an approval has some twenty fields"),
        ("count.lua", "HGETALL", "there are four priorities"),
        ("credentials.lua", "HGETALL", "what the configuration of a gateway names"),
        ("parts.lua", "HKEYS", "an approval has some twenty fields"),
        ("read_approvals.lua", "HGETALL", "an approval has some twenty fields"),
        ("seal.lua", "HGETALL", "an approval has some twenty fields"),
        ("stats.lua", "HGETALL", "there are four priorities"),
    ];

    /// Clients choose the names of workers, and with `agents.allow_unrouted` those of agents. With
    /// a read without a bound they would also choose how long a script takes.
    #[test]
    fn no_script_reads_or_removes_more_than_a_bounded_part_of_what_clients_name() {
        let whole = ["HGETALL", "SMEMBERS", "HKEYS", "HVALS", "KEYS", "SUNION", "SINTER", "SORT"];
        let bounded = [
            ("ZRANGEBYSCORE", "'LIMIT'"),
            ("ZREVRANGEBYSCORE", "'LIMIT'"),
            ("ZRANGEBYLEX", "'LIMIT'"),
            ("XRANGE", "'COUNT'"),
            ("XREVRANGE", "'COUNT'"),
            ("ZSCAN", "'COUNT'"),
            ("HSCAN", "'COUNT'"),
            ("SSCAN", "'COUNT'"),
        ];
        let mut wrong = Vec::new();
        for (file, code) in files() {
            for (nth, line) in code.iter().enumerate() {
                // A call may continue in the next line.
                let next = code.get(nth + 1).map(String::as_str).unwrap_or_default();
                let call = format!("{line} {next}");
                let names = |command: &str| line.contains(&format!("'{command}'"));
                let is_known =
                    |command: &str| WHOLE.iter().any(|(at, of, _)| *at == file && *of == command);
                let reads_all = whole.iter().any(|command| names(command) && !is_known(command));
                let has_no_bound =
                    bounded.iter().any(|(command, bound)| names(command) && !call.contains(bound));
                let is_open = ["0, -1", "'0', '-1'", "ZREMRANGEBYSCORE', ", "ZREMRANGEBYLEX', "]
                    .iter()
                    .any(|end| line.contains("redis.call(") && line.contains(end));
                if reads_all || has_no_bound || is_open {
                    wrong.push(format!("{file}:{}: {line}", nth + 1));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_event_of_the_scripts_is_known() {
        let of_verbs = RULES.iter().map(|rule| rule.event.to_owned());
        let mut emitted: Vec<_> = of_verbs.filter(|event| !event.is_empty()).collect();
        for (_, code) in files() {
            let words = code.iter().flat_map(|line| line.split('\'').skip(1).step_by(2));
            emitted.extend(words.filter(|word| is_event_type(word)).map(str::to_owned));
        }
        assert!(emitted.contains(&"approval.reminder".to_owned()), "{emitted:?}");
        emitted.retain(|event| !KNOWN_TYPES.contains(&event.as_str()));
        assert!(emitted.is_empty(), "KNOWN_TYPES lacks {emitted:?}");
    }

    #[test]
    fn every_script_that_takes_a_report_asks_whose_it_is() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/lua");
        for script in ALL {
            // The reaper sends no report: the lease is over.
            let is_report = |verb: &&Verb| {
                verb.rule().from == [State::InProgress] && ![Verb::Reap, Verb::Retry].contains(verb)
            };
            let reports: Vec<_> = RULES.iter().map(|rule| &rule.verb).filter(is_report).collect();
            let has_verb = |verb: &&Verb| script.text.contains(&format!("{verb}={{from="));
            let text = std::fs::read_to_string(format!("{directory}/{}.lua", script.name)).unwrap();
            for verb in reports.into_iter().filter(has_verb) {
                // The rows of `outcome` name their verbs.
                let named =
                    if script.name == "outcome" { "verb".to_owned() } else { format!("'{verb}'") };
                let guard = format!("barred_report(task, {named},");
                assert!(text.contains(&guard), "{}: {verb} without {guard}", script.name);
            }
        }
    }

    #[test]
    fn every_script_says_what_it_takes_and_returns() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/lua");
        for script in ALL {
            let text = std::fs::read_to_string(format!("{directory}/{}.lua", script.name)).unwrap();
            assert!(
                text.starts_with(&format!("-- {}: ", script.name)),
                "{}: first line",
                script.name
            );
            assert!(text.contains("\n-- Returns  "), "{}: what it returns", script.name);
            let header: String = text.lines().take_while(|line| line.starts_with("--")).collect();
            let used = (5..30).filter(|n| text.contains(&format!("ARGV[{n}]")));
            for n in used {
                assert!(
                    header.contains(&format!("ARGV[{n}")),
                    "{}: ARGV[{n}] is not in the header",
                    script.name
                );
            }
        }
    }
}
