//! Request bodies: JSON objects, read straight from their bytes.

use bytes::Bytes;
use poem::http::{HeaderValue, header};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::IgnoredAny;

use crate::domain::json::{MAX_NUMBER, has_number_over};

use super::answer::CONTENT_TYPE;
use super::body;
use super::error::Refusal;
use super::field::{Faults, Fields};
use super::json::digest;
use super::readable::plain;
use super::settings::UnknownMembers;
use super::unknown::Unknown;

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

/// Reads one JSON object and compares the names of its members with those in the API document.
pub fn parse<T: Fields + Type>(
    bytes: &[u8],
    policy: UnknownMembers,
) -> Result<(T, Unknown), Refusal> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::unreadable("The body is not UTF-8."))?;
    if text.starts_with('\u{feff}') {
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
        let mut values = request.headers().get_all(&name).iter().map(HeaderValue::as_bytes);
        if let Some(other) = values.find(|value| !value.eq_ignore_ascii_case(plain.as_bytes())) {
            return Err(Refusal::encoded_body(name.as_str(), &String::from_utf8_lossy(other)));
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

#[cfg(test)]
mod tests {
    use super::super::request::Empty;
    use super::*;

    #[test]
    fn a_long_number_is_refused_anywhere() {
        let refused = |body: &str| parse::<Empty>(body.as_bytes(), UnknownMembers::Ignore).is_err();

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
