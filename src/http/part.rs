//! The members of views that may be large: they are absent unless the client requests them.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A large member of a view, which is present only if the client requested it.
#[derive(Clone, Debug)]
pub enum Part<T> {
    /// The client did not request the member, so the view has none.
    LeftOut,
    /// The client requested the member; this is its value.
    Shown(T),
}

impl<T> Part<T> {
    /// Returns whether the member is absent.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::LeftOut)
    }

    /// Removes the member, unless `is_wanted`.
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
            // Views skip a member that is left out.
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

/// The document's derive requires this impl; a view is never read.
impl<T: ParseFromJSON> ParseFromJSON for Part<T> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        T::parse_from_json(value).map(Self::Shown).map_err(ParseError::propagate)
    }
}

/// The document's derive requires this impl; views are written by serde.
impl<T: ToJSON> ToJSON for Part<T> {
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Shown(value) => value.to_json(),
            Self::LeftOut => None,
        }
    }
}
