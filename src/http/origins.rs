//! Which scripts of other web origins may call: CORS.
//!
//! Such scripts call with a credential of their own, never with a cookie: no answer allows
//! credentials, so `*` is harmless.

use std::collections::HashSet;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};

use super::error::Refusal;
use super::settings::Error;
use super::{auth, event_page, events, front, rates};

/// The methods that scripts may use.
const METHODS: &str = "GET, POST, PATCH, DELETE";

/// How long a browser may remember that a script may call, in seconds.
const MAX_AGE_SECONDS: u32 = 3_600;

/// The headers that scripts may send.
const SENT_HEADERS: [&str; 9] = [
    "authorization",
    auth::API_KEY_HEADER,
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    front::REQUEST_ID,
    "accept",
    events::LAST_EVENT_ID,
];

/// The headers that scripts may read.
const READ_HEADERS: [&str; 13] = [
    front::REQUEST_ID,
    "location",
    "idempotency-replayed",
    "retry-after",
    "www-authenticate",
    "link",
    event_page::HAS_MORE,
    event_page::HAS_GAP,
    rates::HEADERS[0],
    rates::HEADERS[1],
    rates::HEADERS[2],
    rates::HEADERS[3],
    rates::HEADERS[4],
];

/// The web origins whose scripts may call.
pub struct Origins {
    is_any: bool,
    named: HashSet<HeaderValue>,
}

impl Origins {
    /// Reads `http.cors_origins`. `None` if it names none.
    ///
    /// # Errors
    ///
    /// An entry is no origin.
    pub fn of(origins: &[String]) -> Result<Option<Self>, Error> {
        let refused = |bad: &str| {
            let why =
                format!("holds `{bad}`; an origin is `https://host[:port]` without a path, or `*`");
            Error::refused("http.cors_origins", why)
        };
        let mut named = HashSet::new();
        for origin in origins {
            let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin(origin));
            named.insert(value.ok_or_else(|| refused(origin))?);
        }
        let is_any = origins.iter().any(|origin| origin == "*");
        Ok((!origins.is_empty()).then_some(Self { is_any, named }))
    }

    /// The value of `Access-Control-Allow-Origin` for scripts of this origin; `None` if they may
    /// not call.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.is_any {
            return Some(HeaderValue::from_static("*"));
        }
        self.named.get(origin).cloned()
    }
}

/// Whether `text` is `*` or a scheme and a host without a path.
fn is_origin(text: &str) -> bool {
    let Some((_, host)) = text.split_once("://") else { return text == "*" };
    !host.is_empty() && !host.contains('/')
}

/// Whether a page of the gateway itself sends the request, by `Origin` and `Host`; `None` without
/// `Origin`.
pub fn is_own(headers: &HeaderMap) -> Option<bool> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let claimed = origin.split_once("://").map(|(_, host)| host);
    Some(host.is_some() && claimed == host)
}

/// A layer that lets scripts of other origins call and read the answers.
pub struct OriginLayer<E> {
    /// The endpoint behind this layer.
    pub inner: E,
    /// Whose scripts may call.
    pub origins: Origins,
}

impl<E: Endpoint<Output = Response>> Endpoint for OriginLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let headers = request.headers();
        let is_foreign = is_own(headers) == Some(false);
        let origin = headers.get(header::ORIGIN).filter(|_| is_foreign);
        let allowed = origin.map(|origin| self.origins.allowed(origin));
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = match &allowed {
            Some(None) => front::refused(Refusal::origin_refused(), &request),
            Some(Some(_)) if is_preflight => preflight(),
            Some(Some(_)) | None => self.inner.call(request).await?,
        };
        let headers = response.headers_mut();
        if !self.origins.is_any {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(Some(allowed)) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, list(&READ_HEADERS));
        }
        Ok(response)
    }
}

/// The answer to a browser that asks whether a script may call.
fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, list(&SENT_HEADERS))
        .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS)
        .finish()
}

fn list(names: &[&str]) -> HeaderValue {
    // Names of headers are ASCII.
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
