//! Lists of words, joined by commas: the events that a reader wants, the large parts of the items
//! of a list, and the properties by which a report groups tasks.

use poem_openapi::registry::MetaSchema;

use crate::domain::event::{self, TypePattern};
use crate::engine::{GroupBy, Parts};

use super::{Word, string};

/// The most patterns of one reader: every event is compared with all of them.
const MAX_PATTERNS: usize = 64;

/// The types of events that a reader wants: at most 64 patterns, joined by commas.
#[derive(Clone, Debug)]
pub struct TypePatterns(pub Vec<TypePattern>);

/// The parts that the tasks of a list carry: `payload`, `metadata`, `result`, joined by commas.
#[derive(Clone, Copy, Debug)]
pub struct TaskParts(pub Parts);

/// Requests that the approvals of a list carry their payloads: `payload` is the only word.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalParts;

/// Requests the approvals that wait for the caller: `me` is the only word.
#[derive(Clone, Copy, Debug)]
pub struct ForMe;

impl Word for TaskParts {
    fn schema() -> MetaSchema {
        MetaSchema { example: Some("payload,result".into()), max_length: Some(64), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut parts = Parts::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "payload" => parts.payload = true,
                "metadata" => parts.metadata = true,
                "result" => parts.result = true,
                _ => {
                    let known = "must be one or more of payload, metadata, result";
                    return Err(format!("{known}, joined by commas"));
                }
            }
        }
        Ok(Self(parts))
    }
}

impl Word for ApprovalParts {
    fn schema() -> MetaSchema {
        MetaSchema { enum_items: vec!["payload".into()], ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == "payload" { Ok(Self) } else { Err("must be payload".to_owned()) }
    }
}

impl Word for ForMe {
    fn schema() -> MetaSchema {
        MetaSchema { enum_items: vec!["me".into()], ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == "me" { Ok(Self) } else { Err("must be me".to_owned()) }
    }
}

impl Word for GroupBy {
    fn schema() -> MetaSchema {
        MetaSchema {
            pattern: Some("^(type|priority|agent)(,(type|priority|agent))*$".to_owned()),
            ..string()
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for word in text.split(',') {
            match word {
                "type" => read.kind = true,
                "priority" => read.priority = true,
                "agent" => read.agent = true,
                _ => {
                    return Err(
                        "must be one or several of type, priority, agent, joined by commas"
                            .to_owned(),
                    );
                }
            }
        }
        Ok(read)
    }
}

fn read_pattern(part: &str) -> Result<TypePattern, String> {
    let part = part.trim();
    part.parse().map_err(|error| {
        let shown: String = part.chars().take(event::MAX_TYPE_BYTES).collect();
        format!("has `{shown}` among its parts, each of which {error}")
    })
}

impl Word for TypePatterns {
    fn schema() -> MetaSchema {
        MetaSchema { example: Some("deploy.*,task.completed".into()), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.split(',').nth(MAX_PATTERNS).is_some() {
            return Err(format!("must have at most {MAX_PATTERNS} parts"));
        }
        text.split(',').map(read_pattern).collect::<Result<_, _>>().map(Self)
    }
}
