//! `orchestrator audit` against a real gateway: the record of who did what, and what happens to those who edit it.

use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Program, Redis, id_of, key, new_body};

/// A gateway whose audit log has an entry for each of its keys and three cancelled tasks.
struct Place {
    deployment: Deployment,
    user: Program,
}

/// An entry of the stream: its id, its fields and values.
type Raw = (String, Vec<String>);

impl Place {
    async fn open() -> Self {
        let deployment = Deployment::start_gateway().await;
        let user = deployment.gateway.shell("root").await;
        let crew = deployment.client("crew").await;
        for _ in 0..3 {
            cancelled(&crew).await;
        }
        Self { deployment, user }
    }

    async fn verify(&self, more: &[&str]) -> (i32, String) {
        let (code, output, log) = self.user.run(&[&["audit", "verify"], more].concat()).await;
        assert_eq!(log, "");
        (code, output)
    }

    async fn log(&self) -> Vec<Raw> {
        self.deployment.redis.ask(&["XRANGE", &key("audit"), "-", "+"]).await
    }

    /// Writes the whole log anew, as only a client with access to Redis can.
    async fn write(&self, log: &[Raw]) {
        let stream = key("audit");
        self.deployment.redis.ask::<i64>(&["DEL", &stream]).await;
        for (id, fields) in log {
            let words: Vec<_> = ["XADD", &stream, id]
                .into_iter()
                .chain(fields.iter().map(String::as_str))
                .collect();
            self.deployment.redis.ask::<String>(&words).await;
        }
    }

    /// The number and the hash of the newest entry, as `verify` tells.
    async fn head(&self) -> String {
        let (_, output) = self.verify(&["--json"]).await;
        serde_json::from_str::<Value>(&output).unwrap()["chains"][0]["head"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

async fn cancelled(crew: &Client) {
    let task = crew.post("/tasks", &new_body("faq")).await.accepted(201);
    let path = format!("/tasks/{}/cancel", id_of(&task));
    crew.post(&path, &json!({"reason": "not\u{202e} needed"})).await.accepted(200);
}

/// Overwrites a field of an entry.
fn set(entry: &mut Raw, field: &str, text: &str) {
    let at = entry.1.iter().position(|word| word == field).unwrap();
    entry.1[at + 1] = text.to_owned();
}

#[tokio::test]
async fn untouched_audit_log_verifies_and_names_its_head() {
    let place = Place::open().await;
    let head = place.head().await;

    let (code, output) = place.verify(&["--expect", &head]).await;

    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("partition 0: 9 entries from 20")
            && output.contains(&format!("head 9 {head}")),
        "{output}"
    );
    // What has come since changes nothing about what was.
    cancelled(&place.deployment.client("crew").await).await;
    assert_eq!(place.verify(&["--expect", &head]).await.0, 0);
    place.deployment.stop().await;
}

#[tokio::test]
async fn an_edit_by_hand_is_found_and_named() {
    let place = Place::open().await;
    let (log, head) = (place.log().await, place.head().await);
    let changed = |nth: usize, field: &str, text: &str| {
        let mut log = log.clone();
        set(&mut log[nth], field, text);
        log
    };
    let without = |nth: usize| [&log[..nth], &log[nth + 1..]].concat();
    let mut swapped = log.clone();
    let fields = swapped[6].1.clone();
    swapped[6].1 = std::mem::replace(&mut swapped[7].1, fields);
    let mut broken = log.clone();
    broken[4].1 = vec!["nonsense".to_owned(), "\0".to_owned()];

    for (log, found) in [
        (changed(7, "actor", "key:reader"), "partition 0, entry 8: was changed"),
        (changed(7, "origin", "10.0.0.1:1"), "partition 0, entry 8: was changed"),
        (changed(7, "detail", "{}"), "partition 0, entry 8: was changed"),
        (changed(7, "hash", &"0".repeat(64)), "partition 0, entry 8: was changed"),
        (changed(0, "previous", &head), "partition 0, entry 1: was changed"),
        (without(0), "partition 0: entry 1 is missing"),
        (without(6), "partition 0: entry 7 is missing"),
        (without(8), "partition 0: entry 9 is missing"),
        (Vec::new(), "partition 0: entries 1 to 9 are missing"),
        (swapped, "stands out of order"),
        (broken, "partition 0: entry 5 is missing"),
    ] {
        place.write(&log).await;
        let (code, output) = place.verify(&[]).await;
        assert_eq!(code, 1, "{output}");
        assert!(output.contains(found), "{found}: {output}");
    }
    place.write(&log).await;
    assert_eq!(place.verify(&[]).await.0, 0);
    place.deployment.stop().await;
}

#[tokio::test]
async fn audit_log_cut_together_with_its_head_lacks_the_expected_hash() {
    let place = Place::open().await;
    let (log, head) = (place.log().await, place.head().await);
    let newest = log[7].1.chunks_exact(2).find(|pair| pair[0] == "hash").unwrap()[1].clone();

    place.write(&log[..8]).await;
    place
        .deployment
        .redis
        .ask::<i64>(&["HSET", &key("audit:head"), "sequence", "8", "hash", &newest])
        .await;

    assert_eq!(place.verify(&[]).await.0, 0, "a client that may write to Redis can do this unseen");
    let (code, output) = place.verify(&["--expect", &head]).await;
    assert!(
        code == 1 && output.contains(&format!("no entry has the expected hash {head}")),
        "{output}"
    );
    place.deployment.stop().await;
}

#[tokio::test]
async fn what_was_done_is_listed_with_who_and_from_where() {
    let place = Place::open().await;

    let (code, output, _) =
        place.user.run(&["audit", "list", "--action", "cancel", "--limit", "2"]).await;

    assert_eq!((code, output.lines().count()), (0, 4), "{output}");
    let line = output.lines().nth(1).unwrap();
    for part in ["0/9", "key:crew", "127.0.0.1:", "cancel", "task:", r"reason=not\u{202e} needed"] {
        assert!(line.contains(part), "{part}: {output}");
    }
    let cursor = output.lines().last().unwrap().split(' ').next_back().unwrap();
    let (_, output, _) = place
        .user
        .run(&["audit", "list", "--action", "cancel", "--cursor", cursor, "--json"])
        .await;
    let page: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["items"][0]["sequence"]),
        (1, &json!(7))
    );
    place.deployment.stop().await;
}

#[tokio::test]
async fn a_gateway_notes_what_has_changed_about_its_keys_and_never_a_key() {
    let redis = Redis::start().await;
    let program = Program::over(redis.url());
    for _ in 0..2 {
        let gateway = program.start(&["gateway"]);
        gateway.url().await;
        gateway.stop().await;
    }
    let gateway = program
        .with("ORCHESTRATOR_API_KEY_READER", "another-key-0123456789:admin")
        .with("ORCHESTRATOR_JWT_SECRET", crate::harness::JWT_SECRET)
        .start(&["gateway"]);

    let answer = gateway.client("root").await.get("/admin/audit").await;

    let page = answer.json();
    let told = page["items"].as_array().unwrap().iter().map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        (text("action"), text("subject"))
    });
    let told: Vec<_> = told.take(2).collect();
    let of = |action: &str, subject: &str| (action.to_owned(), subject.to_owned());
    assert_eq!(told, [of("key.changed", "key:reader"), of("key.added", "secret:jwt")]);
    assert_eq!(page["items"].as_array().unwrap().len(), 8);
    for secret in ["another-key", "key-of-", crate::harness::JWT_SECRET] {
        assert!(!page.to_string().contains(secret), "{secret}");
    }
    gateway.stop().await;
}
