//! Request bodies of JSON, read straight from their bytes.
//!
//! No tree of values is built on the way, so `payload`, `metadata` and `result` leave byte for byte
//! as the client sent them: [`Raw`] and [`RawObject`] carry them.

use std::borrow::Cow;

use bytes::Bytes;
use poem::http::header;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::content::value_digest;
use crate::domain::json::{MAX_NUMBER, has_number_over, is_deeper_than};

use super::answer::CONTENT_TYPE;
use super::body;
use super::error::Refusal;
use super::readable::{Readable, plain};
use super::settings::UnknownMembers;
use super::unknown::{self, Unknown};

/// The deepest nesting that is accepted: recursive readers of the value must not overflow their
/// stack.
pub const MAX_DEPTH: usize = 64;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A request body that must be there, read into `T`.
#[derive(Debug)]
pub struct Body<T> {
    /// The value that the body holds.
    pub value: T,
    bytes: Bytes,
}

impl<T> Body<T> {
    /// Splits the body into its value and a function that computes its digest, for callers that
    /// need one.
    pub fn into_parts(self) -> (T, impl FnOnce() -> String) {
        (self.value, move || digest(std::str::from_utf8(&self.bytes).unwrap_or_default()))
    }
}

/// A request body that may be left out, which means the same as `{}`.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

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

/// Reads one JSON object and compares the names of its members with those in the API document.
fn parse<T: unknown::Request + Type>(bytes: &[u8], policy: UnknownMembers) -> Result<T, Refusal> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::unreadable("The body is not UTF-8."))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        let detail = "The body begins with a byte order mark, which JSON does not have. Send it \
                      as UTF-8 without one.";
        return Err(Refusal::unreadable(detail));
    }
    // A number costs more to read than its length, here and wherever it is delivered.
    if has_number_over(text, MAX_NUMBER) {
        let detail = format!("has a number of more than {MAX_NUMBER} characters");
        return Err(Refusal::invalid_body(detail));
    }
    let is_object = text.trim_ascii_start().starts_with('{');
    let read = if is_object {
        serde_json::from_str::<T>(text).map_err(|error| plain(&error))
    } else {
        Err(String::new())
    };
    let detail = match read {
        Ok(mut value) => {
            *value.unknown() = Unknown::find(&T::name(), text, policy);
            return Ok(value);
        }
        Err(detail) => detail,
    };
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(Refusal::unreadable(format!("The body is not JSON: {error}.")));
    }
    if !is_object {
        return Err(Refusal::invalid_body("must be an object"));
    }
    // A member that is given twice is reported with its place.
    Unknown::find(&T::name(), text, policy).into_faults().finish(Some(()))?;
    Err(Refusal::invalid_body(detail))
}

/// How the operator wants unknown members of a body to be treated.
fn policy(request: &Request) -> UnknownMembers {
    request.data::<UnknownMembers>().copied().unwrap_or_default()
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == CONTENT_TYPE || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The body must be plain JSON: a compressed one is refused, not read as text.
fn check_content_type(request: &Request) -> Result<(), Refusal> {
    for (name, plain) in
        [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")]
    {
        let values = request.headers().get_all(&name).iter();
        let encoded = values
            .into_iter()
            .find(|value| !value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()));
        if let Some(value) = encoded {
            let found = String::from_utf8_lossy(value.as_bytes());
            return Err(Refusal::encoded_body(name.as_str(), &found));
        }
    }
    match request.header(header::CONTENT_TYPE) {
        Some(content_type) if is_json(content_type) => Ok(()),
        Some(content_type) => Err(Refusal::unsupported_media_type(content_type)),
        None => Err(Refusal::unsupported_media_type("none")),
    }
}

/// Describes a request body in the API document; the two kinds differ in whether it is required.
macro_rules! request_body {
    ($required:literal) => {
        const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
        type ParamType = ();
        type ParamRawType = ();

        fn register(registry: &mut Registry) {
            T::register(registry);
        }

        fn request_meta() -> Option<MetaRequest> {
            let content =
                vec![MetaMediaType { content_type: CONTENT_TYPE, schema: T::schema_ref() }];
            Some(MetaRequest { description: None, content, required: $required })
        }
    };
}

impl<'a, T: unknown::Request + Type> ApiExtractor<'a> for Body<T> {
    request_body!(true);

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        check_content_type(request)?;
        let bytes = body::read(request, body).await?;
        Ok(Self { value: parse(&bytes, policy(request))?, bytes })
    }
}

impl<'a, T: unknown::Request + Type + Default> ApiExtractor<'a> for OptionalBody<T> {
    request_body!(false);

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body::read(request, body).await?;
        // Some clients name a content type though they send nothing.
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        check_content_type(request)?;
        Ok(Self(parse(&bytes, policy(request))?))
    }
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

macro_rules! raw_type {
    ($($type:ident: $schema:expr),*) => { $(
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                let text = value.ok_or_else(ParseError::expected_input)?.to_string();
                let raw = RawValue::from_string(text).map_err(ParseError::custom)?;
                Self::read(&raw).map_err(ParseError::custom)
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                serde_json::from_str(self.0.get()).ok()
            }
        }
    )* };
}

raw_type! {
    Raw: MetaSchema::ANY,
    RawObject: MetaSchema {
        additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
        ..MetaSchema::new("object")
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Empty;
    use super::*;

    #[test]
    fn raw_json_is_written_byte_for_byte() {
        let sent = r#"{ "z":1,"a" : [ ], "big":123456789012345678901234567890, "f":1.0, "e":1e2, "u":"\u00e9" }"#;
        let raw = RawObject::read(serde_json::from_str(sent).unwrap()).unwrap();

        assert_eq!(serde_json::to_string(&raw).unwrap(), sent);
    }

    #[test]
    fn a_long_number_or_deep_nesting_is_refused_anywhere() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let refused = |body: &str| parse::<Empty>(body.as_bytes(), UnknownMembers::Ignore).is_err();

        assert!(Raw::read(serde_json::from_str(&nested(100_000)).unwrap()).is_err());
        assert!(!refused(&format!(r#"{{"a":{},"s":"{}"}}"#, "1".repeat(400), "1".repeat(401))));
        assert!(refused(&format!(r#"{{"a":[[-{}]]}}"#, "1".repeat(400))));
    }

    #[test]
    fn a_json_media_type_may_have_parameters() {
        for good in
            ["application/json", "Application/JSON; charset=utf-8", "application/vnd.task+json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/plain", "application/jsonp", "text/x+json", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
