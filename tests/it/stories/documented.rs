//! The shell blocks of `README.md` and `docs/`, pasted in order beside a fresh `orchestrator dev`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::Program;

/// What begins a line that is not pasted: other tests run it, and it takes minutes or does not end.
const NOT_PASTED: [&str; 4] = ["make ", "cargo install ", "orchestrator dev", "orchestrator bench"];

/// The languages of fenced blocks. A reader pastes those of the shell.
const LANGUAGES: [&str; 6] = ["sh", "json", "text", "toml", "python", "diff"];

/// README.md, and the pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut pages: Vec<_> = docs.filter(is_page).collect();
    pages.sort();
    pages.insert(0, root.join("README.md"));
    pages
}

/// Returns what a reader pastes from this page into the second terminal.
fn pasted(page: &Path) -> String {
    let lines = blocks(page, "sh");
    let is_pasted = |line: &&str| !NOT_PASTED.iter().any(|first| line.starts_with(first));
    lines.lines().filter(is_pasted).map(|line| format!("{line}\n")).collect()
}

/// Returns the lines of the blocks of this language.
fn blocks(page: &Path, wanted: &str) -> String {
    let text = std::fs::read_to_string(page).unwrap();
    let mut script = String::new();
    let mut language = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), language) {
            (Some(begun), None) => {
                assert!(LANGUAGES.contains(&begun), "{}: ```{begun}", page.display());
                language = Some(begun);
            }
            (Some(_), Some(_)) => language = None,
            (None, Some(language)) if language == wanted => {
                script.push_str(line);
                script.push('\n');
            }
            (None, _) => {}
        }
    }
    script
}

/// A reader's home, in which `orchestrator dev` runs and pages are pasted.
struct Reader {
    shell: Program,
    home: tempfile::TempDir,
}

impl Reader {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_orchestrator"));
        std::os::unix::fs::symlink(program, home.path().join("orchestrator")).unwrap();
        let place = home.path().to_str().unwrap();
        let path = format!("{place}:{}", std::env::var("PATH").unwrap());
        let shell = Program::new().with("HOME", place).with("PATH", &path);
        Self { shell, home }
    }

    /// Starts `dev` in the first terminal.
    async fn dev(&self) -> crate::harness::Process {
        let script = format!("cd {}; exec orchestrator dev --port 0", self.home.path().display());
        let dev = self.shell.start_other(Path::new("/bin/sh"), &["-c", &script]);
        dev.prints("Ctrl-C stops it").await;
        dev
    }

    /// Pastes a script into the second terminal, where nothing is typed besides. Fails unless each
    /// command succeeds.
    async fn paste(&self, script: &str, url: &str) {
        let script = script.replace("http://127.0.0.1:8000", url);
        let script = format!("cd {}\n{script}wait", self.home.path().display());
        let mut second = self.shell.other_at_a_terminal(Path::new("/bin/sh"), &["-ec", &script]);
        let (code, shown) = second.ended().await;
        assert_eq!(code, 0, "{script}\n{shown}");
    }
}

#[tokio::test]
async fn shell_blocks_of_the_documentation_run_as_they_stand() {
    for page in pages() {
        let script = pasted(&page);
        if script.is_empty() {
            continue;
        }
        let reader = Reader::new();
        let dev = reader.dev().await;
        reader.paste(&script, &dev.url().await).await;
        dev.stop().await;
    }
}

#[tokio::test]
async fn pasting_the_readme_completes_an_approved_task_and_another() {
    let reader = Reader::new();
    let dev = reader.dev().await;

    reader.paste(&pasted(&pages()[0]), &dev.url().await).await;

    let (_, listed, _) = reader.shell.run(&["tasks", "list", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let of = |kind: &str| {
        listed["items"].as_array().unwrap().iter().find(|task| task["type"] == kind).unwrap()
    };
    assert_eq!(of("deploy")["status"], "completed", "{listed}");
    assert!(of("deploy")["approval_id"].is_string(), "{listed}");
    assert_eq!(of("bugfix")["status"], "completed", "{listed}");
    dev.stop().await;
}

#[tokio::test]
async fn migrated_client_of_the_predecessor_does_all_that_it_did() {
    let mut reader = Reader::new();
    let secret = "a-secret-for-this-test-0123456789-abcdef";
    reader.shell = reader.shell.with("ORCHESTRATOR_JWT_SECRET", secret);
    let dev = reader.dev().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrating.md");
    let client = reader.shell.with("URL", &dev.url().await);

    let mut done = client.start_other(Path::new("python3"), &["-c", &blocks(&page, "python")]);

    assert_eq!(done.ended().await, 0, "{}", done.log());
    dev.stop().await;
}
