//! What an event stream (`text/event-stream`) is made of.

use serde_json::Value;

/// What stands between two empty lines of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub id: String,
    /// Empty: a comment, or the opening.
    pub event: String,
    pub data: String,
    pub comment: String,
    pub retry: String,
}

impl Block {
    pub fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.split('\n') {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            let field = match name {
                "id" => &mut block.id,
                "event" => &mut block.event,
                "data" => &mut block.data,
                "" => &mut block.comment,
                "retry" => &mut block.retry,
                other => panic!("no field of a stream: {other:?}"),
            };
            if name == "data" && !field.is_empty() {
                *field += &format!("\n{value}");
                continue;
            }
            assert!(field.is_empty(), "{name} stands there twice: {text}");
            *field = value;
        }
        block
    }

    /// Takes the first one out of what came so far, if all of it is there.
    pub fn take(text: &mut String) -> Option<Self> {
        let (block, rest) = text.split_once("\n\n")?;
        let (block, rest) = (Self::read(block), rest.to_owned());
        *text = rest;
        Some(block)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }

    /// The number in the payload of the event.
    pub fn number(&self) -> u64 {
        number(&self.json())
    }
}

/// The number in the payload of an event.
pub fn number(event: &Value) -> u64 {
    event["payload"]["n"].as_u64().unwrap_or_else(|| panic!("no number in {event}"))
}
