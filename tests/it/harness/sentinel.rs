//! A Sentinel of one test: it watches a primary, and puts a replica in its place.

use std::collections::HashMap;
use std::path::Path;
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
        let port = free_port();
        let sentinel = Self::told(port, &primary.port().await, &format!("port {port}\n"));
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

    /// Starts one that takes TLS only, from clients with a certificate of this authority, and knows a
    /// primary of that kind at this port.
    pub fn over_tls(primary: &str, certificate: &Path, key: &Path, authority: &Path) -> Self {
        let port = free_port();
        let tls = format!(
            "port 0\ntls-port {port}\ntls-replication yes\ntls-auth-clients yes\ntls-cert-file {}\n\
             tls-key-file {}\ntls-ca-cert-file {}\n",
            certificate.display(),
            key.display(),
            authority.display(),
        );
        Self::told(port, primary, &tls)
    }

    /// Starts one that watches the primary at this port of 127.0.0.1, with these lines besides.
    fn told(port: u16, primary: &str, lines: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("sentinel.conf");
        let text = format!(
            "{lines}bind 127.0.0.1\ndir {}\nlogfile log\nsentinel monitor {NAME} 127.0.0.1 {primary} 1\n\
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
        Self { child: command.spawn().unwrap(), port, _home: home }
    }

    /// The URL of a store behind it, over TLS.
    pub fn secure_url(&self) -> String {
        format!("rediss-sentinel://127.0.0.1:{}#{NAME}", self.port)
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
