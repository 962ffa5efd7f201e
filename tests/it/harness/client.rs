//! Clients that speak HTTP to a gateway in another process.

use serde_json::{Value, json};

use super::{Answer, Call, eventually, id_of, key_of, report_on};

/// Connections without TLS: the authorities of the system are not read, which takes long.
pub fn connections() -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([]).build().unwrap()
}

/// A client that speaks HTTP to a process.
#[derive(Clone)]
pub struct Client {
    url: String,
    name: &'static str,
    client: reqwest::Client,
}

impl Client {
    /// A client with the API key of this name that speaks to the gateway at `url`.
    pub fn to(url: String, name: &'static str, client: reqwest::Client) -> Self {
        Self { url, name, client }
    }

    pub fn call(&self, method: reqwest::Method, path: &str) -> Call {
        let call = Call(self.client.request(method, format!("{}{path}", self.url)));
        call.header("x-api-key", key_of(self.name))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(reqwest::Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(reqwest::Method::POST, path).json(body).send().await
    }

    /// The end of the attempt of which this is the entry of a claim's answer.
    pub async fn complete(&self, held: &Value) -> Answer {
        let path = format!("/tasks/{}/complete", id_of(&held["task"]));
        self.post(&path, &report_on(held, json!({}))).await
    }

    /// Claims for `faq_agent` until there is something, and completes it: the ids. The gateway may refuse for a while.
    pub async fn work(&self) -> Vec<String> {
        let claim = json!({"worker": "w1", "max": 100, "wait_ms": 1_000, "lease_ms": 60_000});
        let held = eventually("tasks are handed out", async || {
            let answer = self.post("/agents/faq_agent/claim", &claim).await;
            let held = match answer.status {
                200 => answer.json()["tasks"].as_array().unwrap().clone(),
                _ => Vec::new(),
            };
            if held.is_empty() { Err(answer) } else { Ok(held) }
        })
        .await;
        for one in &held {
            self.complete(one).await.accepted(200);
        }
        held.iter().map(|one| id_of(&one["task"])).collect()
    }

    /// Waits until the gateway says that it is ready (200), or that it is not (503).
    pub async fn is_ready(&self, wanted: u16) {
        eventually(&format!("/health/ready says {wanted}"), async || {
            let answer = self.get("/health/ready").await;
            if answer.status == wanted { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// The answer, unless the gateway is gone.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.call(reqwest::Method::POST, path).json(body).try_send().await.ok()
    }
}
