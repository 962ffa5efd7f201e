//! Request bodies of JSON, read straight from their bytes.
//!
//! No tree of values is built on the way, so `payload`, `metadata` and `result` leave byte for byte
//! as the client sent them: [`Raw`] and [`RawObject`] carry them.

use bytes::Bytes;
use poem::http::header;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::domain::content::value_digest;
use crate::domain::json::{MAX_NUMBER, has_number_over, is_deeper_than};

use super::answer::CONTENT_TYPE;
use super::body;
use super::described::described;
use super::error::Refusal;
use super::field::{Faults, Fields};
use super::readable::{Readable, plain};
use super::settings::UnknownMembers;
use super::unknown::Unknown;

/// The deepest nesting that is accepted: recursive readers of the value must not overflow their
/// stack.
pub const MAX_DEPTH: usize = 64;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A request body, read into `T`. One that is not required may be left out, which means the same as
/// `{}`.
#[derive(Debug)]
pub struct Body<T, const IS_REQUIRED: bool = true> {
    /// The value that the body holds.
    pub value: T,
    /// The faults in the names of the body's members.
    pub unknown: Unknown,
    bytes: Bytes,
}

/// A request body that may be left out.
pub type OptionalBody<T> = Body<T, false>;

impl<T, const IS_REQUIRED: bool> Body<T, IS_REQUIRED> {
    /// Reads the value with `read`, which returns `None` only if it notes why.
    ///
    /// # Errors
    ///
    /// Every fault in the body: those that `read` notes, and those in the names of its members.
    pub fn read<R>(self, read: impl FnOnce(T, &mut Faults) -> Option<R>) -> Result<R, Refusal> {
        let mut faults = self.unknown.into_faults();
        let value = read(self.value, &mut faults);
        Ok(faults.finish(value)?)
    }

    /// Returns a function that computes the body's digest, for callers that may need one.
    pub fn digest(&self) -> impl FnOnce() -> String + use<T, IS_REQUIRED> {
        let bytes = self.bytes.clone();
        move || digest(std::str::from_utf8(&bytes).unwrap_or_default())
    }
}

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
fn parse<T: Fields + Type>(bytes: &[u8], policy: UnknownMembers) -> Result<(T, Unknown), Refusal> {
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
    let read = is_object.then(|| serde_json::from_str::<T>(text));
    if let Some(Ok(value)) = read {
        return Ok((value, Unknown::find(&T::name(), text, policy)));
    }
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(Refusal::unreadable(format!("The body is not JSON: {error}.")));
    }
    let Some(Err(error)) = read else { return Err(Refusal::invalid_body("must be an object")) };
    // A member that is given twice is reported with its place.
    Unknown::find(&T::name(), text, policy).into_faults().finish(Some(()))?;
    Err(Refusal::invalid_body(plain(&error)))
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

impl<'a, T: Fields + Type + Default, const IS_REQUIRED: bool> ApiExtractor<'a>
    for Body<T, IS_REQUIRED>
{
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: CONTENT_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: IS_REQUIRED })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if IS_REQUIRED {
            check_content_type(request)?;
        }
        let bytes = body::read(request, body).await?;
        // Some clients name a content type though they send nothing.
        if !IS_REQUIRED && bytes.is_empty() {
            return Ok(Self { value: T::default(), unknown: Unknown::default(), bytes });
        }
        if !IS_REQUIRED {
            check_content_type(request)?;
        }
        let policy = request.data::<UnknownMembers>().copied().unwrap_or_default();
        let (value, unknown) = parse(&bytes, policy)?;
        Ok(Self { value, unknown, bytes })
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

described!([] Raw: "Raw", MetaSchema::ANY);
described! {
    [] RawObject: "RawObject", MetaSchema {
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
