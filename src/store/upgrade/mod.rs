//! Converts a store of an older key layout to the layout of this version.
//!
//! Between layouts 6 and 8 three things differ; everything else is read as it is:
//!
//! * the records of tasks; see [`record`]
//! * the score of parked tasks, which is their rank
//! * the index of tasks, which has groups; see [`index`]
//!
//! While the upgrade runs, the version of the layout is a mark, such as `6>8`, that no version
//! works on. Every step can be repeated, so an upgrade that was interrupted is run again.

mod index;
mod record;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline};

use crate::domain::ids::{MAX_PARTITIONS, Partition};
use crate::domain::lifecycle::State;

use super::codec::{fields, letters};
use super::keys::{self, Keys};
use super::{Error, Settings, connect};
use record::{Conversion, PARKED, convert};

/// The layouts that an upgrade converts.
const OLDER: [&str; 2] = ["6", "7"];

/// About how many records one step reads and writes.
const STEP: usize = 200;

/// The operation that errors name.
const UPGRADE: &str = "upgrade";

/// What an upgrade did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// The store is empty: nothing was to do.
    Empty,
    /// The store had the layout of this version already: nothing was to do.
    Current,
    /// The store was converted.
    Done {
        /// The version of the layout that it had.
        from: String,
        /// How many tasks can be read now, those of an earlier, interrupted run included.
        tasks: u64,
        /// The ids of the tasks whose records could not be read. They were left as they are.
        unreadable: Vec<String>,
    },
}

/// How a layout that is not the one of this version can be brought to it.
pub(super) enum Way {
    /// By an upgrade.
    Upgrade,
    /// By running an upgrade again, which was interrupted.
    Again,
}

/// Returns the version that an upgrade begins with, and the way, for the version that a store has.
/// `None` if no upgrade converts it.
pub(super) fn way_from(version: &str) -> Option<(&'static str, Way)> {
    OLDER.into_iter().find_map(|older| match version.strip_prefix(older)? {
        "" => Some((older, Way::Upgrade)),
        rest if rest == mark_after() => Some((older, Way::Again)),
        _ => None,
    })
}

/// Returns what follows the older version in the mark of an upgrade.
fn mark_after() -> String {
    format!(">{}", keys::LAYOUT_VERSION)
}

/// Converts the store to the layout of this version. No other process may use it meanwhile.
///
/// The number of partitions is that of the store, not that of the settings.
///
/// # Errors
///
/// * [`Error::Unusable`] if the store has a layout that no upgrade converts. Nothing was changed.
/// * [`Error::Unavailable`] or [`Error::Full`] if Redis does not answer or accepts no writes. A
///   part may be converted: run it again.
/// * [`Error::Corrupt`] if a key has another type than it must have.
pub async fn upgrade(settings: &Settings) -> Result<Upgrade, Error> {
    if connect::cluster(settings)?.is_some() {
        let why = "a Redis Cluster never had an older key layout; upgrade the single Redis before \
                   it becomes a cluster"
            .to_owned();
        return Err(Error::Unusable { why });
    }
    // The relay lives as long as the connection.
    let (client, _relay) = connect::open_client(settings)?;
    let connection =
        client.get_multiplexed_async_connection_with_config(&connect::patience(settings)).await;
    let connection = connection.map_err(|source| Error::redis("connect", source))?;
    let keys = Keys::new(&settings.prefix);
    Upgrading { connection, keys, tasks: 0, unreadable: Vec::new() }.run().await
}

/// An upgrade that runs.
struct Upgrading {
    connection: MultiplexedConnection,
    keys: Keys,
    tasks: u64,
    unreadable: Vec<String>,
}

impl Upgrading {
    async fn run(mut self) -> Result<Upgrade, Error> {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.layout()).arg("version").arg("partitions");
        let (version, partitions): (Option<String>, Option<u16>) = self.ask(&cmd).await?;
        let Some(version) = version else { return Ok(Upgrade::Empty) };
        if version == keys::LAYOUT_VERSION {
            return Ok(Upgrade::Current);
        }
        let (from, _) = way_from(&version).ok_or_else(|| unsuitable(&version))?;
        let partitions = partitions.filter(|count| (1..=MAX_PARTITIONS).contains(count));
        let partitions = partitions.ok_or_else(|| Error::Unusable {
            why: "the layout of the store names no number of partitions".to_owned(),
        })?;
        self.set_version(&format!("{from}{}", mark_after())).await?;
        for number in 0..partitions {
            let partition = Partition(number as u8);
            self.convert_records(partition).await?;
            self.group_index(partition).await?;
        }
        self.set_version(keys::LAYOUT_VERSION).await?;
        let Self { tasks, unreadable, .. } = self;
        Ok(Upgrade::Done { from: from.to_owned(), tasks, unreadable })
    }

    async fn set_version(&mut self, version: &str) -> Result<(), Error> {
        let mut cmd = redis::cmd("HSET");
        cmd.arg(self.keys.layout()).arg("version").arg(version);
        self.ask::<i64>(&cmd).await.map(drop)
    }

    async fn convert_records(&mut self, partition: Partition) -> Result<(), Error> {
        let key = self.keys.records(partition);
        let mut cursor = 0;
        loop {
            let mut cmd = redis::cmd("HSCAN");
            cmd.arg(&key).arg(cursor).arg("COUNT").arg(STEP);
            // A scan may return a task twice, which is only counted twice.
            let (next, records): (u64, Vec<(String, Vec<u8>)>) = self.ask(&cmd).await?;
            self.convert_step(partition, records).await?;
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Converts these records, ids and texts, all at once.
    async fn convert_step(
        &mut self,
        partition: Partition,
        records: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let mut write = redis::cmd("HSET");
        write.arg(self.keys.records(partition));
        let mut pipe = redis::pipe();
        pipe.atomic();
        let mut is_any = false;
        for (id, record) in records {
            let conversion = String::from_utf8(record).ok().as_deref().and_then(convert);
            match conversion {
                Some(Conversion::Done(record)) => {
                    self.keep_place(&mut pipe, partition, &id, &record);
                    write.arg(id).arg(record);
                    is_any = true;
                }
                Some(Conversion::Needless) => {}
                None => {
                    self.unreadable.push(id);
                    continue;
                }
            }
            self.tasks += 1;
        }
        if !is_any {
            return Ok(());
        }
        pipe.add_command(write).ignore();
        self.ask_all(&pipe).await
    }

    /// Adds the write that puts a parked task where its record says, if it is in a queue.
    fn keep_place(&self, pipe: &mut Pipeline, partition: Partition, id: &str, record: &str) {
        let Some(parts) = fields::Parts::read(record).filter(|parts| parts.times.rank == PARKED)
        else {
            return;
        };
        let state = parts.status.state.parse().ok().and_then(letters::state);
        if let Some(state @ (State::Pending | State::Assigned)) = state {
            let agent = parts.status.agent.parse().ok();
            let set = self.keys.state(partition, state, agent.as_ref());
            pipe.cmd("ZADD").arg(set).arg("XX").arg(PARKED).arg(id).ignore();
        }
    }

    /// Puts the tasks of each millisecond with many of them into groups.
    async fn group_index(&mut self, partition: Partition) -> Result<(), Error> {
        let key = self.keys.tasks(partition);
        let mut from = 0;
        loop {
            let page = self.indexed(&key, from, u64::MAX, index::MOST as i64 + 1).await?;
            let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
            if page.len() <= index::MOST {
                return Ok(());
            }
            let ms = index::ms_of(last.1);
            if index::ms_of(first.1) < ms {
                from = ms * index::PER_MS;
                continue;
            }
            from = (ms + 1) * index::PER_MS;
            let all = self.indexed(&key, ms * index::PER_MS, from - 1, -1).await?;
            let mut pipe = redis::pipe();
            pipe.atomic();
            let members: Vec<_> = all.iter().map(|(member, _)| member).collect();
            pipe.cmd("ZREM").arg(&key).arg(members).ignore();
            let add = pipe.cmd("ZADD").arg(&key);
            for (group, score) in index::grouped(&all) {
                add.arg(score).arg(group);
            }
            add.ignore();
            self.ask_all(&pipe).await?;
        }
    }

    /// Returns up to `count` members of the index (-1: all of them) with scores in these bounds,
    /// lowest first.
    async fn indexed(
        &mut self,
        key: &str,
        lowest: u64,
        highest: u64,
        count: i64,
    ) -> Result<Vec<(String, u64)>, Error> {
        let mut cmd = redis::cmd("ZRANGEBYSCORE");
        cmd.arg(key).arg(lowest).arg(highest).arg("WITHSCORES").arg("LIMIT").arg(0).arg(count);
        let members: Vec<(String, f64)> = self.ask(&cmd).await?;
        Ok(members.into_iter().map(|(member, score)| (member, score as u64)).collect())
    }

    async fn ask<T: FromRedisValue>(&mut self, cmd: &Cmd) -> Result<T, Error> {
        let answer = cmd.query_async(&mut self.connection).await;
        answer.map_err(|source| Error::redis(UPGRADE, source))
    }

    async fn ask_all(&mut self, pipe: &Pipeline) -> Result<(), Error> {
        let answer = pipe.query_async(&mut self.connection).await;
        answer.map_err(|source| Error::redis(UPGRADE, source))
    }
}

fn unsuitable(version: &str) -> Error {
    let [first, last] = OLDER;
    Error::Unusable {
        why: format!(
            "the store has key layout {version}; `orchestrator upgrade` converts only layouts \
             {first} and {last}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_older_layouts_and_their_marks_have_a_way() {
        assert!(matches!(way_from("6"), Some(("6", Way::Upgrade))));
        assert!(matches!(way_from("7"), Some(("7", Way::Upgrade))));
        assert!(matches!(way_from("7>8"), Some(("7", Way::Again))));
        for other in ["5", "8", "9", "66", "6>7", "6>", "8>8", ""] {
            assert!(way_from(other).is_none(), "{other}");
        }
    }
}
