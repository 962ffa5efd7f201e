//! What the bench asks of Redis itself: what it has spent, and an empty keyspace.

use super::server::text;
use super::{Error, Store};

/// What Redis has spent since its start, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU, in microseconds.
    pub cpu_us: u64,
    /// Commands, those within scripts too.
    pub commands: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// The server's version.
    pub version: String,
}

impl Store {
    /// What Redis has spent so far. Asking is itself one command.
    pub async fn spent(&self) -> Result<Spent, Error> {
        let info: String = self.query("info", redis::cmd("INFO").arg("everything")).await?;
        Ok(read(&info))
    }

    /// Whether nothing is kept but the layout.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let count: u64 = self.query("dbsize", &mut redis::cmd("DBSIZE")).await?;
        Ok(count <= 1)
    }

    /// Forgets everything, also what is not ours.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.query::<()>("flushdb", redis::cmd("FLUSHDB").arg("SYNC")).await?;
        self.shared.watch.forget();
        self.check_layout().await.map(drop)
    }

    /// Forgets the event log of every partition.
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
    let text = |name: &str| text(info, name);
    let number = |name: &str| text(name).and_then(|value| value.parse().ok()).unwrap_or_default();
    let seconds =
        |name: &str| text(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or_default();
    Spent {
        cpu_us: ((seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6) as u64,
        commands: number("total_commands_processed"),
        memory_bytes: number("used_memory"),
        version: text("redis_version").unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_of_itself_is_read() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# CPU\r\nused_cpu_sys:1.500000\r\nused_cpu_user:0.250000\r\n\
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
