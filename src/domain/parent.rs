//! What becomes of a task when the task that it is a part of is cancelled.

use std::str::FromStr;

/// What becomes of a task whose parent is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnParentCancel {
    /// Nothing: it goes on.
    #[default]
    Continue,
    /// It is cancelled too, unless it has ended.
    Cancel,
}

impl OnParentCancel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Continue, Self::Cancel];

    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Cancel => "cancel",
        }
    }
}

impl FromStr for OnParentCancel {
    type Err = UnknownOnParentCancel;

    fn from_str(word: &str) -> Result<Self, UnknownOnParentCancel> {
        Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or(UnknownOnParentCancel)
    }
}

/// The word names no [`OnParentCancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of continue, cancel")]
pub struct UnknownOnParentCancel;
