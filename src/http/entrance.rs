//! The layer that stands before authentication: where a request comes from, whether too many requests
//! from there had no valid credential, and what refusals leave behind.

use poem::http::{Method, StatusCode, Uri};
use poem::{Endpoint, Request, Response};

use crate::domain::call_class::CallClass;
use crate::domain::principal::{Origin, Principal};
use crate::engine::Engine;

use super::error::{Denial, Refusal};
use super::failures::Failures;
use super::front::RequestId;
use super::openapi::Template;
use super::origin::Proxies;
use super::peer::Peer;
use super::settings::Http;

/// A layer that adds the origin to every request, refuses those without a valid credential from
/// where too many of them come, and leaves traces of refusals.
pub struct EntranceLayer<E> {
    inner: E,
    proxies: Proxies,
    failures: Failures,
    /// Records refused calls of operators. `None` if nothing is recorded.
    engine: Option<Engine>,
}

impl<E> EntranceLayer<E> {
    /// The layer before `inner`, as `http` configures it.
    pub fn new(inner: E, http: &Http, engine: Option<Engine>) -> Self {
        let failures = Failures::new(http.max_failed_logins_per_minute);
        Self { inner, proxies: Proxies::new(http), failures, engine }
    }

    /// Counts and logs a refusal, and records it if an operator's call was refused.
    async fn trace(&self, denial: Denial, passed: &Passed) {
        let Some(peer) = &passed.peer else { return };
        let traces = &peer.traffic().traces;
        let Some((principal, class)) = peer.call() else {
            return traces.note(&passed.address(), denial);
        };
        let caller = principal.to_string();
        traces.note(&caller, denial);
        let Some(engine) = self.engine.as_ref().filter(|_| class == CallClass::Admin) else {
            return;
        };
        let Some(count) = traces.to_record(&caller) else { return };
        let principal = Principal::clone(principal).at(passed.origin);
        engine.note_refusal(&principal, &passed.call(), denial.cause, count).await;
    }
}

/// What is kept of a request while it is answered. Nothing is copied: most answers need none of it.
struct Passed {
    peer: Option<Peer>,
    origin: Option<Origin>,
    method: Method,
    uri: Uri,
    id: RequestId,
}

impl Passed {
    /// The address of the caller, without a port.
    fn address(&self) -> String {
        match self.origin {
            Some(Origin::Peer(peer)) => peer.ip().to_canonical().to_string(),
            Some(origin) => origin.to_string(),
            None => "unknown".to_owned(),
        }
    }

    /// The method and the path, with the names of parameters in place of what the client chose.
    fn call(&self) -> String {
        let path = Template::of(self.uri.path()).map(Template::path).unwrap_or_default();
        format!("{} {path}", self.method)
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
        let passed = Passed {
            peer: request.data::<Peer>().cloned(),
            origin,
            method: request.method().clone(),
            uri: request.uri().clone(),
            id: RequestId::known(&request),
        };
        let mut response = self.inner.call(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(wait) = origin.and_then(|origin| self.failures.count(origin))
        {
            response = Refusal::too_many_failures(wait).into_response_for(passed.id.as_str());
        }
        if let Some(denial) = response.extensions().get::<Denial>().copied() {
            self.trace(denial, &passed).await;
        }
        Ok(response)
    }
}
