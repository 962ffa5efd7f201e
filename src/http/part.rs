//! The members of views that may be large: they are absent where nobody asked for them.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A member that is shown, or left out.
#[derive(Clone, Debug)]
pub enum Part<T> {
    /// It was not asked for.
    LeftOut,
    /// It was.
    Shown(T),
}

impl<T> Part<T> {
    /// Whether the member is absent.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }

    /// Leaves the member out, unless it `is_wanted`.
    pub fn keep_if(&mut self, is_wanted: bool) {
        if !is_wanted {
            *self = Self::LeftOut;
        }
    }
}

impl<T: Serialize> Serialize for Part<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Shown(value) => value.serialize(serializer),
            // Views skip it.
            Self::LeftOut => serializer.serialize_none(),
        }
    }
}

impl<T: Type> Type for Part<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

/// The document's derive asks for this; a view is never read.
impl<T: ParseFromJSON> ParseFromJSON for Part<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        T::parse_from_json(value).map(Self::Shown).map_err(ParseError::propagate)
    }
}

/// The document's derive asks for this; views are written by serde.
impl<T: ToJSON> ToJSON for Part<T> {
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Shown(value) => value.to_json(),
            Self::LeftOut => None,
        }
    }
}
