//! The page for people in a real browser: each script drives headless Chromium against a gateway.
//!
//! `.ci/provide-browser` installs what the scripts need, as `make test` does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::harness::{Fleet, KEYS, OpenId, Site, key_of, may_take};

/// One browser at a time: two of them would starve each other on a small machine.
static BROWSER: Mutex<()> = Mutex::const_new(());

/// How long a script may wait for its turn and run.
const LONG: Duration = Duration::from_secs(900);

/// The folder of the build that holds what the scripts import, and their screenshots.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("ui")
}

/// Runs the script of this name against a site whose worker runs, where a deployment needs two
/// approvers, and where a provider signs in `alice`. Whatever the script asserts must hold.
async fn browse(script: &str) {
    may_take(LONG);
    let _turn = BROWSER.lock().await;
    let fleet = Fleet::build().settings(|settings| {
        settings.approvals.rules[1].terms.quorum = Some(2);
    });
    let provider = OpenId::start().await;
    provider.says(json!({"sub": "alice"}));
    let site = Site::trusting(fleet.start().await, provider.trusted(), |_| {}).await;
    provider.send_back_to(format!("http://{}", site.address()));
    site.start_duties();
    let modules = folder();
    let help = "run `.ci/provide-browser` or `make test` first";
    assert!(modules.join("node_modules").is_dir(), "no modules in {}: {help}", modules.display());
    let shots = modules.join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let home = TempDir::new().unwrap();
    let keys: BTreeMap<_, _> = KEYS.iter().map(|(name, _)| (*name, key_of(name))).collect();
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ui").join(script));
    node.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    node.env("URL", format!("http://{}", site.address()));
    node.env("KEYS", serde_json::to_string(&keys).unwrap());
    node.env("MODULES", modules).env("SHOTS", shots);
    node.env("HOME", home.path()).env("TMPDIR", home.path()).kill_on_drop(true);

    let Output { status, stdout, stderr } = node.output().await.expect(help);

    let [printed, failed] = [&stdout, &stderr].map(|text| String::from_utf8_lossy(text));
    assert!(status.success(), "{script}: {printed}{failed}");
    site.finish().await;
}

#[tokio::test]
async fn approvers_decide_by_clicks_on_exactly_what_they_see() {
    browse("approvals.mjs").await;
}

#[tokio::test]
async fn approvers_decide_several_and_edit_what_will_run() {
    browse("deciding.mjs").await;
}

#[tokio::test]
async fn everything_that_matters_works_by_keyboard() {
    browse("keyboard.mjs").await;
}

#[tokio::test]
async fn tasks_are_shown_live_and_filtered_by_the_address() {
    browse("tasks.mjs").await;
}

#[tokio::test]
async fn many_tasks_are_retried_cancelled_and_exported() {
    browse("many.mjs").await;
}

#[tokio::test]
async fn operators_verify_the_audit_log_in_the_browser() {
    browse("operating.mjs").await;
}

#[tokio::test]
async fn texts_of_clients_and_other_origins_run_nothing() {
    browse("hostile.mjs").await;
}

#[tokio::test]
async fn a_session_begins_by_the_provider_and_ends_everywhere() {
    browse("leaving.mjs").await;
}

#[tokio::test]
async fn every_view_is_accessible_in_light_and_dark() {
    browse("access.mjs").await;
}
