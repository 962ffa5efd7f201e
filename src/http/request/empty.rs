//! The body of a call whose path says everything.

use poem_openapi::Object;
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::unknown::{Unknown, requests};

/// No members: an empty object, which may be left out.
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
    /// Checks that the body has no members.
    ///
    /// # Errors
    ///
    /// Every member of the body.
    pub fn check(self) -> Result<(), Refusal> {
        Ok(self.unknown.into_faults().finish(Some(()))?)
    }
}
