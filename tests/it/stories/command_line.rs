//! What the commands say, and with which exit code they end.

use std::fs;
use std::path::Path;

use serde_json::json;
use tokio::net::UnixListener;

use crate::harness::{Deployment, JWT_SECRET, Program, Redis, id_of, key, new_body, within};

#[tokio::test]
async fn a_gateway_without_a_credential_does_not_start_and_says_what_to_set() {
    let redis = Redis::start().await;
    let program = Program::new().with("REDIS_URL", redis.url()).with("ORCHESTRATOR_PORT", "0");

    let (code, output, log) = program.run(&["gateway"]).await;

    assert_eq!((code, &*output), (1, ""), "{log}");
    assert!(
        log.contains("ORCHESTRATOR_JWT_SECRET") && log.contains("ORCHESTRATOR_API_KEY_<NAME>"),
        "{log}"
    );
}

#[tokio::test]
async fn a_wrong_setting_ends_any_command_and_names_key_value_and_what_is_expected() {
    for (name, value, expected) in [
        ("ORCHESTRATOR__AGENTS__LEASE_MS", "5", "1000 to 3600000"),
        ("ORCHESTRATOR__AGENTS__LEASE_MS", "soon", "whole number"),
        ("ORCHESTRATOR__HTTP__GRACE_MS", "300001", "0 to 300000"),
    ] {
        for command in ["gateway", "worker", "doctor", "settings"] {
            let (code, output, log) = Program::new().with(name, value).run(&[command]).await;

            assert_eq!((code, &*output), (2, ""), "{command}: {log}");
            assert!(
                log.contains(name) && log.contains(value) && log.contains(expected),
                "{command}: {log}"
            );
        }
    }
    let (code, _, log) =
        Program::new().with("ORCHESTRATOR__AGENTS__LEASE", "5").run(&["settings"]).await;
    assert!(code == 2 && log.contains("ORCHESTRATOR__AGENTS__LEASE_MS"), "{log}");
    let (code, _, log) = Program::new().run(&["gatway"]).await;
    assert!(code == 2 && log.contains("gateway"), "{log}");
}

#[tokio::test]
async fn a_weak_secret_is_refused_without_being_shown() {
    for (name, value) in [
        ("ORCHESTRATOR_JWT_SECRET", "hunter2-hunter2"),
        ("ORCHESTRATOR_API_KEY_OPS", "hunter2-hunter2:root"),
    ] {
        let (code, output, log) = Program::new().with(name, value).run(&["gateway"]).await;

        assert_eq!((code, &*output), (2, ""), "{log}");
        assert!(log.contains(name) || log.contains("auth."), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn settings_show_what_is_in_force_and_hide_every_secret() {
    let program =
        Program::over("redis://ops:hunter2@db:6379").with("ORCHESTRATOR_JWT_SECRET", JWT_SECRET);

    let (code, output, log) =
        program.with("ORCHESTRATOR__AGENTS__LEASE_MS", "45000").run(&["settings"]).await;

    assert_eq!((code, &*log), (0, ""));
    for shown in ["lease_ms", "45000", "ORCHESTRATOR__AGENTS__LEASE_MS", "REDIS_URL", "***", "crew"]
    {
        assert!(output.contains(shown), "{shown}: {output}");
    }
    for secret in ["hunter2", JWT_SECRET, "key-of-"] {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}

#[tokio::test]
async fn unreadable_url_ends_every_command_and_is_never_printed() {
    for (name, setting, url) in [
        ("REDIS_URL", "store.url", "localhost:6379"),
        ("REDIS_URL", "store.url", "redis://ops:top?secret@db"),
        ("REDIS_URL", "store.url", "redis://ops:topsecret@db?db=3"),
        ("REDIS_URL", "store.url", "redis://ops:topsecret@db:99999"),
        ("REDIS_URL", "store.url", "redis://ops:topsecret@db/abc"),
        ("NATS_URL", "nats.url", "nats://ops:top?secret@one"),
    ] {
        for command in ["gateway", "worker", "bridge", "doctor", "settings"] {
            let program = Program::new().with(name, url).with("RUST_LOG", "debug");
            let (code, output, log) = program.run(&[command]).await;
            let said = format!("{output}{log}");
            assert!(code == 2 && said.contains(&format!("`{setting}`")), "{command} {url}: {said}");
            assert!(!said.contains("secret") && !said.contains("top"), "{command} {url}: {said}");
        }
    }
}

#[tokio::test]
async fn the_document_that_is_printed_is_the_one_that_is_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.yaml");

    let (code, output, _) = Program::new().run(&["openapi", "--yaml"]).await;
    assert!(
        code == 0 && output == fs::read_to_string(file).unwrap(),
        "openapi/openapi.yaml is out of date"
    );

    let (code, output, _) = Program::new().run(&["openapi"]).await;
    let document: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &document["openapi"]), (0, &json!("3.0.3")));
}

#[tokio::test]
async fn reference_page_has_the_help_of_every_command() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");

    let (code, output, _) = Program::new().run(&["reference"]).await;

    assert!(
        code == 0 && output == fs::read_to_string(file).unwrap(),
        "docs/cli.md is out of date: cargo run -- reference > docs/cli.md"
    );
}

#[tokio::test]
async fn the_doctor_finds_what_was_sabotaged() {
    let deployment = Deployment::start_gateway().await;
    let (program, crew) = (&deployment.program, deployment.client("crew").await);
    let id = &id_of(&crew.post("/tasks", &new_body("faq")).await.accepted(201));
    program.finds_the_store_sound().await;

    let _: i64 = deployment.redis.ask(&["ZREM", &key("pending"), id]).await;
    let (code, output, log) = program.run(&["doctor"]).await;

    assert!(code == 1 && output.contains(id) && output.contains("finding"), "{output}{log}");
    let (code, output, log) = program.run(&["doctor", "--repair"]).await;
    assert!(
        code == 0
            && output.contains("repaired: put back")
            && output.contains("1 finding, 1 repaired."),
        "{output}{log}"
    );
    assert!(log.contains("the store was repaired") && log.contains(id), "{log}");
    let (code, output, _) = program.run(&["doctor", "--repair"]).await;
    assert_eq!((code, &*output), (0, "The store is consistent.\n"));
    deployment.finish().await;
}

#[tokio::test]
async fn a_doctor_that_cannot_reach_the_store_says_so_and_fails() {
    let home = tempfile::tempdir().unwrap();
    let url = format!("redis+unix://{}/nothing", home.path().display());

    let (code, output, log) = Program::over(&url).run(&["doctor"]).await;

    assert_eq!((code, &*output), (1, ""));
    assert!(log.contains("cannot use the store"), "{log}");
}

#[tokio::test]
async fn processes_wait_for_an_absent_store_at_start_and_log_it_once() {
    let mut redis = Redis::told(true, &[]).await;
    redis.stop().await;
    let socket = redis.url().split_once("://").unwrap().1.to_owned();
    let _ = fs::remove_file(&socket);
    // A listener that hangs up at once stands in for the store, and counts.
    let stand_in = UnixListener::bind(&socket).unwrap();
    let program = Program::over(redis.url());
    let processes = [program.start(&["gateway"]), program.start(&["worker"])];

    let tries = async {
        for _ in 0..8 {
            drop(stand_in.accept().await.unwrap());
        }
    };
    within("several tries", tries).await;
    for process in &processes {
        process.says("waiting for the store").await;
    }
    drop(stand_in);
    redis.start_again().await;

    processes[0].client("crew").await.post("/tasks", &new_body("faq")).await.accepted(201);
    processes[1].says("the worker runs").await;
    for process in processes {
        assert_eq!(process.log().matches("waiting for the store").count(), 1, "{}", process.log());
        process.stop().await;
    }
}

#[tokio::test]
async fn a_process_that_waits_for_the_store_can_be_stopped() {
    let home = tempfile::tempdir().unwrap();
    let url = format!("redis+unix://{}/nothing", home.path().display());
    for role in ["gateway", "worker"] {
        let process = Program::over(&url).start(&[role]);
        process.says("waiting for the store").await;

        process.stop().await;
    }
}
