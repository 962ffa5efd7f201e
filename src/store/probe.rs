//! What benchmarks need of Redis: how much it used, and an empty keyspace.

use std::str::FromStr;

use super::server::text;
use super::{Error, Store};

/// The resources that Redis used since its start, and the memory that it uses now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The number of commands, with those of scripts.
    pub commands: u64,
    /// The memory that Redis uses now, in bytes.
    pub memory_bytes: u64,
    /// The version of the server. Empty if it is unknown.
    pub version: String,
}

impl Store {
    /// Returns what Redis has used since its start. This call is one command itself.
    pub async fn spent(&self) -> Result<Spent, Error> {
        let info: String = self.query("info", redis::cmd("INFO").arg("everything")).await?;
        Ok(read(&info))
    }

    /// Returns whether the database is empty except for the layout.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let count: u64 = self.query("dbsize", &mut redis::cmd("DBSIZE")).await?;
        Ok(count <= 1)
    }

    /// Deletes everything in the database, also the keys of other programs.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.query::<()>("flushdb", redis::cmd("FLUSHDB").arg("SYNC")).await?;
        self.shared.watch.forget();
        self.check_layout().await.map(drop)
    }

    /// Deletes the event log of every partition.
    pub async fn forget_events(&self) -> Result<(), Error> {
        for partition in self.partitions() {
            self.query::<()>("unlink", redis::cmd("DEL").arg(self.keys().events(partition)))
                .await?;
        }
        self.shared.watch.forget();
        Ok(())
    }
}

fn read(info: &str) -> Spent {
    let user_s: f64 = number(info, "used_cpu_user");
    let system_s: f64 = number(info, "used_cpu_sys");
    Spent {
        cpu_us: ((user_s + system_s) * 1e6) as u64,
        commands: number(info, "total_commands_processed"),
        memory_bytes: number(info, "used_memory"),
        version: text(info, "redis_version").unwrap_or_default().to_owned(),
    }
}

/// Returns a number of `INFO`, 0 if it is missing.
fn number<T: FromStr + Default>(info: &str, name: &str) -> T {
    text(info, name).and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_the_info_of_redis() {
        let info = "# Server\r\nredis_version:7.0.15\r\n\
            # CPU\r\nused_cpu_sys:1.500000\r\nused_cpu_user:0.250000\r\n\
            used_cpu_sys_children:9.0\r\n# Memory\r\nused_memory:1024\r\nused_memory_human:1K\r\n\
            total_commands_processed:7\r\n";

        let expected = Spent {
            cpu_us: 1_750_000,
            commands: 7,
            memory_bytes: 1024,
            version: "7.0.15".to_owned(),
        };
        assert_eq!(read(info), expected);
    }
}
