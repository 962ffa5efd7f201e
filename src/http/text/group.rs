//! The words of groups.

use std::borrow::Cow;

use poem_openapi::registry::MetaSchema;

use super::{Word, string};

/// The longest name of a group that is read, in characters.
const MAX_CHARS: usize = 256;

/// The name of a group of approvers, as the configuration has it: 1 to 256 characters.
#[derive(Clone, Debug)]
pub struct GroupName(pub String);

impl Word for GroupName {
    const NAME: &'static str = "GroupName";

    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(MAX_CHARS), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let is_valid = (1..=MAX_CHARS).contains(&text.chars().count());
        let named = is_valid.then(|| Self(text.to_owned()));
        named.ok_or_else(|| format!("must have 1 to {MAX_CHARS} characters"))
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}
