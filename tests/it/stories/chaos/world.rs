//! What those who call share: where the gateways are, when it is over, and what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Answer, Client, connections, late};

/// How long a caller waits before it tries a call again elsewhere.
const AGAIN: Duration = Duration::from_millis(20);

/// What the callers were told, as they remember it.
#[derive(Debug, Default)]
pub struct Told {
    /// Every submission that was acknowledged: key → task.
    pub accepted: BTreeMap<String, String>,
    /// Completions that were taken: task → the attempts that were told so.
    pub completed: BTreeMap<String, BTreeSet<u64>>,
    /// Cancellations that were taken.
    pub cancelled: BTreeSet<String>,
    /// Decisions that were taken: task → `approve` or `reject`.
    pub decided: BTreeMap<String, &'static str>,
    /// The id of every event that the subscriber saw, in order.
    pub seen: Vec<String>,
    /// How often an earlier submission was sent again.
    pub replays: usize,
    /// What no caller may ever be told.
    pub wrong: Vec<String>,
}

pub struct World {
    pub seed: u64,
    /// Whether idempotency keys are remembered for as long as the story lasts.
    pub remembers: bool,
    /// The address of each gateway in a line of its own: for the agents too, which are processes.
    directory: PathBuf,
    client: reqwest::Client,
    pub told: Mutex<Told>,
    /// Whether the subscriber's first stream is open.
    pub is_watched: AtomicBool,
    /// How often a caller had to repeat a call because its outcome was unknown.
    pub repeats: AtomicUsize,
    /// No more submissions.
    pub is_over: CancellationToken,
    /// No more work.
    pub is_drained: CancellationToken,
}

impl World {
    pub fn new(seed: u64, remembers: bool, directory: PathBuf) -> Self {
        Self {
            seed,
            remembers,
            directory,
            client: connections(),
            told: Mutex::default(),
            is_watched: AtomicBool::new(false),
            repeats: AtomicUsize::default(),
            is_over: CancellationToken::new(),
            is_drained: CancellationToken::new(),
        }
    }

    /// Tells all callers where a gateway listens from now on.
    pub fn move_gateway(&self, nth: usize, url: String) {
        // One at a time, and whole: agents read it at any moment.
        let _told = self.told.lock().unwrap();
        let mut urls = self.gateways();
        urls.resize(urls.len().max(nth + 1), String::new());
        urls[nth] = url;
        let next = self.directory.with_extension("next");
        std::fs::write(&next, urls.join("\n")).unwrap();
        std::fs::rename(next, &self.directory).unwrap();
    }

    fn gateways(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.directory).unwrap_or_default();
        text.split('\n').map(str::to_owned).collect()
    }

    /// One of the gateways, as soon as one is known.
    pub async fn gateway(&self, name: &'static str) -> Client {
        loop {
            let mut urls = self.gateways();
            let url = urls.swap_remove(fastrand::usize(..urls.len()));
            if !url.is_empty() {
                return Client::to(url, name, self.client.clone());
            }
            late(AGAIN).await;
        }
    }

    /// Calls one gateway after the other until one says what has come of it.
    pub async fn call(
        &self,
        name: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        loop {
            let call = self.gateway(name).await.call(method.clone(), path);
            match call.json_if(body).try_send().await {
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    if answer.status >= 500 {
                        self.told.lock().unwrap().wrong.push(format!("{path}: {answer:?}"));
                    }
                    return answer;
                }
                Err(_) => {}
            }
            self.repeats.fetch_add(1, Ordering::Relaxed);
            late(AGAIN).await;
        }
    }

    pub async fn post(&self, name: &'static str, path: &str, body: &Value) -> Answer {
        self.call(name, Method::POST, path, Some(body)).await
    }

    /// How many tasks are not at their end.
    pub async fn open(&self) -> u64 {
        let stats = self.call("reader", Method::GET, "/stats", None).await.accepted(200);
        let of = |state: &str| stats["by_status"][state].as_u64().unwrap();
        ["blocked", "scheduled", "pending", "assigned", "in_progress"].map(of).iter().sum()
    }

    /// Notes something that must never be.
    pub fn accuse(&self, what: String) {
        self.told.lock().unwrap().wrong.push(what);
    }
}

/// The submission of this number and key: what it is decides what its agent will do.
pub fn submission(number: u64, key: &str) -> Value {
    let kind =
        ["faq", "kb_update", "bugfix", "investigate", "monitor", "alert"][(number % 6) as usize];
    // One of twenty must be approved.
    let kind = if number.is_multiple_of(20) { "deploy" } else { kind };
    let mut body =
        json!({"type": kind, "payload": {"n": number}, "idempotency_key": key, "priority": "P2"});
    body["max_retries"] = (number % 4).into();
    // One of a hundred is large, one of a thousand about as large as it may be.
    let filler = if number % 1_000 == 77 { 1_000_000 } else { 30_000 };
    if number % 100 == 77 {
        body["payload"]["filler"] = "x".repeat(filler).into();
    }
    if number.is_multiple_of(7) {
        body["delay_ms"] = (number % 500).into();
    }
    if number.is_multiple_of(3) {
        body["priority"] = "P3".into();
    } else if number % 10 == 4 {
        body["priority"] = "P1".into();
    }
    // One of five is soon late, if anything happens.
    if number % 5 == 1 {
        body["sla_target"] = "2s".into();
    }
    body
}
