//! A deployment without a key in its settings: the first one is made by a command, the others with it.

use serde_json::Value;

use crate::harness::{Program, Redis};

/// A fleet over this Redis whose settings have no credential.
fn bare(redis: &Redis) -> Program {
    Program::new().with_all(&[
        ("REDIS_URL", redis.url()),
        ("ORCHESTRATOR_PORT", "0"),
        ("ORCHESTRATOR__HTTP__HOST", "127.0.0.1"),
    ])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn first_key_of_a_store_creates_rotates_and_revokes_the_others() {
    let redis = Redis::start().await;
    let program = bare(&redis);
    let (code, _, log) = program.run(&["gateway"]).await;
    assert!(code == 1 && log.contains("orchestrator first-key"), "{code}: {log}");
    let (code, printed, log) = program.run(&["first-key", "root", "--identity", "alice"]).await;
    assert_eq!(code, 0, "{log}");
    let first = printed.trim().to_owned();
    assert!(first.starts_with("orc_") && first.len() == 53, "{printed}");
    let (code, _, log) = program.run(&["first-key", "other"]).await;
    assert!(code == 1 && log.contains("root"), "{code}: {log}");

    let gateway = program.start(&["gateway"]);
    let with = |url: &str, key: &str| {
        Program::new().with("ORCHESTRATOR_URL", url).with("ORCHESTRATOR_API_KEY", key)
    };
    let url = gateway.url().await;
    let root = with(&url, &first);
    let create = ["keys", "create", "ci", "--role", "agent", "--agent", "dev_agent"];
    let (code, printed, log) = root.run(&[&create[..], &["--type", "faq"]].concat()).await;
    assert_eq!(code, 0, "{log}");
    let secret = printed.lines().next().unwrap().to_owned();
    assert!(secret.starts_with("orc_") && printed.contains("not shown again"), "{printed}");
    let (code, _, log) = with(&url, &secret).run(&["tasks", "submit", "faq"]).await;
    assert_eq!(code, 0, "{log}");
    let (code, _, log) = with(&url, &secret).run(&["tasks", "submit", "bugfix"]).await;
    assert!(code == 1 && log.contains("its types: faq"), "{code}: {log}");

    let (_, listed, _) = root.run(&["keys", "list", "-o", "json"]).await;
    let key = &json(&listed)["items"][1];
    assert_eq!((&key["name"], &key["created_by"]), (&"ci".into(), &"key:root".into()));
    let id = key["key_id"].as_str().unwrap();
    let (code, rotated, log) = root.run(&["keys", "rotate", id, "-o", "json"]).await;
    assert_eq!(code, 0, "{log}");
    let rotated = json(&rotated)["secret"].as_str().unwrap().to_owned();
    let (code, _, log) = with(&url, &secret).run(&["stats"]).await;
    assert!(code == 1 && log.contains("401"), "{code}: {log}");
    assert_eq!(with(&url, &rotated).run(&["stats"]).await.0, 0);
    let (code, printed, log) = root.run(&["keys", "revoke", id]).await;
    assert!(code == 0 && printed.contains("ci is revoked"), "{printed}{log}");
    assert_eq!(with(&url, &rotated).run(&["stats"]).await.0, 1);
    for secret in [&first, &secret, &rotated] {
        assert!(!gateway.log().contains(secret.as_str()), "a secret is in the log");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn gateway_does_not_start_with_a_weak_secret() {
    let redis = Redis::start().await;
    for (name, value) in [
        ("ORCHESTRATOR_API_KEY_OPS", "password1234567890:admin"),
        ("ORCHESTRATOR_API_KEY_OPS", "aaaaaaaaaaaaaaaa:admin"),
        ("ORCHESTRATOR_JWT_SECRET", "changeme-changeme-changeme-changeme"),
    ] {
        let (code, _, log) = bare(&redis).with(name, value).run(&["gateway"]).await;
        assert!(code != 0 && log.contains("easy to guess"), "{value}: {log}");
        assert!(!log.contains(value.split(':').next().unwrap()), "{log}");
    }
}
