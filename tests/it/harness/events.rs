//! The event log, as it stands in Redis.

use std::collections::BTreeSet;

use orchestrator::domain::ids::{EventId, Partition, TaskId};
use orchestrator::domain::json::Members;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Fleet, Redis, key_in};

/// One event of the log.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: EventId,
    /// Its JSON from `event_type` on.
    pub body: Value,
}

impl Seen {
    pub fn event_type(&self) -> &str {
        self.body["event_type"].as_str().unwrap()
    }

    /// The verb of the transition that it tells of, if it tells of one.
    pub fn verb(&self) -> Option<&str> {
        self.body["payload"]["verb"].as_str()
    }
}

impl Fleet {
    /// Every event of partition 0, oldest first.
    pub async fn events(&self) -> Vec<Seen> {
        self.redis.events(Partition(0)).await
    }

    /// The types of the events about one task, oldest first.
    pub async fn event_types_of(&self, id: TaskId) -> Vec<String> {
        let events = self.events().await;
        let mine = events.iter().filter(|event| event.body["task_id"] == id.to_string());
        mine.map(|event| event.event_type().to_owned()).collect()
    }
}

impl Redis {
    /// Every event of a partition, oldest first.
    pub async fn events(&self, partition: Partition) -> Vec<Seen> {
        let mut events = Vec::new();
        self.each_event(partition, |event| events.push(event)).await;
        events
    }

    /// Shows every event of a partition, oldest first.
    pub async fn each_event(&self, partition: Partition, mut show: impl FnMut(Seen)) {
        let key = key_in(partition, "events");
        let mut from = "-".to_owned();
        loop {
            // In pieces: what a busy machine reads within the time that a command has.
            let piece: Vec<(String, Vec<(String, String)>)> =
                self.ask(&["XRANGE", &key, &from, "+", "COUNT", "50"]).await;
            let Some((last, _)) = piece.last() else { return };
            from = format!("({last}");
            for (entry, fields) in &piece {
                let events = fields.iter().flat_map(|(name, text)| match name.as_str() {
                    "e" => vec![text.clone()],
                    _ => from_facts(text),
                });
                for (index, json) in events.enumerate() {
                    show(seen(partition, entry, index, &json));
                }
            }
        }
    }
}

/// The events of transitions that the log keeps in a few words, as JSON from the type on.
fn from_facts(text: &str) -> Vec<String> {
    let (shared, tasks) = text.split_once('\n').unwrap();
    let words: Vec<&str> = shared.splitn(10, ' ').collect();
    let [event, verb, from, to, attempt, actor, agent, kind, priority, ..] = words[..] else {
        panic!("{shared:?}")
    };
    let reason = words.get(9).map_or(Value::Null, |reason| serde_json::from_str(reason).unwrap());
    let from = Some(from).filter(|state| *state != "-");
    let attempt: u32 = attempt.parse().unwrap();
    let priority = match priority {
        "P0" => "critical",
        "P1" => "high",
        "P2" => "medium",
        _ => "low",
    };
    let event_of = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let label = |nth: usize| words.get(nth).copied().filter(|word| *word != "-");
        let mut payload = json!({"type": kind, "status": to, "previous_status": from, "verb": verb, "agent": agent,
            "attempt": attempt, "actor": actor, "reason": reason});
        if let Some(title) = label(3) {
            payload["title"] = serde_json::from_str(&title.replace('\u{1f}', " ")).unwrap();
        }
        let metadata = label(2).map_or(json!({}), |trace| json!({"traceparent": trace}));
        let event = json!({"event_type": event, "priority": priority, "source_agent": "orchestrator",
            "trace_id": label(1), "task_id": words[0], "payload": payload, "metadata": metadata});
        event.to_string().trim_start_matches('{').to_owned()
    };
    tasks.split('\n').map(event_of).collect()
}

fn seen(partition: Partition, entry: &str, index: usize, json: &str) -> Seen {
    let (at_ms, sequence) = entry.split_once('-').unwrap();
    let id = EventId {
        at_ms: at_ms.parse().unwrap(),
        sequence: sequence.parse().unwrap(),
        index: u16::try_from(index).unwrap(),
        partition,
    };
    let event: Box<RawValue> = serde_json::from_str(&format!("{{{json}")).unwrap();
    repeats_nothing(&event);
    Seen { id, body: serde_json::from_str(event.get()).unwrap() }
}

/// Readers disagree on which of two members of one name counts, so no event of ours has such.
fn repeats_nothing(event: &RawValue) {
    let Members::<String, &RawValue>(members) = serde_json::from_str(event.get()).unwrap();
    let is_external = event.get().contains(r#""external""#);
    let mut names = BTreeSet::new();
    for (name, value) in members {
        assert!(names.insert(name.clone()), "{name} is there twice: {event}");
        if name == "payload" && !is_external {
            repeats_nothing(value);
        }
    }
}
