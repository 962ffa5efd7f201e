//! `orchestrator demo`, as a new user sees it.

use std::fs;
use std::path::Path;

use crate::harness::Program;

/// The processes that have `mark` in their environment.
fn bearers_of(mark: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let bears = |path: &Path| {
        fs::read(path.join("environ"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(mark))
    };
    let found = processes.map(|entry| entry.path()).filter(|path| bears(path));
    found.map(|path| fs::read_to_string(path.join("comm")).unwrap_or_default()).collect()
}

#[tokio::test]
async fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();

    let (code, output, log) =
        Program::new().with("TMPDIR", path).with("HOME", path).run(&["demo"]).await;

    assert_eq!(code, 0, "{output}{log}");
    for kind in ["alert", "bugfix", "deploy", "kb_update"] {
        let has = |what: &str| {
            output.lines().any(|line| line.contains(&format!("  {kind} ")) && line.contains(what))
        };
        assert!(has("submitted") && has("  completed "), "{kind}: {output}");
    }
    assert_eq!(
        output.lines().filter(|line| line.contains("approval asked for")).count(),
        2,
        "{output}"
    );
    assert_eq!(
        output
            .lines()
            .filter(|line| line.contains("approved →") && line.contains("key:alice"))
            .count(),
        2,
        "{output}"
    );
    let warnings: Vec<_> = output.lines().filter(|line| line.contains("SLA warning")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("  deploy "), "{output}");
    assert!(output.contains("4 of 4 tasks completed, 2 approved by a human"), "{output}");
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "a file is left behind");
    assert_eq!(bearers_of(path), Vec::<String>::new());
    assert_eq!(log, "", "a demo that works has nothing to warn of");
}
