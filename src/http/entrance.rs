//! The layer that knows callers only from outside: where a request comes from, and whether too many
//! requests from there had no valid credential.

use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};

use crate::domain::principal::Origin;

use super::error::Refusal;
use super::failures::Failures;
use super::front;
use super::origin::Proxies;
use super::settings::Http;

/// A layer that adds the origin to every request, and refuses those without a valid credential from
/// where too many of them come.
pub struct EntranceLayer<E> {
    inner: E,
    proxies: Proxies,
    failures: Failures,
}

impl<E> EntranceLayer<E> {
    /// The layer before `inner`, as `http` configures it.
    pub fn new(inner: E, http: &Http) -> Self {
        let failures = Failures::new(http.max_failed_logins_per_minute);
        Self { inner, proxies: Proxies::new(http), failures }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for EntranceLayer<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        // A request from inside the process has its origin already.
        let inside = request.extensions().get::<Origin>().copied();
        let origin = inside.or_else(|| self.proxies.origin(&request));
        if let Some(origin) = origin {
            request.extensions_mut().insert(origin);
        }
        let id = front::id_of(&request);
        let response = self.inner.call(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        Ok(match origin.and_then(|origin| self.failures.count(origin)) {
            Some(wait) => Refusal::too_many_failures(wait).into_response_for(&id),
            None => response,
        })
    }
}
