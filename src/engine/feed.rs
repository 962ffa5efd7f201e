//! Reading the event log: a page, or a feed that goes on for ever and can be resumed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::domain::event::{Event, TypePattern};
use crate::domain::ids::{EventId, Partition, TaskId};
use crate::store::Store;

use super::{Engine, Error, Fault};

/// How many log entries a reader that catches up takes at once; an entry holds up to a hundred events.
const ENTRIES: usize = 20;

/// How many events one page looks at before it comes back short.
const LOOKED_AT: usize = 20_000;

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
        (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(&event.event_type)))
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
            let mut next = || numbers.next().and_then(|number| u64::from_str_radix(number, 16).ok());
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
    /// Where the live end took over, for each partition; reached ones are done with the past.
    live_from: Vec<EventId>,
    live: broadcast::Receiver<Arc<Event>>,
    backlog: VecDeque<Arc<Event>>,
    gap: bool,
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Where to go on; more may come there later.
    pub next: Position,
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
        // The live end first: what comes while the past is read must not be missed.
        let live = self.store.tail().await?.subscribe();
        let mut live_from = Vec::new();
        for partition in ordered(&self.store) {
            live_from.push(self.store.log_bounds(partition).await?.last);
        }
        let position = match after {
            Some(text) => self.position(text)?,
            None => Position(live_from.clone()),
        };
        let gap = self.has_gap(&position).await?;
        Ok(Feed { engine: self.clone(), filter, position, live_from, live, backlog: VecDeque::new(), gap })
    }

    /// Up to `limit` (1 to 200) events after `after` (none: from the start of the log), oldest first.
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
        let has_gap = self.has_gap(&next).await?;
        let mut events = Vec::new();
        let mut looked_at = 0;
        for nth in 0..next.0.len() {
            loop {
                let found = self.store.read_log(next.0[nth], ENTRIES).await?;
                looked_at += found.len();
                let is_end = found.is_empty();
                for event in found {
                    if events.len() == limit {
                        return Ok(EventPage { events, next, has_gap });
                    }
                    next.0[nth] = event.id;
                    if filter.wants(&event) {
                        events.push(event);
                    }
                }
                if looked_at >= LOOKED_AT {
                    return Ok(EventPage { events, next, has_gap });
                }
                if is_end {
                    break;
                }
            }
        }
        Ok(EventPage { events, next, has_gap })
    }

    /// Reads a position, or takes the id of an event for one: with several partitions the others then start where
    /// that event's time was, so that nothing is missed and some may come twice.
    fn position(&self, text: &str) -> Result<Position, Error> {
        let partitions = ordered(&self.store);
        let invalid = || Error::Invalid(vec![Fault::new("after", "is neither a position of a feed nor an event's id")]);
        if let Some(id) = text.parse().ok().and_then(|uuid: uuid::Uuid| EventId::try_from(uuid).ok()) {
            let start = |partition| {
                if partition == id.partition { id } else { EventId { sequence: 0, index: 0, partition, ..id } }
            };
            return Ok(Position(partitions.into_iter().map(start).collect()));
        }
        Position::read(text).filter(|position| position.0.len() == partitions.len()).ok_or_else(invalid)
    }

    /// Whether events after `position` were trimmed. When in doubt yes: an unneeded gap costs a look, a missed one
    /// an event.
    async fn has_gap(&self, position: &Position) -> Result<bool, Error> {
        for id in &position.0 {
            if self.was_trimmed_after(*id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether events after `id` were trimmed from its partition's log.
    pub async fn was_trimmed_after(&self, id: EventId) -> Result<bool, Error> {
        let bounds = self.store.log_bounds(id.partition).await?;
        let is_behind = match bounds.first {
            Some(first) => (id.at_ms, id.sequence) < (first.at_ms, first.sequence),
            None => id < bounds.last,
        };
        Ok(bounds.was_trimmed && is_behind && (id.at_ms, id.sequence) != (bounds.last.at_ms, bounds.last.sequence))
    }
}

impl Feed {
    /// Where the reader stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The next thing there is to say; waits for it. Nothing follows [`Heard::TooSlow`] and [`Heard::Stopping`].
    ///
    /// # Errors
    ///
    /// If the log cannot be read; the reader can resume from its last position.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        if std::mem::take(&mut self.gap) {
            return Ok(Heard::Gap(self.position.clone()));
        }
        loop {
            while let Some(event) = self.backlog.pop_front() {
                self.position.0[usize::from(event.id.partition.0)] = event.id;
                if self.filter.wants(&event) {
                    return Ok(Heard::Event(event, self.position.clone()));
                }
            }
            if self.catch_up().await? {
                continue;
            }
            let stop = self.engine.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(Heard::Stopping),
                heard = self.live.recv() => match heard {
                    Ok(event) => {
                        let is_new = event.id > self.position.0[usize::from(event.id.partition.0)];
                        self.backlog.extend(is_new.then_some(event));
                    }
                    Err(RecvError::Lagged(_)) => return Ok(Heard::TooSlow),
                    Err(RecvError::Closed) => return Ok(Heard::Stopping),
                },
            }
        }
    }

    /// Reads on in the past, if any of it is left; whether it was.
    async fn catch_up(&mut self) -> Result<bool, Error> {
        for (nth, live_from) in self.live_from.iter().enumerate() {
            let from = self.position.0[nth];
            if from >= *live_from {
                continue;
            }
            let found = self.engine.store.read_log(from, ENTRIES).await?;
            if found.is_empty() {
                // The rest was trimmed, or the last entry has no more events.
                self.position.0[nth] = *live_from;
            }
            self.backlog.extend(found);
            return Ok(true);
        }
        Ok(false)
    }
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
        for bad in ["", "x", "1-2", "1-2-3-4", "1-2-3.", "ffffffffffffff-0-0", "0-ffffffffff-0", "0-0-fffff"] {
            assert_eq!(Position::read(bad), None, "{bad}");
        }
    }
}
