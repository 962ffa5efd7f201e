//! Checks the server: its version, its settings and the permissions of its user.

use std::collections::HashMap;

use crate::domain::ids::Partition;

use super::nodes::{Node, Place};
use super::{Error, Finding, ORCHESTRATOR, Problem, Repair, Store, answers, args, script};

/// The oldest version whose scripts have flags and can check permissions.
const OLDEST: (u32, u32) = (7, 0);

/// The eviction policy that Redis must have: a full Redis refuses writes and keeps its keys.
const POLICY: &str = "noeviction";

/// Every command that the store or its scripts use, with the fewest arguments from which Redis
/// knows the keys (`@`) and channels (`#`).
const COMMANDS: &[&str] = &[
    "DEL @",
    "EVAL x 1 @",
    "EVALSHA x 1 @",
    "EXEC",
    "EXISTS @",
    "EXPIRE @ 1",
    "GET @",
    "HDEL @ x",
    "HEXISTS @ x",
    "HGET @ x",
    "HGETALL @",
    "HINCRBY @ x 1",
    "HKEYS @",
    "HLEN @",
    "HMGET @ x",
    "HSCAN @ 0",
    "HSET @ x y",
    "HSETNX @ x y",
    "HSTRLEN @ x",
    "INFO",
    "MULTI",
    "PING",
    "PTTL @",
    "PUBLISH # x",
    "PUBSUB NUMPAT",
    "PUBSUB NUMSUB",
    "SADD @ x",
    "SCAN 0",
    "SCARD @",
    "SET @ x",
    "SISMEMBER @ x",
    "SMEMBERS @",
    "SRANDMEMBER @",
    "SREM @ x",
    "SSCAN @ 0",
    "SUBSCRIBE #",
    "TIME",
    "TYPE @",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WAIT 1 1",
    "XADD @ * x y",
    "XINFO STREAM @",
    "XLEN @",
    "XRANGE @ - +",
    "XREAD STREAMS @ 0",
    "XREVRANGE @ + -",
    "XTRIM @ MAXLEN 1",
    "ZADD @ 1 x",
    "ZCARD @",
    "ZCOUNT @ 0 1",
    "ZRANGE @ 0 1",
    "ZRANGEBYSCORE @ 0 1",
    "ZRANK @ x",
    "ZREM @ x",
    "ZREMRANGEBYRANK @ 0 1",
    "ZREMRANGEBYSCORE @ 0 1",
    "ZREVRANGE @ 0 1",
    "ZREVRANGEBYSCORE @ 1 0",
    "ZSCAN @ 0",
    "ZSCORE @ x",
];

/// The server's own description of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    version: String,
    /// The eviction policy, `maxmemory-policy`. Empty if it is unknown.
    policy: String,
    /// Whether it is a node of a Redis Cluster.
    is_in_cluster: bool,
}

impl Server {
    fn read(info: &str) -> Self {
        Self {
            version: text(info, "redis_version").unwrap_or_default().to_owned(),
            policy: text(info, "maxmemory_policy").unwrap_or_default().to_owned(),
            is_in_cluster: text(info, "redis_mode") == Some("cluster"),
        }
    }

    /// Returns why this version cannot use the server. `None` if it can.
    fn fault(&self) -> Option<String> {
        let mut numbers = self.version.split('.').map_while(|number| number.parse::<u32>().ok());
        let version = (numbers.next()?, numbers.next().unwrap_or_default());
        let (major, minor) = OLDEST;
        if version >= OLDEST {
            return None;
        }
        Some(format!("Redis {} is too old: use {major}.{minor} or later, or Valkey", self.version))
    }

    /// Returns a warning if Redis may evict keys. `None` if it may not, or if that is unknown.
    fn warning(&self) -> Option<String> {
        let is_known = !self.policy.is_empty() && self.policy != POLICY;
        is_known.then(|| {
            format!(
                "Redis evicts keys when it is full (maxmemory-policy {}), so tasks can get lost",
                self.policy
            )
        })
    }
}

/// Returns the value of a line of `INFO`. `None` if there is no such line.
pub(super) fn text<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

impl Store {
    /// Checks server, user and keyspace, before the first use of the store.
    pub(super) async fn begin(&self) -> Result<(), Error> {
        self.find_out().await.map_err(|error| self.at_start(error))
    }

    async fn find_out(&self) -> Result<(), Error> {
        for node in self.nodes.all() {
            let server = self.server(&node).await?;
            let partitions = self.shared.settings.partitions;
            let unfit = self.nodes.fault(server.is_in_cluster, partitions).map(in_cluster);
            if let Some(why) = unfit.or_else(|| server.fault()) {
                return Err(Error::Unusable { why });
            }
            if let Some(warning) = server.warning() {
                tracing::warn!("{warning}; set maxmemory-policy to {POLICY}");
            }
        }
        for partition in self.partitions() {
            self.try_out(partition).await?;
        }
        self.notice().await
    }

    async fn server(&self, node: &Node) -> Result<Server, Error> {
        let info: String = self.query_whole("info", node, &redis::cmd("INFO")).await?;
        Ok(Server::read(&info))
    }

    /// Checks that Redis accepts writes in this partition, and that the user has all permissions.
    /// Changes nothing.
    pub(super) async fn try_out(&self, partition: Partition) -> Result<(), Error> {
        let mut args = args();
        args.arg(COMMANDS);
        let answer: u8 = self.run(&script::PROBE, partition, ORCHESTRATOR, args).await?;
        debug_assert_eq!(answer, 1);
        Ok(())
    }

    /// Returns how many notifications Redis refused to publish for the scripts, in the whole life
    /// of the store.
    pub async fn refused_notifications(&self) -> Result<u64, Error> {
        let mut sum = 0;
        for partition in self.partitions() {
            let mut cmd = redis::cmd("HGETALL");
            cmd.arg(self.keys().refused(partition));
            let counts: HashMap<String, u64> = self.query("refused", partition, &cmd).await?;
            sum += counts.values().sum::<u64>();
        }
        Ok(sum)
    }

    /// Returns the warning about a server, if there is one, as a finding of the doctor.
    pub(super) async fn server_findings(
        &self,
        node: &Node,
        is_repair: bool,
    ) -> Result<Vec<Finding>, Error> {
        let Some(warning) = self.server(node).await?.warning() else { return Ok(Vec::new()) };
        let problem = Problem::RedisEvicts { warning };
        let repair = Repair::impossible_if(is_repair);
        Ok(vec![Finding { subject: "redis".to_owned(), problem, repair }])
    }

    /// Makes a missing permission fatal at the start, with an error that says how to grant it, and a
    /// cluster.
    fn at_start(&self, error: Error) -> Error {
        let Error::Unavailable { source, .. } = &error else { return error };
        match answers::of(source).word {
            "MOVED" | "ASK" => {
                return Error::Unusable { why: in_cluster("keeps these keys on another node") };
            }
            "NOPERM" => {}
            _ => return error,
        }
        let node = self.nodes.at(Place::Layout);
        let user =
            node.client.get_connection_info().redis_settings().username().unwrap_or("default");
        let prefix = &self.shared.settings.prefix;
        Error::Unusable {
            why: format!("{source}; to grant all of it: {}", grant(user, prefix.as_str())),
        }
    }
}

/// Returns why a node of a cluster, which does that, cannot be used.
fn in_cluster(what: &str) -> String {
    format!(
        "the server is a node of a Redis Cluster, which {what}; name its nodes in store.url as \
         redis-cluster://host:port,host:port, or use a single Redis or Redis Sentinel"
    )
}

/// Returns the command that gives a user all that the store needs.
fn grant(user: &str, prefix: &str) -> String {
    format!("ACL SETUSER {user} ~{prefix}:* &{prefix}:* +@all -@admin -@dangerous +info")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn server(version: &str, policy: &str) -> Server {
        Server::read(&format!("redis_version:{version}\r\nmaxmemory_policy:{policy}\r\n"))
    }

    #[test]
    fn an_old_redis_fails_and_an_evicting_one_warns() {
        for (version, is_too_old) in
            [("6.2.14", true), ("5.0", true), ("7.0.0", false), ("7.2.4", false), ("10.1", false)]
        {
            assert_eq!(server(version, POLICY).fault().is_some(), is_too_old, "{version}");
        }
        assert!(server("7.0.15", "allkeys-lru").warning().unwrap().contains("allkeys-lru"));
        assert_eq!(server("7.0.15", POLICY).warning(), None);
        assert_eq!(Server::read("").fault(), None, "nothing is known of it");
    }

    /// Returns the words that follow `before` in the sources of this layer, up to a quotation mark.
    fn named_after(extension: &str, before: &str, quote: char) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
        for directory in [root.to_owned(), format!("{root}/lua")] {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|found| found == extension) {
                    let text = std::fs::read_to_string(path).unwrap();
                    let product = text.split("#[cfg(test)]").next().unwrap();
                    let calls = product.split(before).skip(1);
                    found.extend(calls.map(|call| call.split(quote).next().unwrap().to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn every_used_command_is_checked_at_the_start() {
        let tried: BTreeSet<_> =
            COMMANDS.iter().map(|command| command.split(' ').next().unwrap().to_owned()).collect();
        let mut used = named_after("rs", "cmd(\"", '"');
        for before in [
            "redis.call('",
            "redis.pcall('",
            "write('",
            "write_all('",
            "tell('wakes', '",
            "tell('channels', '",
        ] {
            used.extend(named_after("lua", before, '\''));
        }
        // `finish()` uses these, depending on the type of a key.
        used.extend(["HLEN", "SCARD", "XLEN", "ZCARD"].map(str::to_owned));
        // Only Sentinels or benchmarks get these commands.
        // Without `FUNCTION` the store calls scripts.
        let others = ["SENTINEL", "FLUSHDB", "DBSIZE", "FUNCTION"];
        used.retain(|command| !others.contains(&command.as_str()));
        let missing: Vec<_> = used.difference(&tried).collect();
        assert!(missing.is_empty(), "used, but not checked: {missing:?}");
    }
}
