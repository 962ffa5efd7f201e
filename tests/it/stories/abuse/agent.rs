//! Attacks over HTTP with one agent key.

use std::time::Duration;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::target::{Attack, RIVAL, Target};
use crate::harness::{head, late, report_on};

pub const ATTACKS: &[Attack] = &[
    Attack { name: "pages of huge events", run: |target| Box::pin(pages(target)) },
    Attack { name: "millions of outcomes", run: |target| Box::pin(outcomes(target)) },
    Attack { name: "claims of large tasks", run: |target| Box::pin(large_claims(target)) },
    Attack { name: "invented agents", run: |target| Box::pin(invented_agents(target)) },
    Attack { name: "invented workers", run: |target| Box::pin(invented_workers(target)) },
    Attack { name: "subscriptions", run: |target| Box::pin(subscriptions(target)) },
    Attack { name: "metric series", run: |target| Box::pin(series(target)) },
    Attack { name: "thousands of patterns", run: |target| Box::pin(patterns(target)) },
    Attack { name: "long numbers", run: |target| Box::pin(long_numbers(target)) },
    Attack { name: "an edit of 60,000 keys", run: |target| Box::pin(large_edits(target)) },
    Attack { name: "a flood of events", run: |target| Box::pin(flood(target)) },
    Attack { name: "texts of control characters", run: |target| Box::pin(control_texts(target)) },
    Attack { name: "long-polls", run: |target| Box::pin(long_polls(target)) },
    Attack { name: "tasks that are all late", run: |target| Box::pin(late_tasks(target)) },
    Attack { name: "the same question", run: |target| Box::pin(questions(target)) },
];

/// Calls at once of an attack that does not say otherwise.
const AT_ONCE: usize = 16;
const PAUSE: Duration = Duration::from_millis(5);

/// Does it again and again, so many times at once; `nth` counts up from a number of its own for each.
async fn again(at_once: usize, attack: impl AsyncFn(usize)) {
    let one = async |first: usize| {
        for nth in 0.. {
            attack(first + nth * at_once).await;
            late(PAUSE).await;
        }
    };
    join_all((0..at_once).map(one)).await;
}

fn event(bytes: usize) -> Value {
    json!({"event_type": "kb.updated", "payload": {"f": "x".repeat(bytes)}})
}

/// The largest event that is taken.
async fn largest_event(target: &Target) -> Value {
    for bytes in [2_000_000, 1_000_000, 65_000, 60_000] {
        let event = event(bytes);
        if target.post("/events/publish", &event).await.is_some_and(|(status, _)| status == 202) {
            return event;
        }
    }
    event(30_000)
}

async fn pages(target: &Target) {
    let event = largest_event(target).await;
    join_all((0..200).map(|_| target.post("/events/publish", &event))).await;
    let path = "/events?limit=200";
    let one = async || loop {
        target.send_accepting_json(path).await;
        late(PAUSE).await;
    };
    join_all((0..8).map(|_| one())).await;
}

async fn outcomes(target: &Target) {
    let body = format!(r#"{{"outcomes":[{}]}}"#, vec!["{}"; 3_000_000].join(","));
    again(4, async |_| drop(target.post("/agents/ops_agent/results", &body).await)).await;
}

/// A hundred tasks of `dev_agent` with payloads as large as they may be.
pub async fn submit_large(target: &Target) {
    let payload = "x".repeat(1_048_000);
    let task = json!({"type": "bugfix", "payload": {"f": payload}}).to_string();
    for _ in 0..20 {
        join_all((0..5).map(|_| target.post("/tasks", &task))).await;
    }
}

/// Claimed at once; every other time the caller is gone before the answer.
async fn large_claims(target: &Target) {
    submit_large(target).await;
    again(4, async |nth| {
        let claim = json!({"worker": "w1", "max": 100, "wait_ms": 1_000, "lease_ms": 1_000});
        let limit = if nth.is_multiple_of(2) { 30 } else { 60_000 };
        let claimed = target.post("/agents/dev_agent/claim", &claim);
        drop(timeout(Duration::from_millis(limit), claimed).await);
    })
    .await;
}

async fn invented_agents(target: &Target) {
    again(AT_ONCE, async |nth| {
        target.post(&format!("/agents/invented-{nth}/claim"), r#"{"worker":"w1"}"#).await;
        target.get(&format!("/agents/invented-{nth}")).await;
    })
    .await;
}

async fn invented_workers(target: &Target) {
    again(AT_ONCE, async |nth| {
        let claim = json!({"worker": format!("invented-{nth}")});
        target.post("/agents/ops_agent/claim", claim).await;
    })
    .await;
}

/// Event streams that the client never reads, beside events.
async fn subscriptions(target: &Target) {
    let stream = async || loop {
        if let Ok(stream) = target.connect().await {
            let words = head("GET /events", RIVAL, "accept: text/event-stream\r\n");
            let said = stream.try_write(words.as_bytes());
            target.count(if said.is_ok() { "subscribed" } else { "cut off" });
            late(Duration::from_secs(1)).await;
        }
        late(10 * PAUSE).await;
    };
    let event = event(30_000);
    let events = again(2, async |_| drop(target.post("/events/publish", &event).await));
    join(join_all((0..200).map(|_| stream())), events).await;
}

async fn series(target: &Target) {
    again(AT_ONCE, async |nth| {
        target.get(&format!("/invented/{nth}?a={nth}")).await;
        let method = Method::from_bytes(format!("INVENTED{nth}").as_bytes()).unwrap();
        target.send("rival", method, "/tasks", String::new()).await;
        let event = json!({"event_type": format!("invented.e{nth}"), "payload": {}});
        target.post("/events/publish", event).await;
        target.get("/metrics").await;
    })
    .await;
}

async fn patterns(target: &Target) {
    let patterns: Vec<_> = (0..5_000).map(|nth| format!("a{nth}.*")).collect();
    let (many, few) = (patterns[..2_000].join(","), patterns[..64].join(","));
    again(AT_ONCE, async |nth| {
        let types = if nth.is_multiple_of(2) { &many } else { &few };
        target.send_accepting_json(&format!("/events?types={types}")).await;
    })
    .await;
}

async fn long_numbers(target: &Target) {
    let long = "9".repeat(1_000_000);
    again(4, async |_| {
        let payload = format!(r#"{{"n":{long}}}"#);
        target.post("/tasks", format!(r#"{{"type":"alert","payload":{payload}}}"#)).await;
        target
            .post("/tasks", format!(r#"{{"type":"alert","payload":{{}},"priority":{long}}}"#))
            .await;
        let event = r#"{"event_type":"kb.updated","payload":{},"metadata":{"traceparent":1e400}}"#;
        target.post("/events/publish", event).await;
        target.send_accepting_json("/events?limit=50").await;
    })
    .await;
}

/// A task of 60,000 keys, which an accomplice approves with another 60,000.
async fn large_edits(target: &Target) {
    let keys = |word: &str| {
        let members: Vec<_> = (0..60_000).map(|nth| format!(r#""{word}{nth}":{nth}"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let (submitted, edited) = (keys("a"), keys("b"));
    again(2, async |_| {
        let body = format!(r#"{{"type":"deploy","payload":{submitted}}}"#);
        let Some((201, task)) = target.post("/tasks", body).await else { return };
        let approval = task["approval_id"].as_str().unwrap_or_default();
        let path = format!("/approvals/{approval}/approve");
        let body = format!(r#"{{"payload":{edited}}}"#);
        target.send("second_judge", Method::POST, &path, body).await;
    })
    .await;
}

async fn flood(target: &Target) {
    // With what stands around it the event is just below 64 KiB.
    let event = event(64 * 1_024 - 512).to_string();
    again(AT_ONCE, async |_| drop(target.post("/events/publish", &event).await)).await;
}

/// What an agent says is stored; a control character takes six bytes there.
async fn control_texts(target: &Target) {
    let text = "\u{1}".repeat(8_000);
    again(4, async |nth| {
        let task = json!({"type": "bugfix", "payload": {}, "max_retries": 100});
        target.post("/tasks", task).await;
        let claim = json!({"worker": "w1", "max": 10, "wait_ms": 100});
        let Some((200, claimed)) = target.post("/agents/dev_agent/claim", claim).await else {
            return;
        };
        for held in claimed["tasks"].as_array().into_iter().flatten() {
            let id = held["task"]["task_id"].as_str().unwrap();
            let beat = report_on(held, json!({"progress": {"message": text[..500]}}));
            target.post(&format!("/tasks/{id}/heartbeat"), beat).await;
            if nth.is_multiple_of(2) {
                let action = json!({"run": text});
                let question = report_on(held, json!({"reason": text[..1_000], "action": action}));
                target.post(&format!("/tasks/{id}/approval"), question).await;
                let reason = json!({"reason": text[..1_000]});
                target.post(&format!("/tasks/{id}/cancel"), reason).await;
            }
            let failed = report_on(held, json!({"error": text, "retry_after_ms": 0}));
            target.post(&format!("/tasks/{id}/fail"), failed).await;
        }
    })
    .await;
}

async fn long_polls(target: &Target) {
    again(300, async |nth| {
        let claim = json!({"worker": format!("w{nth}"), "wait_ms": 60_000});
        target.post("/agents/ops_agent/claim", claim).await;
    })
    .await;
}

/// Each is late at once, and the scene has twenty rules that tell of it.
async fn late_tasks(target: &Target) {
    let tasks = vec![json!({"type": "alert", "payload": {}, "sla_target": "1s"}); 300];
    let batch = json!({"tasks": tasks}).to_string();
    for _ in 0..10 {
        target.post("/tasks/batch", &batch).await;
    }
    again(1, async |_| {
        late(Duration::from_secs(1)).await;
        target.post("/tasks/batch", &batch).await;
    })
    .await;
}

/// Asks a human about the same task as soon as the last answer has come, which an accomplice gives.
async fn questions(target: &Target) {
    again(4, async |_| {
        let Some((201, _)) = target.post("/tasks", r#"{"type":"bugfix","payload":{}}"#).await
        else {
            return;
        };
        let claim = json!({"worker": "w1", "wait_ms": 1_000});
        while let Some((200, claimed)) = target.post("/agents/dev_agent/claim", &claim).await {
            let held = &claimed["tasks"][0];
            let Some(id) = held["task"]["task_id"].as_str() else { return };
            let question = report_on(held, json!({"reason": "x".repeat(1_000)}));
            let asked = target.post(&format!("/tasks/{id}/approval"), question).await;
            let Some((200 | 201, approval)) = asked else { return };
            let id = approval["approval_id"].as_str().unwrap_or_default();
            let path = format!("/approvals/{id}/approve");
            target.send("second_judge", Method::POST, &path, "{}".to_owned()).await;
        }
    })
    .await;
}
