//! The header with the parts of a trace context that belong to vendors.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use crate::domain::trace::is_tracestate;

/// The value of `tracestate`, which a request may spread over several headers; `None` if it has none,
/// or an invalid one.
#[derive(Debug)]
pub struct TraceState(pub Option<String>);

impl<'a> ApiExtractor<'a> for TraceState {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = Option<String>;
    type ParamRawType = String;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(String::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let values = request.headers().get_all(options.name).iter();
        let values: Option<Vec<_>> = values.map(|value| value.to_str().ok()).collect();
        let joined = values.unwrap_or_default().join(",");
        Ok(Self(Some(joined).filter(|text| is_tracestate(text))))
    }
}
