//! The header that makes a submission safe to repeat.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::super::error::Refusal;
use super::super::text::{IdempotencyKey, Word};

/// The value of `Idempotency-Key`, or `None` if the request has no such header.
///
/// The framework's own header parameter ignores a value that is not ASCII; the client would believe
/// that its submission is safe to repeat.
#[derive(Debug)]
pub struct IdempotencyHeader(pub Option<String>);

impl<'a> ApiExtractor<'a> for IdempotencyHeader {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = IdempotencyKey;
    type ParamRawType = IdempotencyKey;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(IdempotencyKey::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let Some(header) = request.headers().get(options.name) else { return Ok(Self(None)) };
        let key = IdempotencyKey::read(header.to_str().unwrap_or_default());
        let key = key.map_err(|reason| {
            Refusal::unreadable(format!("The header `{}` {reason}.", options.name))
        })?;
        Ok(Self(Some(key.0)))
    }
}
