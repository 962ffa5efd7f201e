//! Reading the event log as an endless feed that can be resumed.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::domain::event::{Event, TypePattern};
use crate::domain::ids::{EventId, Partition, TaskId};
use crate::domain::name::Name;
use crate::store::{Latest, Store};

use super::{Engine, Error};

/// The cursor before the first event of every log.
pub(super) const START: &str = "start";

/// How many log entries one read of the past takes. An entry has up to 64 KiB, or one event.
pub(super) const ENTRIES: usize = 20;

/// How many live events a reader of the past lets accumulate before it reads them from the log too.
const FAR_BEHIND: usize = 4_096;

/// Which events a reader receives: those that match every part that is given.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// The types of events. Empty if every type matches.
    pub types: Vec<TypePattern>,
    /// Only events about this task. `None` if every event matches.
    pub task_id: Option<TaskId>,
    /// Only events of this tenant. `None` if every event matches.
    pub tenant: Option<Name>,
    /// Only events from this source. `None` if every source matches.
    pub source_agent: Option<String>,
}

impl EventFilter {
    pub(super) fn wants(&self, event: &Event) -> bool {
        (self.types.is_empty()
            || self.types.iter().any(|pattern| pattern.matches(&event.event_type)))
            && self.task_id.is_none_or(|id| event.task_id == Some(id))
            && (self.tenant.is_none() || self.tenant == event.tenant)
            && self.source_agent.as_ref().is_none_or(|source| event.source_agent == *source)
    }
}

/// The cursor of a reader: the last event read of each partition. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) Vec<EventId>);

impl Cursor {
    /// Reads `<ms>-<sequence>-<index>` of each partition in hexadecimal, joined by dots.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut ids = Vec::new();
        for (nth, part) in text.split('.').enumerate() {
            let numbers: Vec<&str> = part.split('-').collect();
            let [at_ms, sequence, index] = numbers.as_slice() else { return None };
            let id = EventId {
                at_ms: u64::from_str_radix(at_ms, 16).ok()?,
                sequence: u32::from_str_radix(sequence, 16).ok()?,
                index: u16::from_str_radix(index, 16).ok()?,
                partition: Partition(nth.try_into().ok()?),
            };
            // An id cannot hold a time of more than 48 bits.
            if id.at_ms >= 1 << 48 {
                return None;
            }
            ids.push(id);
        }
        Some(Self(ids))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids =
            self.0.iter().map(|id| format!("{:x}-{:x}-{:x}", id.at_ms, id.sequence, id.index));
        formatter.write_str(&ids.collect::<Vec<_>>().join("."))
    }
}

/// An item of a feed.
#[derive(Clone, Debug)]
pub enum FeedItem {
    /// An event, and the cursor after it.
    Event(Arc<Event>, Cursor),
    /// Events between the reader's last cursor and this one were trimmed from the log.
    Gap(Cursor),
    /// The reader was too slow and is disconnected. It can resume from its last cursor.
    TooSlow,
    /// The process stops. The reader can resume on another one.
    Stopping,
}

/// The events from a cursor on: first the past from the log, then live ones, without a gap between.
pub struct Feed {
    engine: Engine,
    filter: EventFilter,
    cursor: Cursor,
    live: Live,
    backlog: VecDeque<Arc<Event>>,
    /// Whether events before the backlog were trimmed and the reader does not know it yet.
    gap: bool,
}

/// The live end of the log for one reader.
struct Live {
    events: broadcast::Receiver<Latest>,
    /// The end of the past in each partition: up to it, events are read from the log.
    from: Vec<EventId>,
}

impl Live {
    async fn join(store: &Store) -> Result<Self, Error> {
        // Subscribe first: events that come while the past is read must not be missed.
        let events = store.subscribe().await?;
        let mut from = Vec::new();
        for partition in ordered(store) {
            from.push(store.log_bounds(partition).await?.last);
        }
        Ok(Self { events, from })
    }
}

impl Engine {
    /// Returns a feed of the events after the cursor `after` that match `filter`. `None` starts
    /// with the next event.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `after` is neither a cursor, nor the id of an event, nor `start`, the
    /// beginning of the log.
    pub async fn feed(&self, filter: EventFilter, after: Option<&str>) -> Result<Feed, Error> {
        let given = after.map(|text| self.cursor(text)).transpose()?;
        let live = Live::join(&self.store).await?;
        let mut cursor = given.unwrap_or_else(|| Cursor(live.from.clone()));
        // A cursor after the end of the log belongs to a log that was lost.
        let own = after.and_then(event_id).map(|id| id.partition);
        let mut gap = false;
        for (id, end) in cursor.0.iter_mut().zip(&live.from) {
            // For the other partitions, an event's id gives only the time.
            let is_known = own.is_none_or(|own| own == end.partition);
            gap |= step_back(id, *end) && is_known;
        }
        Ok(Feed { engine: self.clone(), filter, cursor, live, backlog: VecDeque::new(), gap })
    }

    /// Returns a feed after the last id that a client received. If another server gave it, the feed
    /// begins with a gap and continues with the next event.
    pub async fn feed_from_last_id(
        &self,
        filter: EventFilter,
        last_id: &str,
    ) -> Result<Feed, Error> {
        match self.cursor(last_id) {
            Err(Error::Invalid(_)) => {
                let feed = self.feed(filter, None).await?;
                Ok(Feed { gap: true, ..feed })
            }
            _ => self.feed(filter, Some(last_id)).await,
        }
    }

    /// Reads a cursor, or makes one from [`START`] or from the id of an event. With several
    /// partitions, the others then start at the time of that event, so that none is missed and some
    /// may come twice.
    pub(super) fn cursor(&self, text: &str) -> Result<Cursor, Error> {
        let partitions = ordered(&self.store);
        if text == START {
            return Ok(Cursor(partitions.into_iter().map(EventId::first).collect()));
        }
        if let Some(id) = event_id(text).filter(|id| self.store.has(id.partition)) {
            let start = partitions.into_iter().map(|partition| {
                if partition == id.partition { id } else { last_before(id.at_ms, partition) }
            });
            return Ok(Cursor(start.collect()));
        }
        let cursor = Cursor::read(text).filter(|cursor| cursor.0.len() == partitions.len());
        cursor.ok_or_else(|| {
            Error::invalid("after", "is neither a cursor, nor the id of an event, nor `start`")
        })
    }

    /// Reads some of the events after `from`. Also returns whether others between were trimmed.
    pub(super) async fn read_on(
        &self,
        from: EventId,
        entries: usize,
    ) -> Result<(Vec<Arc<Event>>, bool), Error> {
        let part = self.store.read_log(from, entries).await?;
        // If the log does not have the event that a cursor names, the cursor is from another log.
        let names_event = from.at_ms > 0 && from.sequence < u32::MAX;
        let has_gap = !part.is_seamless
            && (names_event && !part.events.is_empty() || self.was_trimmed_after(from).await?);
        Ok((part.events, has_gap))
    }

    /// Returns whether events after `id` were trimmed from the log of its partition. In doubt it
    /// returns true: a needless gap costs one look, a missed one an event.
    pub async fn was_trimmed_after(&self, id: EventId) -> Result<bool, Error> {
        let bounds = self.store.log_bounds(id.partition).await?;
        let is_behind = match bounds.first {
            Some(first) => (id.at_ms, id.sequence) < (first.at_ms, first.sequence),
            None => id < bounds.last,
        };
        Ok(bounds.was_trimmed
            && is_behind
            && (id.at_ms, id.sequence) != (bounds.last.at_ms, bounds.last.sequence))
    }
}

impl Feed {
    /// Returns the cursor after the last item.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Waits for the next item and returns it. The call can be cancelled at any time without losing
    /// an item. No item follows [`FeedItem::TooSlow`] and [`FeedItem::Stopping`].
    ///
    /// # Errors
    ///
    /// Returns an error if the log cannot be read. The reader can resume from its last cursor.
    pub async fn next(&mut self) -> Result<FeedItem, Error> {
        let stop = self.engine.stop.clone();
        loop {
            // Checked here too: a long past without a match must not delay the stop.
            if stop.is_cancelled() {
                return Ok(FeedItem::Stopping);
            }
            if std::mem::take(&mut self.gap) {
                return Ok(FeedItem::Gap(self.cursor.clone()));
            }
            while let Some(event) = self.backlog.pop_front() {
                self.cursor.0[usize::from(event.id.partition.0)] = event.id;
                if self.filter.wants(&event) {
                    return Ok(FeedItem::Event(event, self.cursor.clone()));
                }
            }
            if self.catch_up().await? {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(FeedItem::Stopping),
                latest = self.live.events.recv() => match latest {
                    Ok(Latest::Event(event)) => {
                        let is_new = event.id > self.cursor.0[usize::from(event.id.partition.0)];
                        self.backlog.extend(is_new.then_some(event));
                    }
                    Ok(Latest::Large(id)) => {
                        let from = &mut self.live.from[usize::from(id.partition.0)];
                        *from = id.max(*from);
                    }
                    Ok(Latest::Back(end)) => {
                        let nth = usize::from(end.partition.0);
                        self.gap |= step_back(&mut self.cursor.0[nth], end);
                        self.live.from[nth] = self.live.from[nth].min(end);
                    }
                    Err(RecvError::Lagged(_)) => return Ok(FeedItem::TooSlow),
                    Err(RecvError::Closed) => return Ok(FeedItem::Stopping),
                },
            }
        }
    }

    /// Reads more of the past, if any is left. Returns whether there was some.
    async fn catch_up(&mut self) -> Result<bool, Error> {
        let mut ends = self.cursor.0.iter().zip(&self.live.from);
        let Some(nth) = ends.position(|(cursor, from)| cursor < from) else {
            return Ok(false);
        };
        if self.live.events.len() >= FAR_BEHIND {
            // The reader is not slow, but its past is long: the live end moves further on.
            self.live = Live::join(&self.engine.store).await?;
        }
        let (found, is_trimmed) = self.engine.read_on(self.cursor.0[nth], ENTRIES).await?;
        if found.is_empty() {
            // The rest was trimmed, or the last entry holds no further events.
            self.cursor.0[nth] = self.live.from[nth];
        }
        self.gap = is_trimmed;
        self.backlog.extend(found);
        Ok(true)
    }
}

/// The event id that the text is. `None` for any other text.
fn event_id(text: &str) -> Option<EventId> {
    text.parse().ok().and_then(|uuid: uuid::Uuid| EventId::try_from(uuid).ok())
}

/// Clamps the cursor to the end of the log. Returns whether it was ahead.
fn step_back(cursor: &mut EventId, end: EventId) -> bool {
    let before = std::mem::replace(cursor, end.min(*cursor));
    before > end
}

/// The last id that an event before `at_ms` can have in `partition`.
fn last_before(at_ms: u64, partition: Partition) -> EventId {
    EventId { at_ms: at_ms.saturating_sub(1), sequence: u32::MAX, index: u16::MAX, partition }
}

/// Returns the partitions in ascending order, the order of the ids in a cursor.
pub(super) fn ordered(store: &Store) -> Vec<Partition> {
    let mut partitions: Vec<_> = store.partitions().collect();
    partitions.sort();
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_cursor_is_read_back_and_an_invalid_one_is_not() {
        let cursor = Cursor(vec![
            EventId { at_ms: 1_764_000_000_123, sequence: 7, index: 99, partition: Partition(0) },
            EventId::first(Partition(1)),
        ]);

        assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        for bad in [
            "",
            "x",
            "1-2",
            "1-2-3-4",
            "1-2-3.",
            "ffffffffffffff-0-0",
            "0-ffffffffff-0",
            "0-0-fffff",
        ] {
            assert_eq!(Cursor::read(bad), None, "{bad}");
        }
    }
}
