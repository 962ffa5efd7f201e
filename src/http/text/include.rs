//! Which large parts of the items of a list a client requests.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use crate::engine::Parts;

use super::{Word, string};

/// The parts that the tasks of a list carry: `payload`, `metadata`, `result`, joined by commas.
#[derive(Clone, Copy, Debug)]
pub struct TaskParts(pub Parts);

/// Requests that the approvals of a list carry their payloads: `payload` is the only word.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalParts;

impl Word for TaskParts {
    const NAME: &'static str = "TaskParts";

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

    fn write(&self) -> Cow<'_, str> {
        let Parts { payload, metadata, result } = self.0;
        let words = [(payload, "payload"), (metadata, "metadata"), (result, "result")];
        let wanted: Vec<_> =
            words.into_iter().filter_map(|(is_wanted, word)| is_wanted.then_some(word)).collect();
        wanted.join(",").into()
    }
}

impl Word for ApprovalParts {
    const NAME: &'static str = "ApprovalParts";

    fn schema() -> MetaSchema {
        MetaSchema { enum_items: vec!["payload".into()], ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == "payload" { Ok(Self) } else { Err("must be payload".to_owned()) }
    }

    fn write(&self) -> Cow<'_, str> {
        "payload".into()
    }
}
