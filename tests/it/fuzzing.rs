//! Every parser of what clients send, fed with inputs that are changed at random from those that `fuzz/corpus` keeps.
//!
//! `ORCHESTRATOR_FUZZ_SECONDS` says how long each parser is fed (`make fuzz`), `ORCHESTRATOR_FUZZ_SEED` with what. An
//! input that breaks a parser is shown with the failure; keep it in the folder of its target.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use orchestrator::fuzz::{TARGETS, Target};

/// The longest input.
const LONGEST: usize = 4_096;

/// What parsers look for, and what has surprised parsers before.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    ":",
    ",",
    "null",
    "true",
    "-0",
    "1e999",
    "0.1",
    "9007199254740993",
    "18446744073709551616",
    "\u{0}",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{feff}",
    "\u{202e}",
    "\u{200b}",
    "é",
    "e\u{301}",
    "🚀",
    "%",
    "%00",
    "%2F",
    "%zz",
    "..",
    "/",
    "?",
    "&",
    "=",
    "#",
    "*",
    "-",
    "+",
    "_",
    "Bearer ",
    "x-api-key: ",
    "payload",
    "type",
    "1970-01-01T00:00:00Z",
    "99999999999999999999",
    "00000000-0000-0000-0000-000000000000",
];

/// The inputs that are kept for a target, and the empty one.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "{} has too few inputs", target.name);
    let mut inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    inputs.push(Vec::new());
    inputs
}

/// An input that differs from a kept one in a few places.
fn changed(inputs: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut input = inputs[random.usize(..inputs.len())].clone();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(..=input.len());
        let end = (at + random.usize(..16)).min(input.len());
        match random.u8(..7) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.u8(..)),
            2 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            3 => {
                let word = WORDS[random.usize(..WORDS.len())];
                drop(input.splice(at..at, word.bytes()));
            }
            4 => {
                let again = input[at..end].repeat(random.usize(1..20));
                drop(input.splice(at..at, again));
            }
            5 => {
                let other = &inputs[random.usize(..inputs.len())];
                let from = random.usize(..=other.len());
                drop(input.splice(at..end, other[from..].iter().copied()));
            }
            _ => input.truncate(random.usize(..=input.len())),
        }
    }
    input.truncate(LONGEST);
    input
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Feeds one target for so long. Returns how many inputs that were.
fn feed(target: &Target, time: Duration, seed: u64) -> u64 {
    let (inputs, mut random) = (corpus(target), Rng::with_seed(seed));
    let (end, mut fed) = (Instant::now() + time, 0);
    let mut kept = inputs.iter().cloned();
    while let Some(input) = kept.next().or_else(|| Some(changed(&inputs, &mut random))) {
        if Instant::now() >= end && fed >= inputs.len() as u64 {
            break;
        }
        let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let shown = String::from_utf8_lossy(&input);
        assert!(ran.is_ok(), "{} breaks (seed {seed}) on {input:?}: {shown}", target.name);
        fed += 1;
    }
    fed
}

#[test]
fn no_parser_breaks_on_changed_inputs() {
    let seconds = number("ORCHESTRATOR_FUZZ_SECONDS");
    let time = seconds.map_or(Duration::from_millis(500), Duration::from_secs);
    let seed = number("ORCHESTRATOR_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    crate::harness::may_take(time * TARGETS.len() as u32 + Duration::from_secs(300));

    for target in TARGETS {
        let fed = feed(target, time, seed);
        println!("{}: {fed} inputs (seed {seed})", target.name);
        assert!(fed > 100, "{}: only {fed} inputs", target.name);
    }
}

#[test]
fn every_target_has_its_corpus_and_its_libfuzzer_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{}.rs", target.name)));
        assert!(program.unwrap().contains(&format!("\"{}\"", target.name)), "{}", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
    let folders = fs::read_dir(root.join("corpus")).unwrap().count();
    assert_eq!(folders, TARGETS.len(), "a folder of fuzz/corpus has no target");
}
