//! The outermost layers of every request: its id, its log line, the headers of every answer, and
//! the form of refusals.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use poem::http::HeaderValue;
use poem::http::uri::Scheme;
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::error::Refusal;
use super::framework;
use super::protection::protect;

/// The header that carries a request's id in both directions, in lower case.
pub const REQUEST_ID: &str = "x-request-id";

/// The longest request id that is accepted from a client, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The id of a request. A clone is cheap.
#[derive(Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own id if it is safe in a log line, otherwise a fresh one.
    fn of(request: &Request) -> Self {
        match request.headers().get(REQUEST_ID) {
            Some(id) if is_usable(id) => Self(id.clone()),
            Some(_) | None => Self::fresh(),
        }
    }

    /// The id that [`RequestIdLayer`] gave the request.
    pub fn known(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::of(request))
    }

    fn fresh() -> Self {
        let id = HeaderValue::try_from(Uuid::now_v7().to_string());
        Self(id.unwrap_or(HeaderValue::from_static("none")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_usable(id: &HeaderValue) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The response to a request that does not reach the API, with an id of its own, over TLS if
/// `is_tls`.
pub fn standalone(refusal: Refusal, is_tls: bool) -> Response {
    let id = RequestId::fresh();
    let mut response = refusal.into_response_for(id.as_str());
    response.headers_mut().insert(REQUEST_ID, id.0);
    protect(&mut response, is_tls);
    response
}

/// The response to a request that a layer refuses.
pub fn refused(refusal: Refusal, request: &Request) -> Response {
    refusal.into_response_for(RequestId::known(request).as_str())
}

/// The outermost layer: gives every request an id, returns it with the answer and logs both.
pub struct RequestIdLayer<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for RequestIdLayer<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let id = RequestId::of(&request);
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let is_tls = *request.scheme() == Scheme::HTTPS;
        request.extensions_mut().insert(id.clone());
        // A span of level error, so that the id stands on error lines at every log level.
        let span = tracing::error_span!("request", request.id = id.as_str());
        let mut response = self.0.get_response(request).instrument(span).await;
        tracing::debug!(
            request.id = id.as_str(),
            http.method = %method,
            http.path = path,
            http.status = response.status().as_u16(),
            duration_ms = began.elapsed().as_millis() as u64,
            "request answered"
        );
        response.headers_mut().insert(REQUEST_ID, id.0);
        protect(&mut response, is_tls);
        Ok(response)
    }
}

/// A layer that turns every error and panic below it into a problem document.
pub struct RefusalLayer<E>(pub E);

impl<E: Endpoint> Endpoint for RefusalLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let id = RequestId::known(&request);
        let path = request.uri().path().to_owned();
        let refusal = match AssertUnwindSafe(self.0.call(request)).catch_unwind().await {
            Ok(Ok(response)) => return Ok(response.into_response()),
            // A response that was passed as an error is already complete.
            Ok(Err(error)) if error.is_from_response() => return Ok(error.into_response()),
            Ok(Err(error)) => framework::refusal(error, &path),
            Err(panic) => {
                tracing::error!(http.path = path, panic = message_of(&*panic), "handler panicked");
                Refusal::internal()
            }
        };
        Ok(refusal.into_response_for(id.as_str()))
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
