//! Reading the event log: pages of it, and its live end.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, OnceCell, broadcast};
use tokio::task::JoinSet;

use crate::domain::event::Event;
use crate::domain::ids::{EventId, Partition};

use super::events::event_id;
use super::{Error, Store, keys};

/// How many events a reader may be behind the live end before it is cut off. At some 600 bytes an event this
/// bounds what a process holds for all its readers together to about 5 MB.
const LIVE_EVENTS: usize = 8_192;

/// How many log entries the live end reads at once.
const ENTRIES: usize = 256;

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

/// The live end of the log, shared by all readers of a process. Cheap to clone.
#[derive(Clone)]
pub struct Tail {
    events: broadcast::Sender<Arc<Event>>,
    /// Ends with the last clone.
    _reader: Arc<JoinSet<()>>,
}

impl Tail {
    /// Every event from now on. Falling more than 8,192 behind is an error of the receiver.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }
}

/// A log entry: its id, and its fields and values, flat.
type Entry = (String, Vec<String>);

/// The tail of a store's process, made by the first reader.
#[derive(Default)]
pub(super) struct TailCell(OnceCell<Tail>);

impl Store {
    /// Up to `entries` log entries of a partition after the event `after`, as events in order.
    pub async fn read_log(&self, after: EventId, entries: usize) -> Result<Vec<Arc<Event>>, Error> {
        let mut cmd = redis::cmd("XRANGE");
        // The entry of `after` itself may hold later events.
        let from = format!("{}-{}", after.at_ms, after.sequence);
        cmd.arg(keys::events(after.partition)).arg(from).arg("+").arg("COUNT").arg(entries + 1);
        let mut connection = self.cold_connection("read the log").await?;
        let answer = cmd.query_async(&mut connection).await;
        let reply: Vec<Entry> = self.heard("read the log", answer)?;
        let mut events = Vec::new();
        for entry in &reply {
            let found = decode(entry, after.partition)?;
            events.extend(found.into_iter().filter(|event| event.id > after || after.at_ms == 0));
        }
        Ok(events)
    }

    /// What a partition's log holds.
    pub async fn log_bounds(&self, partition: Partition) -> Result<LogBounds, Error> {
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("STREAM").arg(keys::events(partition));
        let answer: redis::RedisResult<Value> = cmd.query_async(&mut self.hot.clone()).await;
        let empty = LogBounds { first: None, last: EventId::first(partition), was_trimmed: false };
        let info = match answer {
            // Nothing was ever written.
            Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => return Ok(empty),
            answer => self.heard("log bounds", answer)?,
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
                    let entry: Option<(String, Value)> = redis::from_redis_value(value).map_err(|_| unreadable())?;
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

    /// The live end of all partitions' logs, read once for all readers of this process.
    ///
    /// # Errors
    ///
    /// If this is the first use and Redis does not answer.
    pub async fn tail(&self) -> Result<Tail, Error> {
        let start = || async {
            let mut partitions: Vec<_> = self.partitions().collect();
            partitions.sort();
            // Known before anybody subscribes, and never guessed again: a `$` would skip what comes between.
            let mut positions = Vec::new();
            for partition in &partitions {
                let last = self.log_bounds(*partition).await?.last;
                positions.push(format!("{}-{}", last.at_ms, last.sequence));
            }
            let (events, _) = broadcast::channel(LIVE_EVENTS);
            let mut reader = JoinSet::new();
            let follower = Follower { partitions, events: events.clone(), bell: Arc::clone(&self.shared.log_bell) };
            reader.spawn(follower.follow(self.client.clone(), positions));
            Ok(Tail { events, _reader: Arc::new(reader) })
        };
        Ok(self.shared.tail.0.get_or_try_init(start).await?.clone())
    }

    /// Rings whenever the log has grown, once [`Store::tail`] was used.
    pub fn log_bell(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.log_bell)
    }
}

/// Whoever reads the live end.
struct Follower {
    partitions: Vec<Partition>,
    events: broadcast::Sender<Arc<Event>>,
    bell: Arc<Notify>,
}

impl Follower {
    /// Reads the live end for ever; reconnects from where it was, so that nothing between is missed.
    async fn follow(self, client: redis::Client, mut positions: Vec<String>) {
        let mut failures = 0u32;
        loop {
            if let Err(error) = self.follow_once(&client, &mut positions, &mut failures).await {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%error, "the event log is away; its readers wait");
                }
            }
            let pause = Duration::from_millis(50 << failures.min(5));
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn follow_once(
        &self,
        client: &redis::Client,
        positions: &mut [String],
        failures: &mut u32,
    ) -> redis::RedisResult<()> {
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(BLOCK + Duration::from_secs(2)))
            .set_connection_timeout(Some(Duration::from_secs(2)));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let keys: Vec<String> = self.partitions.iter().map(|partition| keys::events(*partition)).collect();
        loop {
            let mut cmd = redis::cmd("XREAD");
            cmd.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("COUNT").arg(ENTRIES).arg("STREAMS");
            cmd.arg(&keys).arg(&*positions);
            let reply: Option<Vec<(String, Vec<Entry>)>> = cmd.query_async(&mut connection).await?;
            if *failures > 0 {
                tracing::info!("the event log is back");
                *failures = 0;
            }
            for (key, entries) in reply.unwrap_or_default() {
                let Some(nth) = keys.iter().position(|known| *known == key) else { continue };
                for entry in &entries {
                    positions[nth].clone_from(&entry.0);
                    match decode(entry, self.partitions[nth]) {
                        // Nobody listens now: whoever comes reads the log.
                        Ok(found) => found.into_iter().for_each(|event| drop(self.events.send(event))),
                        Err(error) => tracing::error!(%error, "an entry of the event log is unreadable and skipped"),
                    }
                }
                self.bell.notify_one();
            }
        }
    }
}

/// The events of a log entry: its fields `e`, in order.
fn decode((entry, fields): &Entry, partition: Partition) -> Result<Vec<Arc<Event>>, Error> {
    let tails = fields.chunks_exact(2).filter(|field| field[0] == "e").map(|field| &field[1]);
    tails
        .zip(0u16..)
        .map(|(tail, index)| {
            let id =
                event_id(entry, index, partition).ok_or_else(|| Error::corrupt(format!("log entry id {entry:?}")))?;
            let event = Event::read(id, tail).map_err(|error| Error::corrupt(format!("event {id}: {error}")))?;
            Ok(Arc::new(event))
        })
        .collect()
}
