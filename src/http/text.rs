//! The domain's words as JSON strings, path parameters and query parameters.
//!
//! A type implements [`Word`], which says how it is read and described. From that a macro makes the
//! traits of the API document.

use std::str::FromStr;
use std::sync::LazyLock;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::approval::{ApprovalStatus, OnExpiry, OnRejection};
use crate::domain::bulk::{BulkAction, BulkRefusal, BulkStatus};
use crate::domain::event::{self, EventPriority, KNOWN_TYPES};
use crate::domain::ids::{ApprovalId, BulkId, TaskId};
use crate::domain::lifecycle::{RULES, State, Verb};
use crate::domain::name::{self, Name, Worker};
use crate::domain::parent::OnParentCancel;
use crate::domain::principal::{MAX_NAME, Role, Scope};
use crate::domain::priority::Priority;
use crate::domain::sla::SlaState;
use crate::domain::time;
use crate::domain::time::Millis;
use crate::domain::word::UnknownWord;
use crate::engine::GroupBy;

use super::described::described;
use super::readable::Readable;

mod lists;
mod network;
mod words;

pub use crate::domain::network::Network;
pub use lists::{ApprovalParts, ForMe, TaskParts, TypePatterns};
pub use words::{Choice, GivenStatus, NewStatus, OutcomeKind};

/// A type whose form in requests is a text.
pub trait Word: Sized {
    /// Describes the text in the API document: its format, pattern, length or list of words.
    fn schema() -> MetaSchema;
    /// Reads the text. The error says what is expected, such as `must be one of …`.
    fn read(text: &str) -> Result<Self, String>;
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

/// The type of an event. Any text of the right form is valid, known or not.
#[derive(Clone, Debug)]
pub struct EventType(pub String);

/// A text of 1 to 256 characters, such as the name of a group of approvers as the configuration
/// defines it.
#[derive(Clone, Debug)]
pub struct ShortText(pub String);

/// Implements the traits of request bodies and parameters for each [`Word`].
macro_rules! texts {
    ($($type:ident)*) => { $(
        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                <Self as Word>::read(value).map_err(ParseError::custom)
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

/// Describes each [`Word`] where it is used.
macro_rules! inline {
    ($($type:ident)*) => {
        $(described!([] $type: stringify!($type), Self::schema());)*
        texts!($($type)*);
    };
}

inline! {
    TaskId ApprovalId BulkId Name Worker Time TraceId IdempotencyKey PageLimit WaitMs ShortText
    EventType TypePatterns GroupBy TaskParts ApprovalParts ForMe Network
}

described!([] Verb: "Verb", verbs());

/// The verbs that a timeline shows: a lease that is extended and a task that is pruned leave no
/// transition.
fn verbs() -> MetaSchema {
    let verbs = RULES.iter().map(|rule| rule.verb);
    let shown = verbs.filter(|verb| !matches!(verb, Verb::Extend | Verb::Prune));
    MetaSchema { enum_items: shown.map(|verb| verb.as_str().into()).collect(), ..string() }
}

impl Serialize for Worker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time::written(self.0))
    }
}

fn string() -> MetaSchema {
    MetaSchema::new("string")
}

fn uuid() -> MetaSchema {
    MetaSchema::new_with_format("string", "uuid")
}

fn patterned(pattern: &str, most: usize) -> MetaSchema {
    MetaSchema { pattern: Some(pattern.to_owned()), max_length: Some(most), ..string() }
}

/// Implements [`Word`] for a closed list of words. The document names it, so that a generated
/// client has one type for it.
macro_rules! closed_word {
    ($($type:ident $name:literal)*) => { $(
        described!([] $type: component $name, Self::schema());
        texts!($type);

        impl Word for $type {
            fn schema() -> MetaSchema {
                let words = Self::ALL.map(|one| one.as_str().into());
                MetaSchema { enum_items: words.into(), ..string() }
            }

            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|unknown: UnknownWord| unknown.to_string())
            }
        }
    )* };
}

closed_word! {
    Priority "Priority"
    State "TaskStatus"
    ApprovalStatus "ApprovalStatus"
    BulkAction "BulkAction"
    BulkStatus "BulkStatus"
    BulkRefusal "BulkRefusal"
    OnExpiry "OnExpiry"
    OnRejection "OnRejection"
    OnParentCancel "OnParentCancel"
    Role "Role"
    Scope "Scope"
    EventPriority "EventPriority"
    SlaState "SlaState"
    NewStatus "NewStatus"
    OutcomeKind "OutcomeKind"
    Choice "Choice"
}

/// Implements [`Word`] for a type of the domain that reads itself.
macro_rules! parsed_word {
    ($type:ident, $schema:expr, $expected:expr) => {
        impl Word for $type {
            fn schema() -> MetaSchema {
                $schema
            }

            fn read(text: &str) -> Result<Self, String> {
                Self::from_str(text).map_err($expected)
            }
        }
    };
}

parsed_word!(TaskId, uuid(), |_| "must be a UUID".to_owned());
parsed_word!(ApprovalId, uuid(), |_| "must be a UUID".to_owned());
parsed_word!(BulkId, uuid(), |_| "must be a UUID".to_owned());
parsed_word!(Name, patterned(name::PATTERN, 64), |error| error.to_string());
parsed_word!(Worker, patterned(name::WORKER_PATTERN, 128), |error| error.to_string());

impl Word for Time {
    fn schema() -> MetaSchema {
        MetaSchema::new_with_format("string", "date-time")
    }

    fn read(text: &str) -> Result<Self, String> {
        time::read(text).map(Self).ok_or_else(|| time::EXPECTED.to_owned())
    }
}

impl Word for TraceId {
    fn schema() -> MetaSchema {
        patterned("^[A-Za-z0-9._-]{1,64}$", 64)
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
}

impl Word for IdempotencyKey {
    fn schema() -> MetaSchema {
        patterned("^[!-~]{1,255}$", 255)
    }

    fn read(text: &str) -> Result<Self, String> {
        let has_length = (1..=255).contains(&text.len());
        if has_length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err("must have 1 to 255 visible ASCII characters".to_owned())
    }
}

static ABOUT_TYPES: LazyLock<String> = LazyLock::new(|| {
    let known = KNOWN_TYPES.join(", ");
    format!(
        "The type of the event: any of this form. Known: {known}. What a client publishes is \
         marked as external."
    )
});

impl Word for EventType {
    fn schema() -> MetaSchema {
        MetaSchema {
            pattern: Some(event::TYPE_PATTERN.to_owned()),
            max_length: Some(event::MAX_TYPE_BYTES),
            example: Some("deploy.succeeded".into()),
            description: Some(ABOUT_TYPES.as_str()),
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
}

impl Word for ShortText {
    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(1), max_length: Some(MAX_NAME), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        if (1..=MAX_NAME).contains(&text.chars().count()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("must have 1 to {MAX_NAME} characters"))
    }
}

/// Implements [`Word`] for a whole number of a query string.
macro_rules! number_word {
    ($type:ident, $range:expr) => {
        impl Word for $type {
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
