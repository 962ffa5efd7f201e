//! The headers of every answer that protect those who get it in a browser.

use poem::Response;
use poem::http::{HeaderName, HeaderValue, header};

/// What an answer may load and run where it says nothing else: nothing.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every answer that has no other value for them.
static ALWAYS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
    // No cache in between keeps what only the caller may read.
    (header::CACHE_CONTROL, "no-store"),
];

/// How long a browser calls by TLS only, after an answer over TLS: a year.
const TLS_ONLY: &str = "max-age=31536000";

/// Adds the headers to an answer, which goes over TLS if `is_tls`.
pub fn protect(response: &mut Response, is_tls: bool) {
    let of_tls = is_tls.then_some((header::STRICT_TRANSPORT_SECURITY, TLS_ONLY));
    for (name, value) in ALWAYS.iter().cloned().chain(of_tls) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}
