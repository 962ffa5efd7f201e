//! Reading the event log: pages of it, and its live end.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use tokio::sync::Notify;
use tokio::sync::{OnceCell, broadcast, watch};
use tokio::task::JoinSet;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Partition};
use crate::runtime::backoff::Backoff;
use crate::runtime::chain::Chain;

use super::events::event_id;
use super::keys::Keys;
use super::{Error, Store};

/// How many events a reader may be behind the live end before it is cut off. At some 600 bytes an event a process
/// holds about 5 MB for all its readers together; never more than 64 MB, see [`LARGE_BYTES`].
const LIVE_EVENTS: usize = 8_192;

/// From this size on the live end only says that an event is there: payloads have a megabyte, and thousands of
/// them would be held for one slow reader.
const LARGE_BYTES: usize = 8 * 1024;

/// How many log entries the live end reads at once; an entry has up to 64 KiB, or one event.
const ENTRIES: usize = 64;

/// How long one look for new entries waits in Redis. A broken connection goes unnoticed no longer than this and
/// the response timeout.
const BLOCK: Duration = Duration::from_secs(5);

/// What a partition's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The first event that is still there; none: the log is empty.
    pub first: Option<EventId>,
    /// The last event ever written, by its entry; [`EventId::first`] before any.
    pub last: EventId,
    /// Whether anything was ever trimmed.
    pub was_trimmed: bool,
}

/// A part of a partition's log.
#[derive(Clone, Debug)]
pub struct LogPart {
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
    /// Whether the entry that it goes on from was still there, so that nothing between can be missing.
    pub is_seamless: bool,
}

/// What the live end says.
#[derive(Clone, Debug)]
pub enum Latest {
    /// An event.
    Event(Arc<Event>),
    /// An event that is too large to be held for everybody; it can be read from the log.
    Large(EventId),
    /// The log went back and ends here: Redis came back with older data.
    Back(EventId),
}

/// The live end of the log, shared by all readers of a process.
pub(super) struct Tail {
    events: broadcast::Sender<Latest>,
    /// Ends with the store.
    _reader: JoinSet<()>,
}

/// A log entry: its id, and its fields and values, flat.
type Entry = (String, Vec<String>);

/// The tail of a store's process, made by the first reader.
#[derive(Default)]
pub(super) struct TailCell(OnceCell<Tail>);

impl Store {
    /// Up to `entries` log entries of a partition after the event `after`.
    pub async fn read_log(&self, after: EventId, entries: usize) -> Result<LogPart, Error> {
        let first = format!("{}-{}", after.at_ms, after.sequence);
        let mut connection = self.cold_connection("read the log").await?;
        let (mut from, mut is_seamless, mut events) = (first.clone(), false, Vec::new());
        loop {
            let mut cmd = redis::cmd("XRANGE");
            // The entry of `after` itself may hold later events.
            cmd.arg(self.keys().events(after.partition))
                .arg(&from)
                .arg("+")
                .arg("COUNT")
                .arg(entries + 1);
            let answer = cmd.query_async(&mut connection).await;
            let reply: Vec<Entry> = self.heard("read the log", answer)?;
            is_seamless |= reply.first().is_some_and(|(id, _)| *id == first);
            for entry in &reply {
                let found = readable(entry, after.partition);
                events
                    .extend(found.into_iter().filter(|event| event.id > after || after.at_ms == 0));
            }
            match reply.into_iter().nth(entries) {
                // None of so many was readable: no event would say how far we are.
                Some((last, _)) if events.is_empty() => from = format!("({last}"),
                _ => return Ok(LogPart { events, is_seamless }),
            }
        }
    }

    /// What a partition's log holds.
    pub async fn log_bounds(&self, partition: Partition) -> Result<LogBounds, Error> {
        read_bounds(&mut self.hot.clone(), self.keys(), partition).await
    }

    /// Where a partition's log ends, over the pool.
    pub(super) async fn log_end(&self, partition: Partition) -> Result<EventId, Error> {
        let mut connection = self.cold_connection("log bounds").await?;
        Ok(read_bounds(&mut connection, self.keys(), partition).await?.last)
    }

    /// Every event from now on, read once for all readers of this process. Falling more than 8,192 behind is an
    /// error of the receiver.
    pub async fn subscribe(&self) -> Result<broadcast::Receiver<Latest>, Error> {
        let tail = self.shared.tail.0.get_or_try_init(async || {
            let mut partitions: Vec<_> = self.partitions().collect();
            partitions.sort();
            // Known before anybody subscribes: a reader that then asks how far the log goes must not be told of more
            // than what the live end begins with.
            let mut positions = Vec::new();
            for partition in &partitions {
                let last = self.log_bounds(*partition).await?.last;
                positions.push(format!("{}-{}", last.at_ms, last.sequence));
            }
            let (events, _) = broadcast::channel(LIVE_EVENTS);
            let mut reader = JoinSet::new();
            let follower = Follower {
                keys: self.keys().clone(),
                partitions,
                events: events.clone(),
                bell: self.log_bell(),
            };
            reader.spawn(follower.follow(self.client.clone(), positions, self.hot.moves()));
            Ok::<_, Error>(Tail { events, _reader: reader })
        });
        Ok(tail.await?.events.subscribe())
    }

    /// Rings whenever the log has grown, once somebody has subscribed.
    pub fn log_bell(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.log_bell)
    }
}

/// What a partition's log holds, asked over this connection.
async fn read_bounds(
    connection: &mut impl ConnectionLike,
    keys: &Keys,
    partition: Partition,
) -> Result<LogBounds, Error> {
    let mut cmd = redis::cmd("XINFO");
    cmd.arg("STREAM").arg(keys.events(partition));
    let answer: redis::RedisResult<Value> = cmd.query_async(connection).await;
    let empty = LogBounds { first: None, last: EventId::first(partition), was_trimmed: false };
    let info = match answer {
        // Nothing was ever written.
        Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => {
            return Ok(empty);
        }
        answer => answer.map_err(|source| Error::redis("log bounds", source))?,
    };
    let unreadable = || Error::corrupt("the answer of XINFO STREAM");
    let fields = info.into_map_iter().map_err(|_| unreadable())?;
    let (mut bounds, mut added, mut length) = (empty, 0u64, 0u64);
    for (name, value) in fields {
        let name: String = redis::from_redis_value(name).map_err(|_| unreadable())?;
        match name.as_str() {
            "last-generated-id" => {
                let id: String = redis::from_redis_value(value).map_err(|_| unreadable())?;
                bounds.last = event_id(&id, u16::MAX, partition).ok_or_else(unreadable)?;
            }
            "first-entry" => {
                let entry: Option<(String, Value)> =
                    redis::from_redis_value(value).map_err(|_| unreadable())?;
                bounds.first = entry.and_then(|(id, _)| event_id(&id, 0, partition));
            }
            "entries-added" => added = redis::from_redis_value(value).map_err(|_| unreadable())?,
            "length" => length = redis::from_redis_value(value).map_err(|_| unreadable())?,
            _ => {}
        }
    }
    bounds.was_trimmed = added > length;
    Ok(bounds)
}

/// Whoever reads the live end.
struct Follower {
    keys: Keys,
    partitions: Vec<Partition>,
    events: broadcast::Sender<Latest>,
    bell: Arc<Notify>,
}

impl Follower {
    /// Reads the live end for ever; reconnects from where it was, so that nothing between is missed.
    async fn follow(
        self,
        client: redis::Client,
        mut positions: Vec<String>,
        mut moves: watch::Receiver<u64>,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(1_600));
        loop {
            let followed = tokio::select! {
                followed = self.follow_once(&client, &mut positions, &mut backoff) => followed,
                // The connection may lead to a server that nothing is written to any more.
                Ok(()) = moves.changed() => continue,
            };
            if let Err(error) = followed
                && backoff.failures() == 0
            {
                tracing::warn!(error = %Chain(&error), "the event log is away; its readers wait");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// A log that ends before where we are is followed from its end, or nothing would be heard until it has caught up.
    async fn go_back(
        &self,
        connection: &mut MultiplexedConnection,
        nth: usize,
        position: &mut String,
    ) -> Result<(), Error> {
        let partition = self.partitions[nth];
        let last = read_bounds(connection, &self.keys, partition).await?.last;
        let is_back = event_id(position, 0, partition).is_some_and(|position| {
            (last.at_ms, last.sequence) < (position.at_ms, position.sequence)
        });
        if is_back {
            tracing::error!(%partition, "the event log has gone back; its readers are told of a gap");
            *position = format!("{}-{}", last.at_ms, last.sequence);
            // An error says that nobody listens now.
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
        let failed = |source| Error::redis("follow the log", source);
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(BLOCK + Duration::from_secs(2)))
            .set_connection_timeout(Some(Duration::from_secs(2)));
        let mut connection =
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
        for (nth, position) in positions.iter_mut().enumerate() {
            self.go_back(&mut connection, nth, position).await?;
        }
        let keys: Vec<String> =
            self.partitions.iter().map(|partition| self.keys.events(*partition)).collect();
        loop {
            let mut cmd = redis::cmd("XREAD");
            cmd.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("COUNT").arg(ENTRIES).arg("STREAMS");
            cmd.arg(&keys).arg(&*positions);
            let reply: Option<Vec<(String, Vec<Entry>)>> =
                cmd.query_async(&mut connection).await.map_err(failed)?;
            if backoff.failures() > 0 {
                tracing::info!("the event log is back");
                backoff.reset();
            }
            for (key, entries) in reply.unwrap_or_default() {
                let Some(nth) = keys.iter().position(|known| *known == key) else { continue };
                self.bell.notify_one();
                for entry in &entries {
                    positions[nth].clone_from(&entry.0);
                    for event in readable(entry, self.partitions[nth]) {
                        // An error says that nobody listens now: whoever comes reads the log.
                        drop(self.events.send(latest(event)));
                    }
                    // A burst must not make readers slow that are not: each gets its turn.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn latest(event: Arc<Event>) -> Latest {
    if event.json.len() < LARGE_BYTES { Latest::Event(event) } else { Latest::Large(event.id) }
}

/// The events of a log entry: its fields `e`, in order. One that cannot be read is skipped, so that it stops no reader.
fn readable((entry, fields): &Entry, partition: Partition) -> Vec<Arc<Event>> {
    let tails = fields.chunks_exact(2).filter(|field| field[0] == "e").map(|field| &field[1]);
    let read = |(tail, index): (&String, u16)| {
        let id = event_id(entry, index, partition)
            .ok_or_else(|| Error::corrupt(format!("log entry id {entry:?}")))?;
        let event = Event::read(id, tail);
        event.map(Arc::new).map_err(|error| Error::corrupt(format!("event {id}: {error}")))
    };
    let told = |error: &Error| {
        tracing::error!(%error, "an event of the log is unreadable and skipped");
    };
    tails.zip(0u16..).filter_map(|event| read(event).inspect_err(told).ok()).collect()
}
