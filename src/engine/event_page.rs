//! Reading the event log in pages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::event::Event;

use super::feed::{ENTRIES, START};
use super::{Cursor, Engine, Error, EventFilter, PAGE_BYTES};

/// How many events one page looks at before it is returned short.
const LOOKED_AT: usize = 20_000;

/// A page of the event log.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// The cursor after the page, from which reading can continue now or later.
    pub next: Cursor,
    /// Whether more events follow now.
    pub has_more: bool,
    /// Whether events after the given cursor were trimmed, so that the page begins later.
    pub has_gap: bool,
}

impl Engine {
    /// Returns a page as [`Engine::event_page`] does. If it would be empty, the call waits for an
    /// event, up to `wait` (at most 60 s) and no longer than the process runs.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::event_page`].
    pub async fn event_page_when_some(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
        limit: usize,
        wait: Duration,
    ) -> Result<EventPage, Error> {
        let page = self.event_page(filter, after, limit).await?;
        let is_answer = !page.events.is_empty() || page.has_more || page.has_gap;
        if is_answer || wait.is_zero() {
            return Ok(page);
        }
        let from = page.next.to_string();
        let mut feed = self.feed(filter.clone(), Some(&from)).await?;
        match timeout(wait, feed.next()).await {
            Ok(item) => {
                item?;
                self.event_page(filter, Some(&from), limit).await
            }
            // The cursor has moved on past events that the filter hides.
            Err(_) => Ok(EventPage { next: feed.cursor().clone(), ..page }),
        }
    }

    /// Returns up to `limit` (1 to 200) events after the cursor `after`, oldest first, at most
    /// [`PAGE_BYTES`] and one event. `None` starts at the beginning of the log.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `after` is neither a cursor, nor the id of an event, nor `start`, the
    /// beginning of the log.
    pub async fn event_page(
        &self,
        filter: &EventFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, Error> {
        let mut next = self.cursor(after.unwrap_or(START))?;
        let mut events = Vec::new();
        let mut has_gap = false;
        let mut ahead: Vec<VecDeque<Arc<Event>>> = vec![VecDeque::new(); next.0.len()];
        let mut is_read = vec![false; next.0.len()];
        let mut room = PAGE_BYTES;
        // The events read ahead of all partitions together are bounded too.
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
            let oldest = ahead.iter_mut().filter(|ahead| !ahead.is_empty()).min_by_key(|ahead| {
                ahead.front().map(|event| (event.id.at_ms, event.id.sequence, event.id.partition))
            });
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
}
