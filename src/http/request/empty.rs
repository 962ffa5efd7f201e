//! The body of a call that says all by its path.

use poem_openapi::Object;
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::unknown::{Unknown, requests};

/// Nothing: an object without members, which may be left out.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(rename = "NoMembers")]
pub struct Empty {
    #[serde(skip)]
    #[oai(skip)]
    unknown: Unknown,
}

requests!(Empty);

impl Empty {
    /// Makes sure that nothing was said.
    ///
    /// # Errors
    ///
    /// Every member that there is.
    pub fn check(self) -> Result<(), Refusal> {
        self.unknown.into_faults().finish(Some(()))
    }
}
