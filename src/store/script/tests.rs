//! Rules for every script.

use super::*;
use crate::domain::event::{KNOWN_TYPES, is_event_type};
use crate::domain::lifecycle::RULES;
use crate::domain::lifecycle::State;

/// The commands that a script may use to read before its first write, and [`WRITERS`] after it.
const READS: [&str; 24] = [
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
    "SRANDMEMBER",
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

/// The parts of `finish()`.
const WRITERS: [&str; 3] = ["finish.lua", "log.lua", "tell.lua"];

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
    for (file, code) in files().iter().filter(|(file, _)| !WRITERS.contains(&file.as_str())) {
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
                && !["call.lua", "sha256.lua", "probe.lua"].contains(&file.as_str())
            {
                wrong.push(format!("{place}: write() and read_fields() take long lists apart"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands that read a whole key, by file. The key has few fields, and clients do not name
/// them.
const WHOLE: [(&str, &str, &str); 8] = [
    ("bulk_turn.lua", "HGETALL", "a bulk has some ten fields"),
    ("approval.lua", "HGETALL", "an approval has some twenty fields"),
    ("count.lua", "HGETALL", "there are four priorities"),
    ("credentials.lua", "HGETALL", "what the configuration of a gateway names"),
    ("sizes.lua", "HKEYS", "an approval has some twenty fields"),
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
        let applied = VERBS.iter().find(|(name, _)| *name == script.name).unwrap().1;
        let has_verb = |verb: &&Verb| applied.contains(verb);
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
fn a_part_follows_those_that_it_needs_and_is_needed() {
    let mut known: Vec<&str> = Vec::new();
    let mut wrong = Vec::new();
    for part in PARTS {
        let early = needs(part.text).filter(|name| !known.contains(name));
        wrong.extend(early.map(|name| format!("{} needs {name}, which follows it", part.name)));
        known.push(part.name);
    }
    for (file, text) in FILES {
        let names = needs(text).filter(|name| !known.contains(name));
        wrong.extend(names.map(|name| format!("{file} needs {name}, which is no part")));
    }
    let texts = PARTS.iter().map(|part| part.text).chain(FILES.iter().map(|(_, text)| *text));
    let needed: HashSet<&str> = texts.flat_map(needs).collect();
    wrong.extend(
        known
            .iter()
            .filter(|name| !needed.contains(**name))
            .map(|name| format!("nothing needs {name}")),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A function of Lua has at most 200 locals, and the assembled texts have a few of their own. A text
/// with more does not load.
#[test]
fn lua_has_room_for_the_names_that_parts_show() {
    let constants = |files: &[&str]| constants_of(files).lines().flat_map(locals).count();
    let shown = |part: &Part| BLOCKS[part.name].lines().next().map_or(0, |line| locals(line).len());
    let files: Vec<_> = PARTS.iter().map(|part| part.name).collect();
    let all = constants(&files) + PARTS.iter().map(shown).sum::<usize>();
    for (file, text) in FILES {
        let parts = needed_by(text);
        let mut files: Vec<_> = parts.iter().map(|part| part.name).collect();
        files.push(file);
        let own = constants(&files) + parts.iter().map(|part| shown(part)).sum::<usize>();
        assert!(own <= 195, "{file} has {own} of {all} names");
    }
    let shared =
        constants(&files) + library::shared().iter().map(|part| shown(part)).sum::<usize>();
    assert!(shared <= 195, "the library has {shared} of {all} names");
}

#[test]
fn a_file_uses_only_what_it_needs() {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for part in PARTS {
        for name in part.text.lines().flat_map(locals) {
            let other = owners.insert(name, part.name);
            let is_shared =
                BLOCKS[part.name].lines().next().is_some_and(|line| locals(line).contains(&name));
            assert!(other.is_none() || !is_shared, "{name} in {} and {other:?}", part.name);
        }
    }
    let parts = PARTS.iter().map(|part| (part.name, part.text));
    let mut wrong = Vec::new();
    for (file, text) in parts.chain(FILES.iter().copied()) {
        let mut known: Vec<_> = needed_by(text).iter().map(|part| part.name).collect();
        known.push(file);
        let own: HashSet<&str> = text.lines().flat_map(|line| locals(line.trim())).collect();
        for word in words(text).filter(|word| !own.contains(word)) {
            let Some(owner) = owners.get(word) else { continue };
            let call = format!("{word}(");
            // A function of a library of Lua, such as `string.byte`, is another one.
            let is_called = text.match_indices(&call).any(|(at, _)| {
                let before = text[..at].chars().next_back().unwrap_or(' ');
                before.is_whitespace() || "({-".contains(before)
            });
            if is_called && !known.contains(owner) {
                wrong.push(format!("{file} uses {word} of {owner}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_script_says_what_it_takes_and_returns() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/lua");
    for script in ALL {
        let text = std::fs::read_to_string(format!("{directory}/{}.lua", script.name)).unwrap();
        assert!(text.starts_with(&format!("-- {}: ", script.name)), "{}: first line", script.name);
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
