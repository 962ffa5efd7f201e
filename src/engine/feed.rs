//! Reading the event log: a page, or a feed that goes on for ever and can be resumed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::domain::event::{Event, TypePattern};
use crate::domain::ids::{EventId, Partition, TaskId};
use crate::store::{Latest, Store};

use super::{Engine, Error, Fault, PAGE_BYTES};

/// How many log entries a reader that catches up takes at once; an entry has up to 64 KiB, or one event.
const ENTRIES: usize = 20;

/// How many events one page looks at before it comes back short.
const LOOKED_AT: usize = 20_000;

/// How many live events a reader of the past lets gather before it reads them from the log too.
const FAR_BEHIND: usize = 4_096;

/// Which events a reader wants; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of one of these types; empty: any.
    pub types: Vec<TypePattern>,
    /// About this task.
    pub task_id: Option<TaskId>,
    /// From this source.
    pub source_agent: Option<String>,
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        (self.types.is_empty()
            || self.types.iter().any(|pattern| pattern.matches(&event.event_type)))
            && self.task_id.is_none_or(|id| event.task_id == Some(id))
            && self.source_agent.as_ref().is_none_or(|source| event.source_agent == *source)
    }
}

/// Where a reader stands: after one event of each partition. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(Vec<EventId>);

impl Position {
    /// `<ms>-<sequence>-<index>` of each partition in hexadecimal, joined by dots.
    fn read(text: &str) -> Option<Self> {
        let part = |(nth, part): (usize, &str)| {
            let mut numbers = part.split('-');
            let mut next =
                || numbers.next().and_then(|number| u64::from_str_radix(number, 16).ok());
            let (at_ms, sequence, index) = (next()?, next()?, next()?);
            let id = EventId {
                at_ms,
                sequence: sequence.try_into().ok()?,
                index: index.try_into().ok()?,
                partition: Partition(nth.try_into().ok()?),
            };
            // Beyond 48 bits lies no time that an id can name.
            (numbers.next().is_none() && at_ms < 1 << 48).then_some(id)
        };
        text.split('.').enumerate().map(part).collect::<Option<_>>().map(Self)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, id) in self.0.iter().enumerate() {
            if nth > 0 {
                formatter.write_char('.')?;
            }
            write!(formatter, "{:x}-{:x}-{:x}", id.at_ms, id.sequence, id.index)?;
        }
        Ok(())
    }
}

/// What a feed has to say.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An event, and where the reader stands after it.
    Event(Arc<Event>, Position),
    /// Events between the reader's position and this one were trimmed from the log.
    Gap(Position),
    /// The reader was too slow and is cut off; it can resume from its last position.
    TooSlow,
    /// The process stops; the reader can resume elsewhere.
    Stopping,
}

/// The log from some position on, then live, without a seam.
pub struct Feed {
    engine: Engine,
    filter: EventFilter,
    position: Position,
    live: Live,
    backlog: VecDeque<Arc<Event>>,
    /// Whether events before the backlog were trimmed, and nobody was told yet.
    gap: bool,
}

/// The live end of the log as one reader sees it.
struct Live {
    events: broadcast::Receiver<Latest>,
    /// Up to where the log must be read, for each partition; a reader that is there is done with the past.
    from: Vec<EventId>,
}

impl Live {
    async fn join(store: &Store) -> Result<Self, Error> {
        // The live end first: what comes while the past is read must not be missed.
        let events = store.subscribe().await?;
        let mut from = Vec::new();
        for partition in ordered(store) {
            from.push(store.log_bounds(partition).await?.last);
        }
        Ok(Self { events, from })
    }
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Where to go on; more may come there later.
    pub next: Position,
    /// Whether the log goes on there now.
    pub has_more: bool,
    /// Whether events after the given position were trimmed.
    pub has_gap: bool,
}

impl Engine {
    /// The events after `after` (none: from now on) that `filter` wants.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `after` is neither a position nor the id of an event.
    pub async fn feed(&self, filter: EventFilter, after: Option<&str>) -> Result<Feed, Error> {
        let given = after.map(|text| self.position(text)).transpose()?;
        let live = Live::join(&self.store).await?;
        let mut position = given.unwrap_or_else(|| Position(live.from.clone()));
        // A position ahead of the log is of a log that is lost.
        let (mut gap, own) = (false, after.and_then(event_id).map(|id| id.partition));
        for (id, end) in position.0.iter_mut().zip(&live.from) {
            // Of the other partitions an event's id says only when it was.
            let is_known = own.is_none_or(|own| own == end.partition);
            gap |= step_back(id, *end) && is_known;
        }
        Ok(Feed { engine: self.clone(), filter, position, live, backlog: VecDeque::new(), gap })
    }

    /// The same after the last id that a stream gave, which may have been another server's: then the events from now
    /// on, after a gap.
    pub async fn feed_from_last_id(
        &self,
        filter: EventFilter,
        last_id: &str,
    ) -> Result<Feed, Error> {
        match self.position(last_id) {
            Err(Error::Invalid(_)) => {
                let feed = self.feed(filter, None).await?;
                Ok(Feed { gap: true, ..feed })
            }
            _ => self.feed(filter, Some(last_id)).await,
        }
    }

    /// Up to `limit` (1 to 200) events after `after` (none: from the start of the log), oldest first; at most
    /// [`PAGE_BYTES`] and one event.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `after` is neither a position nor the id of an event.
    pub async fn event_page(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, Error> {
        let mut next = match after {
            Some(text) => self.position(text)?,
            None => Position(ordered(&self.store).into_iter().map(EventId::first).collect()),
        };
        let (mut events, mut has_gap) = (Vec::new(), false);
        let mut ahead: Vec<VecDeque<Arc<Event>>> = vec![VecDeque::new(); next.0.len()];
        let mut is_read = vec![false; next.0.len()];
        let mut room = PAGE_BYTES;
        // What is read ahead of all partitions together is bounded too.
        let at_once = (ENTRIES / next.0.len()).max(1);
        for looked_at in 0.. {
            for nth in 0..next.0.len() {
                if ahead[nth].is_empty() && !is_read[nth] {
                    let (found, is_trimmed) = self.read_on(next.0[nth], at_once).await?;
                    is_read[nth] = found.is_empty();
                    has_gap |= is_trimmed;
                    ahead[nth].extend(found);
                }
            }
            let place =
                |event: &Arc<Event>| (event.id.at_ms, event.id.sequence, event.id.partition);
            let oldest = ahead
                .iter_mut()
                .filter(|ahead| !ahead.is_empty())
                .min_by_key(|ahead| ahead.front().map(place));
            let Some(oldest) = oldest else { break };
            if events.len() == limit || looked_at == LOOKED_AT || room == 0 {
                return Ok(EventPage { events, next, has_more: true, has_gap });
            }
            if let Some(event) = oldest.pop_front() {
                next.0[usize::from(event.id.partition.0)] = event.id;
                if filter.wants(&event) {
                    room = room.saturating_sub(event.json.len());
                    events.push(event);
                }
            }
        }
        Ok(EventPage { events, next, has_more: false, has_gap })
    }

    /// Reads a position, or takes the id of an event for one: with several partitions the others then start where
    /// that event's time was, so that nothing is missed and some may come twice.
    fn position(&self, text: &str) -> Result<Position, Error> {
        let partitions = ordered(&self.store);
        let invalid = || {
            Error::Invalid(vec![Fault::new(
                "after",
                "is neither a position of a feed nor an event's id",
            )])
        };
        if let Some(id) = event_id(text).filter(|id| self.store.has(id.partition)) {
            // The last that can have come before that event's time.
            let before = |partition| EventId {
                at_ms: id.at_ms.saturating_sub(1),
                sequence: u32::MAX,
                index: u16::MAX,
                partition,
            };
            let start = |partition| if partition == id.partition { id } else { before(partition) };
            return Ok(Position(partitions.into_iter().map(start).collect()));
        }
        Position::read(text)
            .filter(|position| position.0.len() == partitions.len())
            .ok_or_else(invalid)
    }

    /// Some of the events after `from`, and whether others between were trimmed.
    async fn read_on(
        &self,
        from: EventId,
        entries: usize,
    ) -> Result<(Vec<Arc<Event>>, bool), Error> {
        let part = self.store.read_log(from, entries).await?;
        // If the log lacks an event that a place names, the place is another log's.
        let names_event = from.at_ms > 0 && from.sequence < u32::MAX;
        let has_gap = !part.is_seamless
            && (names_event && !part.events.is_empty() || self.was_trimmed_after(from).await?);
        Ok((part.events, has_gap))
    }

    /// Whether events after `id` were trimmed from its partition's log. When in doubt yes: an unneeded gap costs a
    /// look, a missed one an event.
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
    /// Where the reader stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The next thing there is to say; waits for it, and can be given up at any time without losing anything.
    /// Nothing follows [`Heard::TooSlow`] and [`Heard::Stopping`].
    ///
    /// # Errors
    ///
    /// If the log cannot be read; the reader can resume from its last position.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        let stop = self.engine.stop.clone();
        loop {
            // Here too: a long past with nothing in it for this reader must not hold up the stop.
            if stop.is_cancelled() {
                return Ok(Heard::Stopping);
            }
            if std::mem::take(&mut self.gap) {
                return Ok(Heard::Gap(self.position.clone()));
            }
            while let Some(event) = self.backlog.pop_front() {
                self.position.0[usize::from(event.id.partition.0)] = event.id;
                if self.filter.wants(&event) {
                    return Ok(Heard::Event(event, self.position.clone()));
                }
            }
            if self.catch_up().await? {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(Heard::Stopping),
                latest = self.live.events.recv() => match latest {
                    Ok(Latest::Event(event)) => {
                        let is_new = event.id > self.position.0[usize::from(event.id.partition.0)];
                        self.backlog.extend(is_new.then_some(event));
                    }
                    Ok(Latest::Large(id)) => {
                        let from = &mut self.live.from[usize::from(id.partition.0)];
                        *from = id.max(*from);
                    }
                    Ok(Latest::Back(end)) => {
                        let nth = usize::from(end.partition.0);
                        self.gap |= step_back(&mut self.position.0[nth], end);
                        self.live.from[nth] = self.live.from[nth].min(end);
                    }
                    Err(RecvError::Lagged(_)) => return Ok(Heard::TooSlow),
                    Err(RecvError::Closed) => return Ok(Heard::Stopping),
                },
            }
        }
    }

    /// Reads on in the past, if any of it is left; whether it was.
    async fn catch_up(&mut self) -> Result<bool, Error> {
        let is_behind = |(nth, from): (usize, &EventId)| self.position.0[nth] < *from;
        let Some(nth) = self.live.from.iter().enumerate().position(is_behind) else {
            return Ok(false);
        };
        if self.live.events.len() >= FAR_BEHIND {
            // The reader is not slow, its past is long: the live end waits for it further on.
            self.live = Live::join(&self.engine.store).await?;
        }
        let (found, is_trimmed) = self.engine.read_on(self.position.0[nth], ENTRIES).await?;
        if found.is_empty() {
            // The rest was trimmed, or the last entry has no more events.
            self.position.0[nth] = self.live.from[nth];
        }
        self.gap = is_trimmed;
        self.backlog.extend(found);
        Ok(true)
    }
}

/// The event that a text names.
fn event_id(text: &str) -> Option<EventId> {
    text.parse().ok().and_then(|uuid: uuid::Uuid| EventId::try_from(uuid).ok())
}

/// Puts a position that is ahead of the log's end back to it; whether it was.
fn step_back(position: &mut EventId, end: EventId) -> bool {
    let is_ahead = *position > end;
    if is_ahead {
        *position = end;
    }
    is_ahead
}

/// The partitions in their order, which positions rely on.
fn ordered(store: &Store) -> Vec<Partition> {
    let mut partitions: Vec<_> = store.partitions().collect();
    partitions.sort();
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_a_made_up_one_does_not() {
        let position = Position(vec![
            EventId { at_ms: 1_764_000_000_123, sequence: 7, index: 99, partition: Partition(0) },
            EventId::first(Partition(1)),
        ]);

        assert_eq!(Position::read(&position.to_string()), Some(position));
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
            assert_eq!(Position::read(bad), None, "{bad}");
        }
    }
}
