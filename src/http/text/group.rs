//! The names of groups of approvers.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use super::{Word, string};

const MAX_CHARS: usize = 256;

/// The name of a group of approvers as the configuration defines it: 1 to 256 characters.
#[derive(Clone, Debug)]
pub struct GroupName(pub String);

impl Word for GroupName {
    const NAME: &'static str = "GroupName";

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(MAX_CHARS), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if (1..=MAX_CHARS).contains(&text.chars().count()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("must have 1 to {MAX_CHARS} characters"))
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}
