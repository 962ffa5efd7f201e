//! What benchmarks need of Redis: how much it used, an empty keyspace, and naive scripts with keys
//! of their own, against which they compare the scripts of the product.

use std::str::FromStr;

use uuid::Uuid;

use super::nodes::Place;
use super::server::text;
use super::{Error, Store};

const SUBMIT: &str = include_str!("lua/yardstick/submit.lua");
const MOVE: &str = include_str!("lua/yardstick/move.lua");

/// The states of a naive task, in order.
const PATH: [&str; 4] = ["pending", "assigned", "in_progress", "completed"];

/// The resources that Redis used since its start, and the memory that it uses now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisUsage {
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
    /// Returns what Redis has used since its start, all nodes together. This call is one command of
    /// each itself.
    pub async fn spent(&self) -> Result<RedisUsage, Error> {
        let mut sum = RedisUsage::default();
        for node in self.nodes.all() {
            let mut cmd = redis::cmd("INFO");
            let info: String = self.query_whole("info", &node, cmd.arg("everything")).await?;
            let used = read(&info);
            sum.cpu_us += used.cpu_us;
            sum.commands += used.commands;
            sum.memory_bytes += used.memory_bytes;
            sum.version = used.version;
        }
        Ok(sum)
    }

    /// Returns whether the database is empty except for the layout.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let mut count: u64 = 0;
        for node in self.nodes.all() {
            count += self.query_whole::<u64>("dbsize", &node, &redis::cmd("DBSIZE")).await?;
        }
        Ok(count <= 1)
    }

    /// Deletes everything in the database, also the keys of other programs.
    pub async fn wipe(&self) -> Result<(), Error> {
        for node in self.nodes.all() {
            let mut cmd = redis::cmd("FLUSHDB");
            self.query_whole::<()>("flushdb", &node, cmd.arg("SYNC")).await?;
        }
        self.shared.watch.forget();
        self.check_layout().await.map(drop)
    }

    /// Deletes the event log of every partition.
    pub async fn forget_events(&self) -> Result<(), Error> {
        for partition in self.partitions() {
            let mut cmd = redis::cmd("DEL");
            self.query::<()>("unlink", partition, cmd.arg(self.keys().events(partition))).await?;
        }
        self.shared.watch.forget();
        Ok(())
    }

    /// Moves `count` tasks through a naive life: submit, route, claim and complete, with one call
    /// each.
    ///
    /// * `spec`: the submitted JSON, the same for each task.
    pub async fn naive_life(&self, count: usize, spec: &str) -> Result<(), Error> {
        let mut connection = self.nodes.at(Place::Layout).hot.clone();
        let now = self.now().await?;
        let submit = redis::Script::new(SUBMIT);
        let advance = redis::Script::new(MOVE);
        let mut call = submit.prepare_invoke();
        call.arg(now);
        for _ in 0..count {
            call.arg(Uuid::now_v7().to_string()).arg(spec);
        }
        let answer: redis::RedisResult<usize> = call.invoke_async(&mut connection).await;
        self.result("naive submit", answer)?;
        for states in PATH.windows(2) {
            let mut call = advance.prepare_invoke();
            call.arg(now).arg(states).arg(count);
            let answer: redis::RedisResult<Vec<String>> = call.invoke_async(&mut connection).await;
            self.result("naive move", answer)?;
        }
        Ok(())
    }
}

fn read(info: &str) -> RedisUsage {
    let user_s: f64 = number(info, "used_cpu_user");
    let system_s: f64 = number(info, "used_cpu_sys");
    RedisUsage {
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

        let expected = RedisUsage {
            cpu_us: 1_750_000,
            commands: 7,
            memory_bytes: 1024,
            version: "7.0.15".to_owned(),
        };
        assert_eq!(read(info), expected);
    }
}
