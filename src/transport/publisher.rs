//! Publishes the events of the log as messages.
//!
//! With JetStream an event is published until the stream has it, and the stream has each event
//! once: the message id is the event's, so the server drops a repetition; and after a fault the end
//! of the stream is read, because the server remembers ids only for a while. Two events of one task
//! are never in flight together, so a repetition does not change their order. Without JetStream an
//! event is published once, and a disconnected subscriber misses it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::{self, message::PublishMessage, stream, stream::RawMessageErrorKind};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::domain::event::Event;
use crate::domain::ids::EventId;

use super::{Error, Settings};

/// How long NATS may take for one wave of events: longer than a hiccup, shorter than the bridge's
/// lease.
const LIMIT: Duration = Duration::from_secs(2);

/// When no further wave begins. The caller's lease must outlive this, one [`LIMIT`] for reading the
/// stream's end and one for the last wave; otherwise a slow NATS would pass the lease around and no
/// bridge would record what was published.
const BUDGET: Duration = Duration::from_secs(1);

/// How often the connection is checked during a wave: most waves are complete before the first
/// check.
const GLANCE: Duration = Duration::from_millis(20);

/// How long the server remembers message ids. The end of the stream is read too, so this need not
/// cover an outage.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How many events are in flight at once: enough to fill the time of a round trip.
const IN_FLIGHT: usize = 256;

/// How far back the end of the stream is read at most: what the bridges of all partitions may have
/// published in the seconds until a dead one's lease has ended.
const LOOKED_BACK: u64 = 32_768;

/// How many messages are read at once from the end of the stream.
const READ_AT_ONCE: usize = 128;

/// The room for headers, which count in the size of a message, in bytes.
const HEADERS: usize = 2_048;

/// The stream, and the context to publish to it.
type JetStream = (jetstream::Context, stream::Stream);

/// Publishes events to NATS. Each bridge has its own.
pub struct Publisher {
    client: Client,
    settings: Settings,
    /// What the `source` of events begins with; see [`Event::cloud_source`].
    fleet: String,
    /// `None` if the stream was not looked up yet, or if the server has no JetStream.
    stream: Mutex<Option<JetStream>>,
    has_logged_plain: Once,
    /// How many events were sent without their payload since the count was last taken.
    truncated: AtomicU64,
}

impl Publisher {
    /// A publisher over `client`, which has not looked up the stream yet.
    ///
    /// * `fleet`: what the `source` of events begins with; see [`Event::cloud_source`].
    pub fn new(client: Client, settings: Settings, fleet: &str) -> Self {
        Self {
            client,
            settings,
            fleet: fleet.to_owned(),
            stream: Mutex::default(),
            has_logged_plain: Once::new(),
            truncated: AtomicU64::new(0),
        }
    }

    /// Returns how many events were sent without their payload since the last call.
    pub fn take_truncated(&self) -> u64 {
        self.truncated.swap(0, Ordering::Relaxed)
    }

    /// Publishes `events`, all of one partition, in order. Returns how many of them, from the
    /// first, NATS has for certain, and the fault if there was one. Fewer than all without a fault
    /// means that the time was over.
    ///
    /// * `unsure_after`: the stream may already have some of the events; those of this partition up
    ///   to this one all come before them.
    pub async fn publish(
        &self,
        events: &[Arc<Event>],
        unsure_after: Option<EventId>,
    ) -> (usize, Result<(), Error>) {
        let mut done = 0;
        let result = self.publish_counted(events, unsure_after, &mut done).await;
        (done, result)
    }

    /// Publishes `events`, and counts in `done` those that NATS has for certain.
    async fn publish_counted(
        &self,
        events: &[Arc<Event>],
        unsure_after: Option<EventId>,
        done: &mut usize,
    ) -> Result<(), Error> {
        let is_known = !self.client.server_info().server_id.is_empty();
        if self.client.connection_state() != State::Connected || !is_known {
            // The client would keep the messages and send them much later, after the repeated ones.
            return Err(Error::Disconnected);
        }
        match self.stream(unsure_after.is_some()).await? {
            Some(stream) => self.publish_to_stream(&stream, events, unsure_after, done).await,
            None => {
                self.publish_plain(events).await?;
                *done = events.len();
                Ok(())
            }
        }
    }

    /// Returns the stream, created or checked; `None` if the server has no JetStream, or if it is
    /// not wanted.
    ///
    /// * `afresh`: the stream may have changed or gone since it was last checked.
    async fn stream(&self, afresh: bool) -> Result<Option<JetStream>, Error> {
        if !self.settings.jetstream || !self.client.server_info().jetstream {
            let why = "events go to NATS without JetStream: a subscriber that is away misses them";
            self.has_logged_plain.call_once(|| tracing::info!("{why}"));
            return Ok(None);
        }
        let mut known = self.stream.lock().await;
        if afresh || known.is_none() {
            *known = Some(self.open().await?);
        }
        Ok(known.clone())
    }

    async fn open(&self) -> Result<JetStream, Error> {
        let context = jetstream::ContextBuilder::new()
            .timeout(LIMIT)
            .ack_timeout(LIMIT)
            .build(self.client.clone());
        let name = self.settings.stream_name();
        let subjects = format!("{}>", self.settings.events());
        let config = stream::Config {
            name: name.clone(),
            description: Some("events of the MorningAI Orchestrator".to_owned()),
            subjects: vec![subjects.clone()],
            max_age: Duration::from_millis(self.settings.stream_max_age_ms),
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        let stream =
            context.get_or_create_stream(config).await.map_err(|error| self.stream_error(error))?;
        if !stream.cached_info().config.subjects.contains(&subjects) {
            return Err(Error::WrongStream { stream: name, subjects });
        }
        Ok((context, stream))
    }

    fn stream_error(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Stream { stream: self.settings.stream_name(), source: Box::new(error) }
    }

    async fn publish_to_stream(
        &self,
        (context, stream): &JetStream,
        events: &[Arc<Event>],
        unsure_after: Option<EventId>,
        done: &mut usize,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let known = match unsure_after {
            Some(after) => self.published_after(stream, after).await?,
            None => HashSet::new(),
        };
        let most = usize::try_from(stream.cached_info().config.max_message_size)
            .ok()
            .filter(|most| *most > 0);
        // The caller counts on everything before a published event, so no event before one may be
        // left.
        let last_known = events.iter().rposition(|event| known.contains(&event.id));
        let least = last_known.map_or(1, |last| last + 1);
        // At least one wave, or reading the stream's end slowly would be all that ever happens.
        while *done < events.len() && (*done < least || began.elapsed() < BUDGET) {
            let next = &events[*done..];
            let next = &next[..wave(next)];
            let new = next.iter().filter(|event| !known.contains(&event.id));
            tokio::select! {
                published = timeout(LIMIT, self.publish_wave(context, new, most)) => {
                    published.map_err(publish_error)??;
                }
                // Messages in flight are not acknowledged any more.
                () = self.disconnected() => return Err(Error::Disconnected),
            }
            *done += next.len();
        }
        Ok(())
    }

    /// Returns once the connection was lost since the call, even if it is back.
    async fn disconnected(&self) {
        let statistics = self.client.statistics();
        let connects = statistics.connects.load(Ordering::Relaxed);
        while self.client.connection_state() == State::Connected
            && statistics.connects.load(Ordering::Relaxed) == connects
        {
            sleep(GLANCE).await;
        }
    }

    async fn publish_wave(
        &self,
        context: &jetstream::Context,
        events: impl Iterator<Item = &Arc<Event>>,
        most: Option<usize>,
    ) -> Result<(), Error> {
        let mut acks = Vec::with_capacity(IN_FLIGHT);
        for event in events {
            let message = PublishMessage::build()
                .payload(self.body(event, most))
                .headers(self.headers(event));
            let sent = context
                .send_publish(self.subject(event), message.message_id(event.id.to_string()))
                .await;
            acks.push(sent.map_err(publish_error)?);
        }
        for ack in acks {
            ack.await.map_err(publish_error)?;
        }
        Ok(())
    }

    /// The events of the partition of `after` that the end of the stream holds after that event.
    /// Reads backwards until an event that is not after it: the events of a partition come in
    /// waves, and no wave begins before the previous one is complete.
    async fn published_after(
        &self,
        stream: &stream::Stream,
        after: EventId,
    ) -> Result<HashSet<EventId>, Error> {
        let state = &stream.cached_info().state;
        let first =
            state.first_sequence.max((state.last_sequence + 1).saturating_sub(LOOKED_BACK)).max(1);
        let mut end = state.last_sequence + 1;
        let mut known = HashSet::new();
        while end > first {
            let begin = first.max(end.saturating_sub(READ_AT_ONCE as u64));
            let read = (begin..end).map(|sequence| self.published_at(stream, sequence));
            let ids = try_join_all(read).await?.into_iter().flatten();
            let ids: Vec<_> = ids.filter(|id| id.partition == after.partition).collect();
            known.extend(&ids);
            if ids.iter().any(|id| *id <= after) {
                break;
            }
            end = begin;
        }
        Ok(known)
    }

    /// The event of a message of the stream; `None` if it was just trimmed, or is not an event of
    /// ours.
    async fn published_at(
        &self,
        stream: &stream::Stream,
        sequence: u64,
    ) -> Result<Option<EventId>, Error> {
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
            // A gap in the known events would become a repetition.
            Err(error) => return Err(self.stream_error(error)),
        };
        let id = message.headers.get(NATS_MESSAGE_ID).and_then(|id| id.as_str().parse().ok());
        Ok(id.and_then(|id: uuid::Uuid| EventId::try_from(id).ok()))
    }

    /// Publishes without a stream: an event is done once the server has it.
    async fn publish_plain(&self, events: &[Arc<Event>]) -> Result<(), Error> {
        let all = async {
            for event in events {
                let mut headers = self.headers(event);
                headers.insert(NATS_MESSAGE_ID, event.id.to_string());
                let body = self.body(event, None);
                let sent = self.client.publish_with_headers(self.subject(event), headers, body);
                sent.await.map_err(publish_error)?;
            }
            self.client.flush().await.map_err(publish_error)
        };
        timeout(LIMIT, all).await.map_err(publish_error)?
    }

    fn subject(&self, event: &Event) -> String {
        format!("{}{}", self.settings.events(), event.event_type)
    }

    /// The event's JSON; without its payload if the message would be too large for the server, or
    /// for the stream by `most`.
    fn body(&self, event: &Event, most: Option<usize>) -> Bytes {
        let most = most.unwrap_or(usize::MAX).min(self.client.server_info().max_payload);
        if event.json.len() + HEADERS <= most {
            return event.json.clone().into();
        }
        self.truncated.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(event.id = %event.id, "event too large for NATS, sent without its payload");
        let stub = serde_json::json!({
            "event_id": event.id.to_string(),
            "timestamp": event.id.timestamp(),
            "event_type": event.event_type,
            "source_agent": event.source_agent,
            "task_id": event.task_id,
            "payload": {},
            "metadata": { "is_truncated": true },
        });
        stub.to_string().into()
    }

    /// The headers of CloudEvents 1.0 in binary mode, and the trace context.
    ///
    /// Content type and trace context are attributes of CloudEvents and headers of NATS alike, so
    /// both are there under both names.
    fn headers(&self, event: &Event) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", event.id.to_string());
        headers.insert("ce-type", event.event_type.as_str());
        headers.insert("ce-source", event.cloud_source(&self.fleet));
        headers.insert("ce-time", event.id.timestamp());
        for name in ["content-type", "ce-datacontenttype"] {
            headers.insert(name, "application/json");
        }
        if let Some(id) = event.task_id {
            headers.insert("ce-subject", id.to_string());
        }
        for (name, text) in event.trace_context() {
            headers.insert(name, text);
            headers.insert(format!("ce-{name}"), text);
        }
        headers
    }
}

/// How many of the first events may be in flight together: no two of one task.
fn wave(events: &[Arc<Event>]) -> usize {
    let mut tasks = HashSet::new();
    events
        .iter()
        .take(IN_FLIGHT)
        .take_while(|event| event.task_id.is_none_or(|id| tasks.insert(id)))
        .count()
}

fn publish_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Publish(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Partition, TaskId};

    #[test]
    fn two_events_of_one_task_are_never_in_flight_together() {
        let event = |task: Option<TaskId>| {
            let task = task.map_or("null".to_owned(), |id| format!("\"{id}\""));
            let tail = format!(
                r#""event_type":"task.created","source_agent":"x","task_id":{task},"metadata":{{}}}}"#
            );
            Arc::new(Event::read(EventId::first(Partition(0)), &tail).unwrap())
        };
        let (one, two) = (TaskId::new(Partition(0)), TaskId::new(Partition(0)));

        assert_eq!(wave(&[event(Some(one)), event(Some(two)), event(Some(one))]), 2);
        assert_eq!(wave(&[event(None), event(None), event(Some(one))]), 3);
        assert_eq!(wave(&[]), 0);
    }
}
