//! Networks of addresses, in CIDR notation.

use poem_openapi::registry::MetaSchema;
use serde::{Serialize, Serializer};

use super::{Word, string};
use crate::domain::network::{Network, NotANetwork};

impl Word for Network {
    fn schema() -> MetaSchema {
        MetaSchema { example: Some("10.0.0.0/8".into()), max_length: Some(43), ..string() }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NotANetwork| error.to_string())
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
