//! How urgent a task is.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How urgent a task is. A lower number comes sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Critical: the router takes these tasks before all others.
    P0,
    /// High.
    P1,
    /// Medium, the default.
    P2,
    /// Low.
    P3,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(word: &str) -> Result<Self, UnknownPriority> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word).ok_or(UnknownPriority)
    }
}

/// The error of reading a word that is not the name of a [`Priority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of P0, P1, P2, P3")]
pub struct UnknownPriority;
