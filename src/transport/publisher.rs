//! Events become messages.
//!
//! With JetStream an event is published until the stream has it, and it has each once: the message id is the event's,
//! so the server drops a repetition; and after a fault the end of the stream is read, because the server only
//! remembers ids for a while. No two events of one task are under way together, so that a repetition never changes
//! their order. Without JetStream an event is published once and a subscriber that is away misses it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, message::PublishMessage, stream};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::domain::event::{Event, is_traceparent};

use super::{Error, ROOT, Settings};

/// How long NATS may take for one event. Longer than a hiccup, shorter than the bridge's lease.
const LIMIT: Duration = Duration::from_secs(2);

/// For how long the server remembers message ids. The end of the stream is read besides, so this need not cover an
/// outage.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How many events are under way at once: enough to fill the time of a round trip.
const IN_FLIGHT: usize = 256;

/// How far back the end of the stream is read after a fault: what several bridges may have had under way.
const LOOKED_BACK: u64 = 4 * IN_FLIGHT as u64;

/// Publishes events. One for each bridge.
pub struct Publisher {
    client: Client,
    settings: Settings,
    stream: OnceCell<Option<(jetstream::Context, stream::Stream)>>,
    /// Whether it is unknown which of the events to come the stream has already.
    is_unsure: AtomicBool,
}

impl Publisher {
    /// Publishes over `client`.
    pub fn new(client: Client, settings: Settings) -> Self {
        // Another bridge may have published and died before it could say so.
        Self { client, settings, stream: OnceCell::new(), is_unsure: AtomicBool::new(true) }
    }

    /// Publishes `events` in order; returns how many of them, from the first, NATS has for certain, and why not all.
    pub async fn publish(&self, events: &[Arc<Event>]) -> (usize, Result<(), Error>) {
        if self.client.connection_state() != State::Connected {
            // The client would keep the messages and send them much later, behind those that we repeat.
            return (0, Err(Error::Away));
        }
        let sent = match self.stream().await {
            Ok(Some((context, stream))) => self.publish_to_stream(context, stream, events).await,
            Ok(None) => self.publish_plain(events).await,
            Err(error) => (0, Err(error)),
        };
        self.is_unsure.store(sent.1.is_err(), Ordering::Relaxed);
        sent
    }

    /// The stream, created or checked at the first use; none: this server has no JetStream, or it is not wanted.
    async fn stream(&self) -> Result<Option<&(jetstream::Context, stream::Stream)>, Error> {
        let found = self.stream.get_or_try_init(|| async {
            if !self.settings.jetstream || !self.client.server_info().jetstream {
                tracing::info!("events go to NATS without JetStream: a subscriber that is away misses them");
                return Ok(None);
            }
            let context = jetstream::ContextBuilder::new().timeout(LIMIT).ack_timeout(LIMIT).build(self.client.clone());
            let name = &self.settings.stream;
            let subjects = format!("{ROOT}.events.>");
            let config = stream::Config {
                name: name.clone(),
                description: Some("events of the MorningAI Orchestrator".to_owned()),
                subjects: vec![subjects.clone()],
                max_age: Duration::from_millis(self.settings.stream_max_age_ms),
                duplicate_window: DUPLICATE_WINDOW,
                ..stream::Config::default()
            };
            let stream = context.get_or_create_stream(config).await.map_err(|error| self.stream_error(error))?;
            if !stream.cached_info().config.subjects.contains(&subjects) {
                return Err(Error::WrongStream { stream: name.clone(), subjects });
            }
            Ok(Some((context, stream)))
        });
        Ok(found.await?.as_ref())
    }

    fn stream_error(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Stream { stream: self.settings.stream.clone(), source: Box::new(error) }
    }

    async fn publish_to_stream(
        &self,
        context: &jetstream::Context,
        stream: &stream::Stream,
        events: &[Arc<Event>],
    ) -> (usize, Result<(), Error>) {
        let known = match self.known(stream).await {
            Ok(known) => known,
            Err(error) => return (0, Err(error)),
        };
        let mut done = 0;
        while done < events.len() {
            let wave = wave(&events[done..]);
            if let Err(error) = self.publish_wave(context, &events[done..done + wave], &known).await {
                return (done, Err(error));
            }
            done += wave;
        }
        (done, Ok(()))
    }

    async fn publish_wave(
        &self,
        context: &jetstream::Context,
        events: &[Arc<Event>],
        known: &HashSet<String>,
    ) -> Result<(), Error> {
        let mut acks = Vec::with_capacity(events.len());
        for event in events.iter().filter(|event| !known.contains(&event.id.to_string())) {
            let message = PublishMessage::build().payload(self.body(event)).headers(headers(event));
            let sent =
                timeout(LIMIT, context.send_publish(subject(event), message.message_id(event.id.to_string()))).await;
            acks.push(sent.map_err(publish_error)?.map_err(publish_error)?);
        }
        for ack in acks {
            timeout(LIMIT, ack).await.map_err(publish_error)?.map_err(publish_error)?;
        }
        Ok(())
    }

    /// After a fault, the ids of what the stream holds at its end; nothing while all goes well.
    async fn known(&self, stream: &stream::Stream) -> Result<HashSet<String>, Error> {
        let mut known = HashSet::new();
        if !self.is_unsure.load(Ordering::Relaxed) {
            return Ok(known);
        }
        let state = stream.get_info().await.map_err(|error| self.stream_error(error))?.state;
        let first = state.first_sequence.max((state.last_sequence + 1).saturating_sub(LOOKED_BACK));
        for sequence in first..=state.last_sequence {
            // One that was just trimmed is no reason to stop.
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            known.extend(message.headers.get("Nats-Msg-Id").map(ToString::to_string));
        }
        Ok(known)
    }

    /// Publishes without a stream: out of our hands once the server has it.
    async fn publish_plain(&self, events: &[Arc<Event>]) -> (usize, Result<(), Error>) {
        let all = async {
            for event in events {
                let mut headers = headers(event);
                headers.insert("Nats-Msg-Id", event.id.to_string());
                let sent = self.client.publish_with_headers(subject(event), headers, self.body(event));
                sent.await.map_err(publish_error)?;
            }
            self.client.flush().await.map_err(publish_error)
        };
        match timeout(LIMIT, all).await.map_err(publish_error) {
            Ok(Ok(())) => (events.len(), Ok(())),
            Ok(Err(error)) | Err(error) => (0, Err(error)),
        }
    }

    /// The event's JSON; without its payload where the server takes no message of that size.
    fn body(&self, event: &Event) -> Bytes {
        // Headers count too; ours are below this.
        const HEADERS: usize = 2_048;
        if event.json.len() + HEADERS <= self.client.server_info().max_payload {
            return event.json.clone().into();
        }
        tracing::warn!(event.id = %event.id, "an event is too large for NATS and goes without its payload");
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
}

/// How many of the first events may be under way together: no task twice.
fn wave(events: &[Arc<Event>]) -> usize {
    let mut tasks = HashSet::new();
    let is_first = |event: &&Arc<Event>| event.task_id.is_none_or(|id| tasks.insert(id));
    events.iter().take(IN_FLIGHT).take_while(is_first).count()
}

fn subject(event: &Event) -> String {
    format!("{ROOT}.events.{}", event.event_type)
}

/// CloudEvents 1.0 in binary mode, and the trace context.
fn headers(event: &Event) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.id.to_string());
    headers.insert("ce-type", event.event_type.as_str());
    headers.insert("ce-source", event.cloud_source());
    headers.insert("ce-time", event.id.timestamp());
    headers.insert("content-type", "application/json");
    if let Some(id) = event.task_id {
        headers.insert("ce-subject", id.to_string());
    }
    if let Some(trace) = event.traceparent.as_deref().filter(|trace| is_traceparent(trace)) {
        headers.insert("traceparent", trace);
    }
    headers
}

fn publish_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Publish(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{EventId, Partition, TaskId};

    #[test]
    fn no_two_events_of_one_task_are_under_way_together() {
        let event = |task: Option<TaskId>| {
            let task = task.map_or("null".to_owned(), |id| format!("\"{id}\""));
            let tail = format!(r#""event_type":"task.created","source_agent":"x","task_id":{task},"metadata":{{}}}}"#);
            Arc::new(Event::read(EventId::first(Partition(0)), &tail).unwrap())
        };
        let (one, two) = (TaskId::new(Partition(0)), TaskId::new(Partition(0)));

        assert_eq!(wave(&[event(Some(one)), event(Some(two)), event(Some(one))]), 2);
        assert_eq!(wave(&[event(None), event(None), event(Some(one))]), 3);
        assert_eq!(wave(&[]), 0);
    }
}
