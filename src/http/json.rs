//! JSON of clients. No tree of values is built of it, so `payload`, `metadata` and `result` leave byte
//! for byte as they were sent: [`Raw`] and [`RawObject`] carry them.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::content::value_digest;
use crate::domain::json::is_deeper_than;

use super::described::described;
use super::readable::Readable;

/// The deepest nesting that is accepted: recursive readers of the value must not overflow their
/// stack.
pub const MAX_DEPTH: usize = 64;

/// Any JSON value, kept byte for byte as it arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Raw(pub Box<RawValue>);

/// A JSON object, kept byte for byte as it arrived.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RawObject(pub Box<RawValue>);

/// The digest by which a repeated submission is recognized: [`value_digest`] of its body.
pub fn digest(json: &str) -> String {
    // Known members nest less deep; unknown ones, where the operator accepts them, may nest at
    // will.
    if is_deeper_than(json, 2 * MAX_DEPTH) {
        return value_digest(&serde_json::Value::from(json).to_string());
    }
    value_digest(json)
}

impl Readable for Raw {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if is_deeper_than(raw.get(), MAX_DEPTH) {
            return Err(format!("must be nested at most {MAX_DEPTH} deep"));
        }
        Ok(Self(raw.to_owned()))
    }
}

impl Readable for RawObject {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if !raw.get().starts_with('{') {
            return Err("must be an object".to_owned());
        }
        Raw::read(raw).map(|Raw(object)| Self(object))
    }
}

described!([] Raw: "Raw", MetaSchema::ANY);
described! {
    [] RawObject: "RawObject", MetaSchema {
        additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
        ..MetaSchema::new("object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_json_is_written_byte_for_byte() {
        let sent = r#"{ "z":1,"a" : [ ], "big":123456789012345678901234567890, "f":1.0, "e":1e2, "u":"\u00e9" }"#;
        let raw = RawObject::read(serde_json::from_str(sent).unwrap()).unwrap();

        assert_eq!(serde_json::to_string(&raw).unwrap(), sent);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Raw::read(serde_json::from_str(&nested).unwrap()).is_err());
    }
}
