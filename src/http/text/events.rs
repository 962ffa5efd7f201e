//! The words of events: their types, patterns of types, and their sources.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use crate::domain::event::{self, KNOWN_TYPES, TypePattern};
use crate::domain::principal::MAX_NAME;

use super::{Word, string};

/// The type of an event. Any text of the right form is valid, known or not.
#[derive(Clone, Debug)]
pub struct EventType(pub String);

/// The most patterns of one reader: every event is compared with all of them.
const MAX_PATTERNS: usize = 64;

/// The types of events that a reader wants: at most 64 patterns, joined by commas.
#[derive(Clone, Debug)]
pub struct TypePatterns(pub Vec<TypePattern>);

/// The source of an event: 1 to 256 characters.
#[derive(Clone, Debug)]
pub struct EventSource(pub String);

fn read_pattern(part: &str) -> Result<TypePattern, String> {
    let part = part.trim();
    part.parse().map_err(|error| {
        let shown: String = part.chars().take(event::MAX_TYPE_BYTES).collect();
        format!("has `{shown}` among its parts, each of which {error}")
    })
}

fn write_pattern(pattern: &TypePattern) -> String {
    match pattern {
        TypePattern::All => "*".to_owned(),
        TypePattern::Family(family) => format!("{family}*"),
        TypePattern::One(one) => one.clone(),
    }
}

impl Word for EventType {
    const NAME: &'static str = "EventType";

    fn schema() -> MetaSchema {
        MetaSchema {
            pattern: Some(event::TYPE_PATTERN.to_owned()),
            max_length: Some(event::MAX_TYPE_BYTES),
            example: Some("deploy.succeeded".into()),
            ..string()
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        if event::is_event_type(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "must match {} and have at most {} characters; known types: {}",
            event::TYPE_PATTERN,
            event::MAX_TYPE_BYTES,
            KNOWN_TYPES.join(", ")
        ))
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}

impl Word for TypePatterns {
    const NAME: &'static str = "TypePatterns";

    fn schema() -> MetaSchema {
        MetaSchema { example: Some("deploy.*,task.completed".into()), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.split(',').nth(MAX_PATTERNS).is_some() {
            return Err(format!("must have at most {MAX_PATTERNS} parts"));
        }
        text.split(',').map(read_pattern).collect::<Result<_, _>>().map(Self)
    }

    fn write(&self) -> Cow<'_, str> {
        let patterns: Vec<_> = self.0.iter().map(write_pattern).collect();
        patterns.join(",").into()
    }
}

impl Word for EventSource {
    const NAME: &'static str = "EventSource";

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(MAX_NAME), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if (1..=MAX_NAME).contains(&text.chars().count()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("must have 1 to {MAX_NAME} characters"))
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}
