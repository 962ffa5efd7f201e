//! The words of events.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use crate::domain::event::{self, KNOWN_TYPES, TypePattern};
use crate::domain::principal::MAX_NAME;

use super::{Word, string};

/// The type of an event: any that has the form, not only the known.
#[derive(Clone, Debug)]
pub struct EventType(pub String);

/// The most patterns of one reader: each event is compared with all of them.
const MAX_PATTERNS: usize = 64;

/// Which types of events are wanted: at most 64 patterns, joined by commas.
#[derive(Clone, Debug)]
pub struct TypePatterns(pub Vec<TypePattern>);

/// Who said so: 1 to 256 characters.
#[derive(Clone, Debug)]
pub struct EventSource(pub String);

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
            "must match {} and have at most {} characters; known are {}",
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
        let pattern = |part: &str| {
            let part = part.trim();
            let shown = || part.chars().take(event::MAX_TYPE_BYTES).collect::<String>();
            part.parse().map_err(|error| {
                format!("has `{}` among its parts, each of which {error}", shown())
            })
        };
        text.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }

    fn write(&self) -> Cow<'_, str> {
        let pattern = |pattern: &TypePattern| match pattern {
            TypePattern::All => "*".to_owned(),
            TypePattern::Family(family) => format!("{family}*"),
            TypePattern::One(one) => one.clone(),
        };
        self.0.iter().map(pattern).collect::<Vec<_>>().join(",").into()
    }
}

impl Word for EventSource {
    const NAME: &'static str = "EventSource";

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(MAX_NAME), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let is_valid = (1..=MAX_NAME).contains(&text.chars().count());
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("must have 1 to {MAX_NAME} characters"))
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}
