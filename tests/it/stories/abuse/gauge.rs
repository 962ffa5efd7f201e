//! What is measured beside an attack: memory, and whether health answers a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::scene::Scene;
use crate::harness::{BOUND, late, resident_kb, used_memory};

const PACE: Duration = Duration::from_millis(100);

/// The most that was seen.
#[derive(Default)]
pub struct Seen {
    /// Of the gateway, or of the bridge, which takes calls too.
    pub gateway_kb: u64,
    pub redis_bytes: u64,
    /// The longest that health took to answer.
    pub health: Duration,
    pub wrong: Vec<String>,
}

/// Measures until it is finished.
pub struct Gauge {
    is_over: Arc<AtomicBool>,
    measuring: JoinSet<Seen>,
}

impl Gauge {
    pub fn start(scene: &Scene) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut measuring = JoinSet::new();
        let redis = scene.redis.url().to_owned();
        measuring.spawn(measure(scene.callable(), scene.address, redis, Arc::clone(&is_over)));
        Self { is_over, measuring }
    }

    pub async fn finish(mut self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.measuring.join_next().await.unwrap().unwrap()
    }
}

async fn measure(
    callable: [u32; 2],
    address: std::net::SocketAddr,
    redis: String,
    is_over: Arc<AtomicBool>,
) -> Seen {
    let mut seen = Seen::default();
    while !is_over.load(Ordering::Relaxed) {
        for pid in callable {
            seen.gateway_kb = seen.gateway_kb.max(resident_kb(&pid.to_string()));
        }
        seen.redis_bytes = seen.redis_bytes.max(used_memory(&redis).await);
        let began = Instant::now();
        match timeout(BOUND, health(address)).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => {}
            other => seen.wrong.push(format!("health: {other:?}")),
        }
        seen.health = seen.health.max(began.elapsed());
        late(PACE).await;
    }
    seen
}

/// What `/health/live` answers to a connection that is new.
async fn health(address: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
