//! The Lua scripts: each file of `lua/` with the parts that it needs before it.
//!
//! A script runs as a function of one library (`FCALL`), which makes its closures once. Where the
//! server refuses functions it runs as a script of its own (`EVALSHA`), from the same text.

mod constants;
pub(super) mod library;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

#[cfg(test)]
use crate::domain::lifecycle::Verb;

/// A script that the store calls.
pub struct Script {
    /// The name of its file without `.lua`, for errors and metrics.
    pub name: &'static str,
    /// The text that Redis runs where it refuses functions, with all parts that it needs.
    pub text: String,
    /// The SHA-1 of the text, in hexadecimal, by which Redis finds it.
    pub digest: String,
    /// The code of the file.
    body: &'static str,
    memory: Memory,
}

/// Whether a script may run while Redis is out of memory. Scripts that only move or free may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Takes,
    Frees,
}

impl Script {
    fn new(name: &'static str, memory: Memory, body: &'static str) -> Self {
        let mut text = String::from(if memory == Memory::Frees {
            "#!lua flags=allow-oom\n"
        } else {
            "#!lua\n"
        });
        text.push_str("local KEYS, ARGV, begin = KEYS, ARGV, {}\n");
        let parts = needed_by(body);
        let mut files: Vec<_> = parts.iter().map(|part| part.name).collect();
        files.push(name);
        text.push_str(&constants_of(&files));
        for part in &parts {
            text.push_str(&BLOCKS[part.name]);
        }
        // A function of its own, because its locals count too.
        let run = begun(name, body, &parts);
        let _ = write!(text, "local function run()\n{run}end\nreturn run()\n");
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Self { name, text, digest, body, memory }
    }
}

/// A part that scripts share: a file of `lua/`.
struct Part {
    name: &'static str,
    text: &'static str,
}

macro_rules! parts {
    ($($name:literal)*) => {
        &[$(Part { name: $name, text: include_str!(concat!("../lua/", $name, ".lua")) }),*]
    };
}

/// Every part, each after those that it needs.
const PARTS: &[Part] = parts![
    "call" "lists" "time" "record" "shorten" "rules" "json" "events" "clocks" "timers" "index" "thresholds" "announce" "figures"
    "steps" "settle" "move" "sessions" "lease" "ranks" "terms" "gather" "log" "tell" "finish" "seal" "sizes"
    "gate" "approval" "decide" "sha256" "audit" "findings" "doctor_places" "doctor_gate"
];

/// Returns the parts that a text needs, also those that parts need, each after those that it needs.
fn needed_by(body: &str) -> Vec<&'static Part> {
    let mut needed: Vec<&str> = needs(body).collect();
    let mut parts = Vec::new();
    for part in PARTS.iter().rev() {
        if needed.contains(&part.name) {
            needed.extend(needs(part.text));
            parts.push(part);
        }
    }
    parts.reverse();
    parts
}

/// Returns the names after `-- Needs`.
fn needs(text: &str) -> impl Iterator<Item = &str> {
    let line = text.lines().find_map(|line| line.strip_prefix("-- Needs  "));
    line.unwrap_or_default().split(", ").filter(|name| !name.is_empty())
}

/// The files that use a word.
static USERS: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    let mut users: HashMap<&str, HashSet<&str>> = HashMap::new();
    let parts = PARTS.iter().map(|part| (part.name, part.text));
    for (file, text) in parts.chain(FILES.iter().copied()) {
        for word in words(text) {
            users.entry(word).or_default().insert(file);
        }
    }
    users
});

/// Every part as a block, so that only the locals that other files use are visible outside it: Lua
/// allows 200 in one function.
static BLOCKS: LazyLock<HashMap<&str, String>> =
    LazyLock::new(|| PARTS.iter().map(|part| (part.name, block(part))).collect());

/// Returns a part as a block.
fn block(part: &Part) -> String {
    let is_shared = |name: &&str| USERS.get(name).is_some_and(|files| files.len() > 1);
    let mut shared = Vec::new();
    let mut block = own_constants_of(part.name);
    for line in part.text.lines() {
        let names = locals(line);
        if names.iter().any(is_shared) {
            let line = line.strip_prefix("local ").unwrap_or(line);
            let is_declaration = !line.starts_with("function ") && !line.contains('=');
            block.push_str(if is_declaration { "" } else { line });
            shared.extend(names);
        } else {
            block.push_str(line);
        }
        block.push('\n');
    }
    if has_begin(part) {
        let _ = writeln!(block, "begin.{} = begin_{}", part.name, part.name);
    }
    match shared.as_slice() {
        [] => format!("do\n{block}end\n"),
        shared => format!("local {}\ndo\n{block}end\n", shared.join(", ")),
    }
}

/// Returns the names that a line of a part defines at its top level.
fn locals(line: &str) -> Vec<&str> {
    let Some(line) = line.strip_prefix("local ") else { return Vec::new() };
    let line = line.strip_prefix("function ").unwrap_or(line);
    let end = line.find(['=', '(']).unwrap_or(line.len());
    line[..end].split(',').map(str::trim).collect()
}

/// Returns the words of a text without its comments.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter_map(|line| line.split("--").next());
    code.flat_map(|line| {
        line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    })
}

/// Returns whether a part keeps something during a call.
fn has_begin(part: &Part) -> bool {
    part.text.contains(&format!("local function begin_{}()", part.name))
}

/// Returns the calls that begin what these parts keep during a call.
fn begin(parts: &[&Part]) -> String {
    let parts = parts.iter().filter(|part| has_begin(part));
    parts.map(|part| format!("begin.{}()\n", part.name)).collect()
}

/// Each constant: its lines, and the files that use it.
static CONSTANTS: LazyLock<Vec<(String, HashSet<&str>)>> = LazyLock::new(|| {
    let mut constants: Vec<(String, HashSet<&str>)> = Vec::new();
    for line in constants::ALL.lines() {
        let names = locals(line);
        if !names.is_empty() {
            let users = names.iter().filter_map(|name| USERS.get(name)).flatten();
            constants.push((String::new(), users.copied().collect()));
        }
        // The lines of a function follow the one with its name.
        if let Some((lines, _)) = constants.last_mut() {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    // What uses a constant uses those that stand in it, which are defined before.
    for nth in (1..constants.len()).rev() {
        let (before, rest) = constants.split_at_mut(nth);
        let (lines, users) = &rest[0];
        let used: HashSet<_> = words(lines).collect();
        for (lines, files) in before {
            if lines.lines().flat_map(locals).any(|name| used.contains(name)) {
                files.extend(users);
            }
        }
    }
    constants
});

/// Returns those constants that these files and others use.
fn constants_of(files: &[&str]) -> String {
    let is_used = |(_, users): &&(String, HashSet<&str>)| {
        users.len() > 1 && files.iter().any(|file| users.contains(file))
    };
    CONSTANTS.iter().filter(is_used).map(|(lines, _)| lines.as_str()).collect()
}

/// Returns the constants that only this file uses.
fn own_constants_of(file: &str) -> String {
    let is_own = |(_, users): &&(String, HashSet<&str>)| users.len() == 1 && users.contains(file);
    CONSTANTS.iter().filter(is_own).map(|(lines, _)| lines.as_str()).collect()
}

/// Returns the code of a script with what it needs of its parts. What stands before a line
/// `-- Begin` runs before they begin the call, which costs more than a look whether there is
/// anything to do.
fn begun(name: &str, body: &str, parts: &[&Part]) -> String {
    let own = own_constants_of(name);
    let begin = begin(parts);
    match body.split_once("\n-- Begin\n") {
        Some((before, rest)) => format!("{own}{before}\n{begin}{rest}"),
        None => format!("{own}{begin}{body}"),
    }
}

macro_rules! scripts {
    ($($constant:ident = $file:literal, $memory:ident, [$($verb:ident),*];)*) => {
        $(
            pub(super) static $constant: LazyLock<Script> = LazyLock::new(|| {
                Script::new($file, Memory::$memory, include_str!(concat!("../lua/", $file, ".lua")))
            });
        )*
        /// The files of the scripts.
        const FILES: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("../lua/", $file, ".lua")))),*];

        /// Every script.
        pub static ALL: &[&LazyLock<Script>] = &[$(&$constant),*];

        /// The verbs that each script applies itself.
        #[cfg(test)]
        const VERBS: &[(&str, &[Verb])] = &[$(($file, &[$(Verb::$verb),*])),*];
    };
}

scripts! {
    SUBMIT = "submit", Takes, [Submit];
    ROUTE = "route", Frees, [Route, Park];
    CLAIM = "claim", Frees, [Claim, Repair, Park];
    GIVE_BACK = "give_back", Frees, [Release];
    TAKE = "take", Frees, [Take];
    EXTEND = "extend", Frees, [Extend];
    OUTCOME = "outcome", Frees, [Complete, Fail, Retry, Release];
    ASK = "ask", Takes, [Ask];
    CANCEL = "cancel", Frees, [Cancel];
    CASCADE = "cascade", Frees, [Cancel];
    REQUEUE = "requeue", Takes, [Requeue];
    RAISE = "raise", Frees, [Reprioritize];
    BULK_START = "bulk_start", Takes, [];
    BULK_TURN = "bulk_turn", Frees, [];
    BULK_NOTE = "bulk_note", Frees, [];
    BULK_ABORT = "bulk_abort", Frees, [];
    APPROVE = "approve", Frees, [Approve, Edit, Vote];
    REJECT = "reject", Frees, [Reject];
    RETARGET = "retarget", Frees, [Retarget];
    EXPIRE = "expire", Frees, [Expire, Escalate];
    PRESENT = "present", Frees, [];
    PAUSE = "pause", Frees, [];
    CREDENTIALS = "credentials", Frees, [];
    ALLOT = "allot", Frees, [];
    REFUSE = "refuse", Frees, [];
    API_KEYS = "api_keys", Frees, [];
    DEADLINES = "deadlines", Frees, [Abort, Reprioritize, Escalate];
    PROMOTE = "promote", Frees, [Promote];
    REAP = "reap", Frees, [Reap, Retry];
    PRUNE = "prune", Frees, [Prune];
    PUBLISH = "publish", Takes, [];
    READ = "read", Frees, [];
    READ_APPROVALS = "read_approvals", Frees, [];
    STATS = "stats", Frees, [];
    BRIDGE = "bridge", Takes, [];
    DOCTOR_TASKS = "doctor_tasks", Frees, [Repair, Cancel];
    DOCTOR_INDEX = "doctor_index", Frees, [];
    DOCTOR_APPROVALS = "doctor_approvals", Frees, [];
    DOCTOR_CHILDREN = "doctor_children", Frees, [];
    DOCTOR_AGENTS = "doctor_agents", Frees, [];
    COUNT = "count", Frees, [];
    OPEN_AT = "open_at", Frees, [];
    CORRECT = "correct", Frees, [];
    DOCTOR_TURN = "doctor_turn", Frees, [];
    RESEAL = "reseal", Takes, [];
    PROBE = "probe", Frees, [];
}

#[cfg(test)]
mod tests;
