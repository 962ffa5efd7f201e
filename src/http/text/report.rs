//! The properties by which a report groups tasks.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use super::{Word, string};
use crate::engine::GroupBy;

impl Word for GroupBy {
    const NAME: &'static str = "GroupBy";

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

    fn write(&self) -> Cow<'_, str> {
        let words = [(self.kind, "type"), (self.priority, "priority"), (self.agent, "agent")];
        let words: Vec<_> =
            words.into_iter().filter(|(is_there, _)| *is_there).map(|(_, word)| word).collect();
        words.join(",").into()
    }
}
