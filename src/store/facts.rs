//! Reads the events of a log entry and makes their JSON.
//!
//! An entry has the events of one script in fields, in order. A field `e` is one event, JSON from
//! `"event_type"` to the closing brace. A field `f` has facts in lines, transitions of tasks that
//! share the first line: `<event type> <verb> <state before, or -> <state> <attempt> <actor>
//! <subject> <type> <priority>[ <reason, a JSON string>]`. Each of the others is one event:
//! `<task id>[ <trace> <traceparent> <title>]`. `events.lua` writes both, and `json.lua` makes the
//! same JSON for Redis channels.

use std::sync::Arc;

use crate::domain::event::{Event, EventPriority};
use crate::domain::ids::{EventId, Partition, TaskId};
use crate::domain::name::Name;
use crate::domain::principal::ORCHESTRATOR;
use crate::domain::priority::Priority;
use crate::domain::text::quoted;

use super::Error;
use super::codec::{SPACE, trace_of};
use super::events::event_id;

/// A log entry: its id, and its fields and values in one list.
pub(super) type Entry = (String, Vec<String>);

/// Returns the events of a log entry, in order. Skips an unreadable event, so that it stops no
/// reader.
pub(super) fn readable((entry, fields): &Entry, partition: Partition) -> Vec<Arc<Event>> {
    let Some(first) = event_id(entry, 0, partition) else {
        tracing::error!(entry, "unreadable id in the event log, skipped");
        return Vec::new();
    };
    let mut events = Events { next: first, read: Vec::new() };
    for field in fields.chunks_exact(2) {
        match field[0].as_str() {
            "e" => {
                let event = Event::read(events.next, &field[1]);
                events.add(event.map_err(|error| Error::corrupt(error.to_string())));
            }
            "f" => events.add_facts(&field[1]),
            _ => {}
        }
    }
    events.read
}

/// The events of an entry that were read.
struct Events {
    /// The id of the next event.
    next: EventId,
    read: Vec<Arc<Event>>,
}

impl Events {
    fn add(&mut self, event: Result<Event, Error>) {
        match event {
            Ok(event) => self.read.push(Arc::new(event)),
            Err(error) => {
                let id = self.next;
                tracing::error!(%id, %error, "unreadable event in the log, skipped");
            }
        }
        self.next.index += 1;
    }

    fn add_facts(&mut self, text: &str) {
        let mut lines = text.split('\n');
        let shared = lines.next().and_then(Shared::read);
        for line in lines {
            let event = shared.as_ref().and_then(|shared| shared.event(self.next, line));
            self.add(event.ok_or_else(|| Error::corrupt(format!("the fact {line:?}"))));
        }
    }
}

/// What the transitions of a field have in common.
struct Shared<'f> {
    event_type: &'f str,
    /// The type of the tasks.
    kind: &'f str,
    priority: EventPriority,
    /// The tenant of the tasks. `None` if they have none.
    tenant: Option<Name>,
    /// The members of the payload after the type and the title.
    payload: String,
}

impl<'f> Shared<'f> {
    fn read(line: &'f str) -> Option<Self> {
        let mut words = line.splitn(10, ' ');
        let event_type = words.next()?;
        let verb = words.next()?;
        let before = words.next().map(|state| match state {
            "-" => "null".to_owned(),
            state => format!("\"{state}\""),
        })?;
        let state = words.next()?;
        let attempt = words.next()?;
        let actor = words.next()?;
        let subject = Name::of_subject(words.next()?).ok()?;
        let (agent, tenant) = (subject.agent(), subject.tenant());
        let kind = words.next()?;
        let priority: Priority = words.next()?.parse().ok()?;
        let reason = words.next().unwrap_or("null");
        let payload = format!(
            r#","status":"{state}","previous_status":{before},"verb":"{verb}","agent":"{agent}","attempt":{attempt},"actor":"{actor}","reason":{reason}"#
        );
        Some(Self { event_type, kind, priority: priority.into(), tenant, payload })
    }

    fn event(&self, id: EventId, line: &str) -> Option<Event> {
        let mut words = line.split(' ');
        let task: TaskId = words.next()?.parse().ok()?;
        let mut label = || words.next().filter(|word| *word != "-");
        let trace = label().map_or_else(|| "null".to_owned(), |trace| format!("\"{trace}\""));
        let (traceparent, tracestate) = trace_of(label().unwrap_or("-"))?;
        let title = label().map(|title| format!(r#","title":{}"#, title.replace(SPACE, " ")));
        let title = title.unwrap_or_default();
        let parts = [("traceparent", &traceparent), ("tracestate", &tracestate)].into_iter();
        let parts = parts.filter_map(|(name, text)| Some((name, text.as_ref()?)));
        let parts = parts.map(|(name, text)| format!("\"{name}\":{}", quoted(text)));
        let metadata = parts.collect::<Vec<_>>().join(",");
        let Self { event_type, kind, priority, tenant, payload } = self;
        let owner = tenant.as_ref().map(|tenant| format!(r#","tenant":"{tenant}""#));
        let owner = owner.unwrap_or_default();
        let timestamp = id.timestamp();
        let priority = priority.as_str();
        let json = format!(
            r#"{{"event_id":"{id}","timestamp":"{timestamp}","event_type":"{event_type}","priority":"{priority}","source_agent":"{ORCHESTRATOR}","trace_id":{trace},"task_id":"{task}"{owner},"payload":{{"type":"{kind}"{title}{payload}}},"metadata":{{{metadata}}}}}"#
        );
        Some(Event {
            id,
            event_type: (*event_type).to_owned(),
            source_agent: ORCHESTRATOR.to_owned(),
            task_id: Some(task),
            tenant: tenant.clone(),
            traceparent,
            tracestate,
            json,
        })
    }
}
