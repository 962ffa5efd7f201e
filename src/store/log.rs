//! Reads the event log: pages of past events, and new events as they come.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::Notify;
use tokio::sync::{OnceCell, broadcast};
use tokio::task::JoinSet;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Partition};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;

use super::events::event_id;
use super::facts::{Entry, readable};
use super::keys::Keys;
use super::nodes::Nodes;
use super::{Error, Store};

/// How many events a reader may be behind before it is disconnected. With about 600 bytes per event
/// a process holds about 5 MB for all its readers together, and never more than 64 MB; see
/// [`LARGE_BYTES`].
const LIVE_EVENTS: usize = 8_192;

/// From this size on readers get only the id of a new event: payloads may have a megabyte, and one
/// slow reader would keep thousands of them in memory.
const LARGE_BYTES: usize = 8 * 1024;

/// How many log entries one read of new events takes. An entry has up to 64 KiB, or one event.
const ENTRIES: usize = 64;

/// How long one read of new events waits in Redis. A broken connection stays unnoticed for at most
/// this time plus the response timeout.
const BLOCK: Duration = Duration::from_secs(5);

/// The first and the last event of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The first event that still exists. `None` if the log is empty.
    pub first: Option<EventId>,
    /// The last event ever written, by its entry. [`EventId::first`] before any.
    pub last: EventId,
    /// Whether older events were deleted.
    pub was_trimmed: bool,
}

/// A part of the log of one partition.
#[derive(Clone, Debug)]
pub struct LogPart {
    /// The events in the order of the log.
    pub events: Vec<Arc<Event>>,
    /// Whether the entry before the part still exists, so that no event in between can be missing.
    pub is_seamless: bool,
}

/// What a reader of new events receives.
#[derive(Clone, Debug)]
pub enum Latest {
    /// A new event in full.
    Event(Arc<Event>),
    /// The id of a new event that is too large to keep for all readers. It can be read from the
    /// log.
    Large(EventId),
    /// The log went back and ends here: Redis restarted with older data.
    Back(EventId),
}

/// The new events, shared by all readers of a process.
pub(super) struct Tail {
    events: broadcast::Sender<Latest>,
    /// Ends with the store.
    _readers: JoinSet<()>,
}

/// The tail of this process, which the first reader creates.
#[derive(Default)]
pub(super) struct TailCell(OnceCell<Tail>);

impl Store {
    /// Returns the events of up to `entries` log entries of a partition after the event `after`.
    pub async fn read_log(&self, after: EventId, entries: usize) -> Result<LogPart, Error> {
        let first = format!("{}-{}", after.at_ms, after.sequence);
        let mut from = first.clone();
        let mut is_seamless = false;
        let mut events = Vec::new();
        loop {
            let mut cmd = redis::cmd("XRANGE");
            // The entry of `after` may hold later events.
            cmd.arg(self.keys().events(after.partition))
                .arg(&from)
                .arg("+")
                .arg("COUNT")
                .arg(entries + 1);
            let reply: Vec<Entry> = self.query_cold("read the log", after.partition, &cmd).await?;
            is_seamless |= reply.first().is_some_and(|(id, _)| *id == first);
            for entry in &reply {
                let found = readable(entry, after.partition);
                events
                    .extend(found.into_iter().filter(|event| event.id > after || after.at_ms == 0));
            }
            match reply.into_iter().nth(entries) {
                // None of these entries was readable, so no event would tell the reader where to
                // continue.
                Some((last, _)) if events.is_empty() => from = format!("({last}"),
                _ => return Ok(LogPart { events, is_seamless }),
            }
        }
    }

    /// Returns the first and the last event of a partition's log.
    pub async fn log_bounds(&self, partition: Partition) -> Result<LogBounds, Error> {
        let answer = self.answer(partition, &info_query(self.keys(), partition)).await;
        bounds_in(self.result("log bounds", info_in(answer))?, partition)
    }

    /// Returns the last event of a partition's log, over the pool.
    pub(super) async fn log_end(&self, partition: Partition) -> Result<EventId, Error> {
        let query = info_query(self.keys(), partition);
        let answer = self.answer_cold("log bounds", partition, &query).await?;
        Ok(bounds_in(self.result("log bounds", info_in(answer))?, partition)?.last)
    }

    /// Returns a receiver of every event from now on. The events are read once for all readers of
    /// this process. The receiver gets an error if it is more than 8,192 events behind.
    pub async fn subscribe(&self) -> Result<broadcast::Receiver<Latest>, Error> {
        let tail = self.tail.0.get_or_try_init(async || {
            let (events, _) = broadcast::channel(LIVE_EVENTS);
            let mut readers = JoinSet::new();
            for partitions in self.nodes.readable_together() {
                // Read the ends before the first subscription. A reader that then asks for the end
                // of the log must not get one beyond the first new event that it receives.
                let mut positions = Vec::new();
                for partition in &partitions {
                    let last = self.log_bounds(*partition).await?.last;
                    positions.push(format!("{}-{}", last.at_ms, last.sequence));
                }
                let follower = Follower {
                    nodes: self.nodes.clone(),
                    keys: self.keys().clone(),
                    partitions,
                    events: events.clone(),
                    wake: self.log_wake(),
                };
                readers.spawn(follower.follow(positions));
            }
            Ok::<_, Error>(Tail { events, _readers: readers })
        });
        Ok(tail.await?.events.subscribe())
    }

    /// Returns the wake-up that fires whenever the log has grown, from the first subscription on.
    pub fn log_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.log_wake)
    }
}

/// Returns the query about the log of a partition.
fn info_query(keys: &Keys, partition: Partition) -> Cmd {
    let mut cmd = redis::cmd("XINFO");
    cmd.arg("STREAM").arg(keys.events(partition));
    cmd
}

/// Returns what Redis answers to [`info_query`]. `None` if no event was ever written.
fn info_in(answer: RedisResult<Value>) -> RedisResult<Option<Value>> {
    match answer {
        Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Returns the bounds of a log from what [`info_in`] returned.
fn bounds_in(info: Option<Value>, partition: Partition) -> Result<LogBounds, Error> {
    let empty = LogBounds { first: None, last: EventId::first(partition), was_trimmed: false };
    let Some(info) = info else { return Ok(empty) };
    let bounds = bounds_of(info, empty);
    bounds.ok_or_else(|| Error::corrupt("the answer of XINFO STREAM"))
}

/// Reads the answer of `XINFO STREAM`. `None` if it is unreadable.
fn bounds_of(info: Value, empty: LogBounds) -> Option<LogBounds> {
    let partition = empty.last.partition;
    let mut bounds = empty;
    let mut added = 0u64;
    let mut length = 0u64;
    for (name, value) in info.into_map_iter().ok()? {
        let name: String = redis::from_redis_value(name).ok()?;
        match name.as_str() {
            "last-generated-id" => {
                let id: String = redis::from_redis_value(value).ok()?;
                bounds.last = event_id(&id, u16::MAX, partition)?;
            }
            "first-entry" => {
                let entry: Option<(String, Value)> = redis::from_redis_value(value).ok()?;
                bounds.first = entry.and_then(|(id, _)| event_id(&id, 0, partition));
            }
            "entries-added" => added = redis::from_redis_value(value).ok()?,
            "length" => length = redis::from_redis_value(value).ok()?,
            _ => {}
        }
    }
    bounds.was_trimmed = added > length;
    Some(bounds)
}

/// The reader of new events of some partitions, which one node serves.
struct Follower {
    nodes: Nodes,
    keys: Keys,
    partitions: Vec<Partition>,
    events: broadcast::Sender<Latest>,
    wake: Arc<Notify>,
}

impl Follower {
    /// Reads new events for ever. After a failure it continues after the last event, so that it
    /// misses none.
    async fn follow(self, mut positions: Vec<String>) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1_600));
        let Some(&first) = self.partitions.first() else { return };
        loop {
            let node = self.nodes.at(first);
            let mut moves = node.hot.moves();
            let followed = tokio::select! {
                followed = self.follow_once(&node.client, &mut positions, &mut backoff) => followed,
                // The connection may lead to a server that gets no writes any more.
                Ok(()) = moves.changed() => continue,
                () = self.nodes.left(&node, first) => continue,
            };
            self.nodes.doubt();
            if let Err(error) = followed
                && backoff.failures() == 0
            {
                tracing::warn!(error = %Chain(&error), "event log connection lost, retrying");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// Moves `position` back to the end of the log if that is before it. Otherwise readers would
    /// get nothing until the log has caught up.
    async fn go_back(
        &self,
        connection: &mut MultiplexedConnection,
        nth: usize,
        position: &mut String,
    ) -> Result<(), Error> {
        let partition = self.partitions[nth];
        let answer = info_query(&self.keys, partition).query_async(connection).await;
        let info = info_in(answer).map_err(|source| Error::redis("log bounds", source))?;
        let last = bounds_in(info, partition)?.last;
        let is_back = event_id(position, 0, partition).is_some_and(|position| {
            (last.at_ms, last.sequence) < (position.at_ms, position.sequence)
        });
        if is_back {
            tracing::error!(%partition, "event log lost its newest events; readers get a gap");
            *position = format!("{}-{}", last.at_ms, last.sequence);
            // An error means that there are no receivers.
            drop(self.events.send(Latest::Back(last)));
        }
        Ok(())
    }

    async fn follow_once(
        &self,
        client: &redis::Client,
        positions: &mut [String],
        backoff: &mut Backoff,
    ) -> Result<(), Error> {
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(BLOCK + Duration::from_secs(2)))
            .set_connection_timeout(Some(Duration::from_secs(2)));
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(|source| Error::redis("follow the log", source))?;
        for (nth, position) in positions.iter_mut().enumerate() {
            self.go_back(&mut connection, nth, position).await?;
        }
        let keys: Vec<String> =
            self.partitions.iter().map(|partition| self.keys.events(*partition)).collect();
        loop {
            let mut cmd = redis::cmd("XREAD");
            cmd.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("COUNT").arg(ENTRIES).arg("STREAMS");
            cmd.arg(&keys).arg(&*positions);
            let answer = cmd.query_async(&mut connection).await;
            let reply: Option<Vec<(String, Vec<Entry>)>> =
                answer.map_err(|source| Error::redis("follow the log", source))?;
            if backoff.failures() > 0 {
                tracing::info!("event log connection restored");
                backoff.reset();
            }
            for (key, entries) in reply.unwrap_or_default() {
                let Some(nth) = keys.iter().position(|known| *known == key) else { continue };
                self.wake.notify_one();
                for entry in &entries {
                    positions[nth].clone_from(&entry.0);
                    for event in readable(entry, self.partitions[nth]) {
                        // An error means that there are no receivers. A later one reads the log.
                        drop(self.events.send(latest(event)));
                    }
                    // Let the readers run, so that a burst does not make them fall behind.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn latest(event: Arc<Event>) -> Latest {
    if event.json.len() < LARGE_BYTES { Latest::Event(event) } else { Latest::Large(event.id) }
}
