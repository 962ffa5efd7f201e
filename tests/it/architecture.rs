//! The rules of the house, read from the sources as text: who may import whom, who owns which crate, how long a
//! file may be and how it opens. See the map in `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod circles;
mod keys;
mod words;

/// What each module may import from ours. A module that is not here has no place yet.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["*"]),
    ("lib", &["*"]),
    ("app", &["*"]),
    ("settings", &["http", "workers", "engine", "transport", "store", "domain", "runtime"]),
    ("fuzz", &["http", "engine", "transport", "domain", "runtime"]),
    ("bench", &["cli", "engine", "store", "domain", "runtime"]),
    ("demo", &["cli", "domain", "runtime"]),
    ("cli", &["engine", "domain", "runtime"]),
    ("http", &["engine", "domain", "runtime"]),
    ("workers", &["engine", "transport", "domain", "runtime"]),
    ("engine", &["store", "domain", "runtime"]),
    ("transport", &["domain", "runtime"]),
    ("store", &["domain", "runtime"]),
    ("domain", &[]),
    ("runtime", &[]),
];

/// Crates that one module alone may name.
const OWNED: &[(&str, &str)] = &[
    ("redis", "store"),
    ("deadpool_redis", "store"),
    ("async_nats", "transport"),
    ("poem", "http"),
    ("hyper", "http"),
    ("hyper_util", "http"),
    ("poem_openapi", "http"),
];

/// The one file that reads and writes times: a second reader would take what the first refuses.
const OWNER_OF_TIMES: &str = "src/domain/time.rs";

/// The longest file that can still be read as one thing.
const LONGEST_FILE: usize = 400;

/// A file of the sources.
struct Source {
    /// From the repository's root on.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Every file below `directory` with this extension.
    fn all(directory: &str, extension: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        let mut directories = vec![root.join(directory)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push(Self { path: path.strip_prefix(root).unwrap().to_owned(), text });
                }
            }
        }
        assert!(!found.is_empty(), "there is nothing in {}", root.display());
        found
    }

    /// A page in the root; `None` if there is none of this name.
    fn page(name: &str) -> Option<Self> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).ok()?;
        Some(Self { path: name.into(), text })
    }

    /// The module directly below the crate, or the binary's root, that the file belongs to.
    fn layer(&self) -> String {
        let name = self.path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
        name.trim_end_matches(".rs").to_owned()
    }

    fn is_of_tests(&self) -> bool {
        let stem = self.path.file_stem().unwrap().to_str().unwrap();
        stem == "tests" || stem.ends_with("_tests")
    }

    /// The code without comments and without the module of unit tests, which stands at the end.
    fn code(&self) -> String {
        let product = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// What follows each whole word `path::` in `code`, up to the end of the identifier, and `{…}` lists opened up.
fn imported_from(path: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(path) {
        let is_word = code[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && before != '_');
        let rest = &code[at + path.len()..];
        if !is_word {
            continue;
        }
        match rest.strip_prefix('{') {
            Some(list) => found.extend(heads(list)),
            None => found.push(identifier(rest)),
        }
    }
    found
}

/// The first identifier of each item of a `{…}` list.
fn heads(list: &str) -> Vec<String> {
    let (mut depth, mut item, mut found) = (0, String::new(), Vec::new());
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(identifier(std::mem::take(&mut item).trim_start())),
            other if depth == 0 => item.push(other),
            _ => {}
        }
    }
    found.push(identifier(item.trim_start()));
    found.into_iter().filter(|name| !name.is_empty()).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether `code` names the crate: as the head of a path, or in a `use`.
fn names_crate(code: &str, name: &str) -> bool {
    let head = format!("{name}::");
    let is_head = |at: usize| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':')
    };
    code.match_indices(&head).any(|(at, _)| is_head(at)) || code.contains(&format!("use {name};"))
}

#[test]
fn the_scanner_sees_paths_lists_and_whole_words_only() {
    let code = "use crate::store::{self, Store};\nuse crate::{engine::Engine, domain::{ids, task}, cli};\nmycrate::http::x";

    assert_eq!(imported_from("crate::", code), ["store", "engine", "domain", "cli"]);
    assert!(names_crate("fn f() -> redis::Value", "redis"));
    assert!(!names_crate("runtime::redis_server::start(); Error::redis(1); x::redis::y", "redis"));
}

#[test]
fn modules_import_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for source in Source::all("src", "rs").iter().filter(|source| !source.is_of_tests()) {
        let layer = source.layer();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == layer) else {
            wrong.push(format!("{}: the module {layer} has no place in MAY_IMPORT", source.name()));
            continue;
        };
        for imported in imported_from("crate::", &source.code()) {
            let is_module = MAY_IMPORT.iter().any(|(name, _)| *name == imported);
            let is_allowed =
                imported == layer || allowed.contains(&"*") || allowed.contains(&imported.as_str());
            if is_module && !is_allowed {
                wrong.push(format!("{} imports {imported}, which {layer} may not", source.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_foreign_system_has_one_module_that_speaks_to_it() {
    let mut wrong = Vec::new();
    for source in Source::all("src", "rs") {
        for (name, owner) in OWNED.iter().filter(|(_, owner)| *owner != source.layer()) {
            if names_crate(&source.code(), name) {
                wrong.push(format!("{} names {name}, which only {owner} may", source.name()));
            }
        }
    }
    for source in Source::all("tests", "rs") {
        let is_harness = source.path.starts_with("tests/it/harness");
        let may_name_nats = is_harness || source.path.starts_with("tests/it/transport");
        if !may_name_nats && names_crate(&source.code(), "async_nats") {
            wrong.push(format!(
                "{} names async_nats, which only the tests of the transport may",
                source.name()
            ));
        }
        if !is_harness && source.layer() != "architecture" && names_crate(&source.code(), "redis") {
            let is_this_file = source.path.ends_with("architecture.rs");
            wrong.extend(
                (!is_this_file)
                    .then(|| format!("{} names redis outside of the harness", source.name())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn times_are_read_and_written_in_one_place() {
    let sources = Source::all("src", "rs").into_iter();
    let others = sources.filter(|source| !source.path.ends_with(OWNER_OF_TIMES));
    let wrong: Vec<_> = others.filter(|source| names_crate(&source.code(), "chrono")).collect();

    let names: Vec<_> = wrong.iter().map(Source::name).collect();
    assert!(names.is_empty(), "these name chrono, which only {OWNER_OF_TIMES} may: {names:#?}");
}

#[test]
fn no_file_is_longer_than_can_be_read_as_one_thing() {
    let files = [("src", "rs"), ("src", "lua"), ("tests", "rs")];
    let sources = files.iter().flat_map(|(directory, extension)| Source::all(directory, extension));
    let long = sources.filter(|source| source.text.lines().count() > LONGEST_FILE);
    let names: Vec<_> = long.map(|source| source.name()).collect();
    assert!(names.is_empty(), "longer than {LONGEST_FILE} lines: {names:?}");
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let sources = ["src", "tests"].iter().flat_map(|directory| Source::all(directory, "rs"));
    let silent = sources.filter(|source| !source.text.starts_with("//! "));
    let names: Vec<_> = silent.map(|source| source.name()).collect();
    assert!(names.is_empty(), "without a `//!` in the first line: {names:?}");
}

#[test]
fn every_script_has_its_contract_in_front() {
    let scripts = Source::all("src/store/lua", "lua");
    let lines = scripts.iter().flat_map(|script| script.text.lines());
    let needed: BTreeSet<_> = lines
        .filter_map(|line| line.strip_prefix("-- Needs  "))
        .flat_map(|names| names.split(", "))
        .collect();
    for source in &scripts {
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        let (text, name) = (&source.text, source.name());
        assert!(
            text.starts_with(&format!("-- {stem}: ")),
            "{name}: the first line does not say what it is for"
        );
        let is_shared = needed.contains(stem);
        let header: String = text.lines().take_while(|line| line.starts_with("--")).collect();
        assert!(
            is_shared || header.contains("-- Returns  "),
            "{name}: the header does not say what it returns"
        );
        let mut beginning = text.lines().take(10);
        assert!(
            stem == "call"
                || name.contains("yardstick")
                || beginning.any(|line| line.starts_with("-- Needs  ")),
            "{name}: the first ten lines do not say which parts it needs"
        );
        // What `call` takes is every script's.
        let (own, kind) = if stem == "call" { (1..5, "KEYS") } else { (5..40, "ARGV") };
        for nth in own.clone().filter(|nth| text.contains(&format!("ARGV[{nth}]"))) {
            assert!(
                header.contains(&format!("ARGV[{nth}")),
                "{name}: the header does not name ARGV[{nth}]"
            );
        }
        if text.contains(&format!("{kind}[1]")) && kind == "KEYS" {
            assert!(header.contains("KEYS[1]"), "{name}: the header does not name KEYS[1]");
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not find itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    let sources = [("src", "rs"), ("src", "lua"), ("tests", "rs")];
    for source in
        sources.iter().flat_map(|(directory, extension)| Source::all(directory, extension))
    {
        for word in words {
            assert!(
                !source.text.contains(word),
                "{} leaves something for later: {word}",
                source.name()
            );
        }
    }
}

#[test]
fn no_test_sleeps_or_is_left_out() {
    for source in Source::all("tests", "rs") {
        let sleeps = source.text.contains(concat!("sle", "ep("))
            && !source.path.ends_with("harness/wait.rs");
        assert!(!sleeps, "{} sleeps instead of waiting for something", source.name());
    }
    let sources = ["src", "tests"].iter().flat_map(|directory| Source::all(directory, "rs"));
    for source in sources {
        for (mark, what) in [
            (concat!("#[ign", "ore"), "leaves a test out"),
            (concat!("#[should", "_panic"), "asserts no error"),
        ] {
            assert!(!source.text.contains(mark), "{} {what}", source.name());
        }
    }
}

#[test]
fn every_test_that_the_guarantees_name_is_there() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guarantees.md");
    let page = fs::read_to_string(page).unwrap();
    let sources = Source::all("tests/it", "rs");
    let names =
        page.split('`').filter(|word| word.contains("::") && !word.contains(char::is_whitespace));
    let mut seen = 0;
    for name in names {
        let (module, test) = name.rsplit_once("::").unwrap();
        let place = format!("tests/it/{}", module.replace("::", "/"));
        let places = [format!("{place}.rs"), format!("{place}/mod.rs")];
        let mut files = sources.iter().filter(|source| places.contains(&source.name()));
        assert!(
            files.any(|file| has_test(&file.text, test)),
            "docs/guarantees.md names the test {name}, which is not there"
        );
        seen += 1;
    }
    assert!(seen > 30, "docs/guarantees.md names only {seen} tests");
}

/// Whether there is a function of this name that is marked as a test.
fn has_test(text: &str, name: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {name}()")) else { return false };
    let mut marks = before.lines().rev().skip(1).take_while(|line| line.starts_with("#["));
    marks.any(|mark| mark == "#[test]" || mark.starts_with("#[tokio::test"))
}

/// The map names a file of `store/lua/` alone, and others by their path in `src/` or the root.
#[test]
fn every_file_that_the_map_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let docs: String = map.lines().filter(|line| line.starts_with("//!")).collect();
    let ends = [".rs", ".lua", ".toml", ".yaml"];
    let words = docs.split('`').skip(1).step_by(2);
    let files = words.filter(|word| {
        ends.iter().any(|end| word.ends_with(end)) && !word.contains(['{', '*', ' '])
    });
    let mut seen = 0;
    for file in files {
        let places = ["", "src/", "src/store/", "src/store/lua/"];
        let is_there = places.iter().any(|place| root.join(place).join(file).is_file());
        assert!(is_there, "src/lib.rs names {file}, which is not there");
        seen += 1;
    }
    assert!(seen > 20, "src/lib.rs names only {seen} files");
}

#[test]
fn a_test_that_is_only_named_like_one_is_none() {
    let text = "#[tokio::test]\nasync fn one() {\n}\n\nfn two() {\n}\n";

    assert!(has_test(text, "one") && !has_test(text, "two") && !has_test(text, "three"));
}
