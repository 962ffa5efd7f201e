//! The members of views that may be large: they are absent unless the client requests them.

use poem_openapi::types::Type;
use serde::{Serialize, Serializer};

use super::described::described;

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

described!([T: Type] Part<T> as T);
