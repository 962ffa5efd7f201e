//! The domain's words as JSON strings, path parameters and query parameters.
//!
//! A type implements [`Word`], which says how it is read, written and described. From that a macro
//! makes the traits of the API document.

use std::borrow::Cow;
use std::str::FromStr;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{
    ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type,
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::approval::{ApprovalStatus, OnExpiry, OnRejection};
use crate::domain::event::EventPriority;
use crate::domain::ids::{ApprovalId, TaskId};
use crate::domain::lifecycle::{State, Verb};
use crate::domain::name::{self, Name, Worker};
use crate::domain::parent::OnParentCancel;
use crate::domain::principal::Role;
use crate::domain::priority::Priority;
use crate::domain::sla::SlaState;
use crate::domain::time;
use crate::domain::time::Millis;
use crate::domain::word::UnknownWord;
use crate::engine::GroupBy;

use super::readable::Readable;

mod events;
mod group;
mod include;
mod report;

pub use events::{EventSource, EventType, TypePatterns};
pub use group::GroupName;
pub use include::{ApprovalParts, TaskParts};

/// A type whose form in requests and answers is a text.
pub trait Word: Sized + Send + Sync + 'static {
    /// The name of the type in the API document.
    const NAME: &'static str;
    /// Whether the type is a component of the document, so that generated clients have one type for
    /// it.
    const IS_COMPONENT: bool = false;

    /// Describes the text in the API document: its format, pattern, length or list of words.
    fn schema() -> MetaSchema;
    /// Reads the text. The error says what is expected, such as `must be one of …`.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes the value in the form that [`Self::read`] accepts.
    fn write(&self) -> Cow<'_, str>;
}

/// A point in time, in the formats of [`time::read`] and [`time::written`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Millis);

/// The id of a client's trace: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug)]
pub struct TraceId(pub String);

/// How many items a page may have, from 1 to 200.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit(pub usize);

/// How long to wait for an event or a task, in milliseconds, from 0 to 60,000.
#[derive(Clone, Copy, Debug)]
pub struct WaitMs(pub Millis);

/// A client's key for a submission, which makes repeating it safe: 1 to 255 visible ASCII
/// characters.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

/// Implements the traits of the API document for each [`Word`].
macro_rules! texts {
    ($($type:ident)*) => { $(
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                Self::NAME.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                if Self::IS_COMPONENT {
                    MetaSchemaRef::Reference(Self::NAME.to_owned())
                } else {
                    MetaSchemaRef::Inline(Box::new(Self::schema()))
                }
            }

            fn register(registry: &mut Registry) {
                if Self::IS_COMPONENT {
                    registry.create_schema::<Self, _>(Self::NAME.to_owned(), |_| Self::schema());
                }
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                <Self as Word>::read(value).map_err(ParseError::custom)
            }
        }

        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => Self::parse_from_parameter(&text),
                    _ => Err(ParseError::custom("must be a string")),
                }
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.write().into_owned()))
            }
        }

        impl Readable for $type {
            fn read(raw: &RawValue) -> Result<Self, String> {
                let text: String =
                    serde_json::from_str(raw.get()).map_err(|_| "must be a string".to_owned())?;
                <Self as Word>::read(&text)
            }
        }
    )* };
}

/// Implements serialization as a text for each [`Word`] in answers that the domain does not
/// serialize itself.
macro_rules! serialized {
    ($($type:ident)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.write())
            }
        }
    )* };
}

texts! {
    Priority State ApprovalStatus OnExpiry OnRejection OnParentCancel Role EventPriority SlaState
    TaskId ApprovalId Name Worker Verb Time TraceId IdempotencyKey PageLimit WaitMs
    EventType TypePatterns EventSource GroupName GroupBy TaskParts ApprovalParts
}

serialized! {
    Worker Time EventType
}

fn string() -> MetaSchema {
    MetaSchema::new("string")
}

fn one_of(words: impl Iterator<Item = &'static str>) -> MetaSchema {
    MetaSchema { enum_items: words.map(Value::from).collect(), ..string() }
}

/// Implements [`Word`] for a closed list of words. The document names it, so that a generated
/// client has one type for it.
macro_rules! closed_word {
    ($type:ident, $name:literal) => {
        impl Word for $type {
            const NAME: &'static str = $name;
            const IS_COMPONENT: bool = true;

            fn schema() -> MetaSchema {
                one_of(Self::ALL.into_iter().map(Self::as_str))
            }

            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|unknown: UnknownWord| unknown.to_string())
            }

            fn write(&self) -> Cow<'_, str> {
                self.as_str().into()
            }
        }
    };
}

closed_word!(Priority, "Priority");
closed_word!(State, "TaskStatus");
closed_word!(ApprovalStatus, "ApprovalStatus");
closed_word!(OnExpiry, "OnExpiry");
closed_word!(OnRejection, "OnRejection");
closed_word!(OnParentCancel, "OnParentCancel");
closed_word!(Role, "Role");
closed_word!(EventPriority, "EventPriority");
closed_word!(SlaState, "SlaState");

/// Implements [`Word`] for an id, which is a UUID.
macro_rules! id_word {
    ($($type:ident)*) => { $(
        impl Word for $type {
            const NAME: &'static str = stringify!($type);

            fn schema() -> MetaSchema {
                MetaSchema::new_with_format("string", "uuid")
            }

            fn read(text: &str) -> Result<Self, String> {
                Self::from_str(text).map_err(|_| "must be a UUID".to_owned())
            }

            fn write(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        }
    )* };
}

id_word!(TaskId ApprovalId);

impl Word for Name {
    const NAME: &'static str = "Name";

    fn schema() -> MetaSchema {
        MetaSchema { pattern: Some(name::PATTERN.to_owned()), max_length: Some(64), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

impl Word for Worker {
    const NAME: &'static str = "Worker";

    fn schema() -> MetaSchema {
        let pattern = Some(name::WORKER_PATTERN.to_owned());
        MetaSchema { pattern, max_length: Some(128), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

impl Word for Verb {
    const NAME: &'static str = "Verb";

    /// An open string, because later versions may add verbs.
    fn schema() -> MetaSchema {
        string()
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|unknown: UnknownWord| unknown.to_string())
    }

    fn write(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

impl Word for Time {
    const NAME: &'static str = "Time";

    fn schema() -> MetaSchema {
        MetaSchema::new_with_format("string", "date-time")
    }

    fn read(text: &str) -> Result<Self, String> {
        time::read(text).map(Self).ok_or_else(|| time::EXPECTED.to_owned())
    }

    fn write(&self) -> Cow<'_, str> {
        time::written(self.0).into()
    }
}

impl Word for TraceId {
    const NAME: &'static str = "TraceId";

    fn schema() -> MetaSchema {
        let pattern = Some("^[A-Za-z0-9._-]{1,64}$".to_owned());
        MetaSchema { pattern, max_length: Some(64), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let has_length = (1..=64).contains(&text.len());
        let is_safe =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if has_length && is_safe {
            return Ok(Self(text.to_owned()));
        }
        Err("must have 1 to 64 of A-Z a-z 0-9 . _ -".to_owned())
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}

impl Word for IdempotencyKey {
    const NAME: &'static str = "IdempotencyKey";

    fn schema() -> MetaSchema {
        let pattern = Some("^[!-~]{1,255}$".to_owned());
        MetaSchema { pattern, max_length: Some(255), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        let has_length = (1..=255).contains(&text.len());
        if has_length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err("must have 1 to 255 visible ASCII characters".to_owned())
    }

    fn write(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}

/// Implements [`Word`] for a whole number of a query string.
macro_rules! number_word {
    ($type:ident, $range:expr) => {
        impl Word for $type {
            const NAME: &'static str = stringify!($type);

            fn schema() -> MetaSchema {
                let minimum = Some(*$range.start() as f64);
                let maximum = Some(*$range.end() as f64);
                MetaSchema { minimum, maximum, ..MetaSchema::new("integer") }
            }

            fn read(text: &str) -> Result<Self, String> {
                match text.parse() {
                    Ok(number) if $range.contains(&number) => Ok(Self(number)),
                    Ok(_) | Err(_) => {
                        let least = $range.start();
                        let most = $range.end();
                        Err(format!("must be a whole number from {least} to {most}"))
                    }
                }
            }

            fn write(&self) -> Cow<'_, str> {
                self.0.to_string().into()
            }
        }
    };
}

number_word!(PageLimit, 1..=200usize);
number_word!(WaitMs, 0..=60_000u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones() {
        assert_eq!(<Priority as Word>::read("P9").unwrap_err(), "must be one of P0, P1, P2, P3");
        assert!(<State as Word>::read("done").unwrap_err().contains("in_progress"));
    }
}
