//! Keys and channels have the prefix of their deployment, and one place of the tests names them.

use super::Source;

/// The one file of the tests that writes keys and channels out.
const OWNER: &str = "tests/it/harness/keys.rs";

/// Whether the line writes out a key, a channel or a pattern of them: the prefix, and what no path or URN has there.
fn names_a_key(line: &str) -> bool {
    let prefix = "orchestrator:";
    line.match_indices(prefix).any(|(at, _)| {
        let is_path = line[at + prefix.len()..].starts_with(':');
        let is_urn = line[..at].ends_with("urn:");
        !is_path && !is_urn
    })
}

#[test]
fn tests_name_keys_and_channels_by_function() {
    let sources = Source::all("tests", "rs").into_iter();
    let others = sources.filter(|source| {
        source.name() != OWNER && !source.name().starts_with("tests/it/architecture")
    });
    let wrong: Vec<_> = others
        .flat_map(|source| {
            let code = source.code();
            let lines = code.lines().filter(|line| names_a_key(line));
            lines.map(|line| format!("{}: {}", source.name(), line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{OWNER} has a function for these: {wrong:#?}");
}

#[test]
fn a_key_is_no_path_and_no_urn() {
    let prefix = "orchestrator:";
    for key in ["{0}:tasks", "{{{partition}}}:open", "events:*", "layout", "*"] {
        assert!(names_a_key(&format!("ask(&[\"DEL\", \"{prefix}{key}\"])")), "{key}");
    }
    for other in [format!("use {prefix}:domain"), format!("\"urn:{prefix}problem:{{cause}}\"")] {
        assert!(!names_a_key(&other), "{other}");
    }
}

#[test]
fn no_key_channel_or_subject_is_named_without_the_prefix_of_its_deployment() {
    let mut wrong = Vec::new();
    for (directory, extension) in
        [("src/store", "rs"), ("src/store", "lua"), ("src/transport", "rs")]
    {
        for source in Source::all(directory, extension) {
            let lines = source.code();
            // Lua's comments; URNs of problems are names of causes, not of what a deployment owns.
            let lines = lines.lines().filter(|line| !line.trim_start().starts_with("--"));
            let names = lines.filter(|line| {
                ["orchestrator:", "orchestrator."]
                    .iter()
                    .any(|name| line.replace("urn:orchestrator:", "").contains(name))
            });
            wrong.extend(names.map(|line| format!("{}: {}", source.name(), line.trim())));
        }
    }
    assert!(wrong.is_empty(), "these would be heard by another deployment: {wrong:#?}");
}
