//! A Sentinel of one test: it watches a primary, and puts a replica in its place.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::processes::free_port;
use super::{Redis, eventually};

/// What the primary is called.
const NAME: &str = "heart";

/// A Sentinel that decides alone, and soon. Another form of the Redis server, so there is nothing else to install.
pub struct Sentinel {
    child: Child,
    port: u16,
    _home: TempDir,
}

impl Sentinel {
    /// Starts one that knows both on return.
    pub async fn start(primary: &Redis, replica: &Redis) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (port, watched) = (free_port(), primary.port().await);
        let config = home.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile log\nsentinel monitor {NAME} 127.0.0.1 {watched} 1\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n",
            home.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("redis-server");
        command
            .arg(&config)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let sentinel = Self { child: command.spawn().unwrap(), port, _home: home };
        let replica = replica.port().await;
        eventually("the Sentinel knows the replica", async || {
            let known = sentinel.ask::<Vec<HashMap<String, String>>>("REPLICAS").await;
            let is_there =
                known.as_ref().is_ok_and(|known| known.iter().any(|one| follows(one, &replica)));
            if is_there { Ok(()) } else { Err(known) }
        })
        .await;
        sentinel
    }

    /// The URL of a store behind it. No server listens at the first address, as if
    /// that Sentinel were away.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:1,127.0.0.1:{}#{NAME}", self.port)
    }

    /// Waits until it names the Redis at this port as the primary.
    pub async fn names(&self, port: &str) {
        eventually("the Sentinel names another primary", async || {
            let named = self.ask::<(String, String)>("GET-MASTER-ADDR-BY-NAME").await;
            if named.as_ref().is_ok_and(|(_, named)| named == port) { Ok(()) } else { Err(named) }
        })
        .await;
    }

    async fn ask<T: redis::FromRedisValue>(&self, about: &str) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("SENTINEL").arg(about).arg(NAME).query_async(&mut connection).await
    }
}

/// Whether this is the replica at that port, in good health.
fn follows(replica: &HashMap<String, String>, port: &str) -> bool {
    let expected = [("port", port), ("flags", "slave"), ("master-link-status", "ok")];
    expected.iter().all(|(name, value)| replica.get(*name).is_some_and(|found| found == value))
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
