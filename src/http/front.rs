//! What every request passes on its way in and out: its id, the log line, and the shape of refusals.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use poem::http::HeaderValue;
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::error::Refusal;

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// The longest id that is taken from a client, in bytes.
const MAX_ID_BYTES: usize = 128;

#[derive(Clone)]
struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own id if it can stand in a log, else a fresh one.
    fn of(request: &Request) -> Self {
        let is_usable = |id: &&HeaderValue| {
            (1..=MAX_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let own = request.headers().get(REQUEST_ID).filter(is_usable).cloned();
        own.map_or_else(Self::fresh, Self)
    }

    fn fresh() -> Self {
        let id = HeaderValue::try_from(Uuid::now_v7().to_string());
        Self(id.unwrap_or(HeaderValue::from_static("none")))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The refusal of what does not get as far as the API, with an id of its own.
pub fn alone(refusal: Refusal) -> Response {
    let id = RequestId::fresh();
    let mut response = refusal.into_response_for(id.as_str());
    response.headers_mut().insert(REQUEST_ID, id.0);
    response
}

/// Gives every request an id, returns it with the answer and logs both. The outermost layer.
pub struct Identified<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for Identified<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let id = RequestId::of(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        request.extensions_mut().insert(id.clone());
        // Of the level of errors, so that the id stands on their lines however quiet the log is set.
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
        Ok(response)
    }
}

/// Turns everything that goes wrong below into a problem.
pub struct Refusing<E>(pub E);

impl<E: Endpoint> Endpoint for Refusing<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let id = request
            .extensions()
            .get::<RequestId>()
            .cloned()
            .unwrap_or_else(|| RequestId::of(&request));
        let path = request.uri().path().to_owned();
        let refusal = match AssertUnwindSafe(self.0.call(request)).catch_unwind().await {
            Ok(Ok(response)) => return Ok(response.into_response()),
            // A response that was passed as an error is complete already.
            Ok(Err(error)) if error.is_from_response() => return Ok(error.into_response()),
            Ok(Err(error)) => Refusal::from_framework(error, &path),
            Err(panic) => {
                tracing::error!(http.path = path, panic = said(&*panic), "handler panicked");
                Refusal::internal()
            }
        };
        Ok(refusal.into_response_for(id.as_str()))
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
