//! An agent in Rust. Its work takes less than the lease, 30 s; `agent.py` has heartbeats.
//!
//! `ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... cargo run --example agent faq_agent`

use std::{env, error::Error, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};

async fn call(client: &Client, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
    let url = env::var("ORCHESTRATOR_URL")? + path;
    let key = env::var("ORCHESTRATOR_API_KEY")?;
    let answer = client.post(url).header("X-API-Key", key).json(body).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

async fn work_on_next(client: &Client, agent: &str) -> Result<(), Box<dyn Error>> {
    let claim = json!({"worker": "rust", "max": 1, "wait_ms": 30_000});
    let claimed = call(client, &format!("/agents/{agent}/claim"), &claim).await?;
    for held in claimed["tasks"].as_array().ok_or("no tasks")? {
        let task = &held["task"];
        let result = json!({"answer": "done", "payload": task["payload"]});
        let report = json!({"attempt": held["attempt"], "lease": held["lease"], "result": result});
        let id = task["task_id"].as_str().ok_or("no id")?;
        call(client, &format!("/tasks/{id}/complete"), &report).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let agent = env::args().nth(1).ok_or("which agent?")?;
    let client = Client::new();
    loop {
        if let Err(error) = work_on_next(&client, &agent).await {
            eprintln!("{error}"); // refused, or the gateway is away
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
