//! Answers, written straight to bytes: no tree of values is built on the way.

use poem::http::StatusCode;
use poem::{Body as HttpBody, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::Serialize;

use crate::runtime::receipt::Receipt;

/// The content type of JSON.
pub const CONTENT_TYPE: &str = "application/json";

/// An answer with status 200 whose body is `T` as JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// Builds an answer with this status, whose body is `value` as JSON.
pub fn respond(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            // The text may wait for its client, with up to as many unused bytes again.
            bytes.shrink_to_fit();
            Response::builder()
                .status(status)
                .content_type(content_type)
                .body(HttpBody::from_vec(bytes))
        }
        // A view is made of strings, numbers and JSON, so a failure is a bug of a view.
        Err(error) => {
            tracing::error!(%error, "answer cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        respond(StatusCode::OK, CONTENT_TYPE, &self.0)
    }
}

/// An answer that hands a resource to the client, with the compensation if it does not arrive.
pub struct Handover<T> {
    /// The answer to the client.
    pub answer: Json<T>,
    /// What to do if the answer does not arrive; `None` if it hands nothing over.
    pub receipt: Option<Receipt>,
}

impl<T: Serialize + Send> IntoResponse for Handover<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Some(receipt) = self.receipt {
            response.extensions_mut().insert(receipt);
        }
        response
    }
}

impl<T: Type> ApiResponse for Handover<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        documented(Some(StatusCode::OK), "Done", [(CONTENT_TYPE, T::schema_ref())])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// One entry of the API document: an answer whose body has one of these media types, each with its
/// schema.
pub fn documented(
    status: Option<StatusCode>,
    description: &'static str,
    forms: impl IntoIterator<Item = (&'static str, MetaSchemaRef)>,
) -> MetaResponses {
    let forms = forms.into_iter();
    let content = forms.map(|(content_type, schema)| MetaMediaType { content_type, schema });
    let content = content.collect();
    let status = status.map(|status| status.as_u16());
    let response =
        MetaResponse { description, status, status_range: None, content, headers: Vec::new() };
    MetaResponses { responses: vec![response] }
}
