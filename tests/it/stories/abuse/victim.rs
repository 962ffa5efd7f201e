//! The client that behaves: it submits, claims and completes, one task after the other, and notes how long each life takes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::scene::Scene;
use crate::harness::{Answer, Client, id_of, late, report_on};

/// The pause between two lives.
const PAUSE: Duration = Duration::from_millis(10);

/// How long lives took, and what must not have been answered.
#[derive(Default)]
pub struct Lives {
    took: Vec<Duration>,
    pub wrong: Vec<String>,
}

impl Lives {
    pub fn count(&self) -> usize {
        self.took.len()
    }

    pub fn extend(&mut self, other: Self) {
        self.took.extend(other.took);
        self.wrong.extend(other.wrong);
    }

    /// What so many percent of the lives did not exceed; nothing was lived: for ever.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get((took.len() * percent).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or(Duration::MAX)
    }
}

/// Lives for so long.
pub async fn live(scene: &Scene, span: Duration) -> Lives {
    let client = scene.client("crew");
    let end = Instant::now() + span;
    let mut lives = Lives::default();
    while Instant::now() < end {
        let began = Instant::now();
        match life(&client).await {
            Ok(()) => lives.took.push(began.elapsed()),
            Err(what) => lives.wrong.push(what),
        }
        late(PAUSE).await;
    }
    lives
}

/// One task from its submission to its end.
pub async fn life(client: &Client) -> Result<(), String> {
    let task = call(client, "/tasks", &json!({"type": "faq", "payload": {"n": 1}}), 201).await?;
    let claim = json!({"worker": "victim", "wait_ms": 20_000});
    let claimed = call(client, "/agents/faq_agent/claim", &claim, 200).await?;
    let held = &claimed["tasks"][0];
    if held["task"]["task_id"] != task["task_id"] {
        return Err(format!("claimed {held} after {}", task["task_id"]));
    }
    let path = format!("/tasks/{}/complete", id_of(&task));
    call(client, &path, &report_on(held, json!({})), 200).await.map(drop)
}

async fn call(client: &Client, path: &str, body: &Value, wanted: u16) -> Result<Value, String> {
    match client.call(reqwest::Method::POST, path).json(body).try_send().await {
        Ok(answer) if answer.status == wanted => Ok(answer.json()),
        Ok(Answer { status, body, .. }) => Err(format!("{path}: {status} {body}")),
        Err(error) => Err(format!("{path}: {error:?}")),
    }
}
