//! The effect on a task when the task that it is a part of is cancelled.

use std::str::FromStr;

/// What happens to a task when its parent is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnParentCancel {
    /// The task continues as if it had no parent.
    #[default]
    Continue,
    /// The task is cancelled too, unless it has already ended.
    Cancel,
}

impl OnParentCancel {
    /// Both values, in the order in which the API lists them.
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

/// The error of reading a word that is not the name of an [`OnParentCancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of continue, cancel")]
pub struct UnknownOnParentCancel;
