//! The page for people: its files, and what it may load and run.
//!
//! The files are compiled in and compressed once. The page is a client of the API like any other:
//! nothing here reads a credential or the engine, so what an anonymous reader gets is the same for
//! everyone.

mod files;
mod policy;

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};

use super::error::Refusal;
use files::{File, PAGE};

/// The path of the page. Its views are below, and exist in the browser only.
const ROOT: &str = "/ui";

/// Below this are the files of the page.
const FILES: &str = "/ui/files/";

/// A layer that serves the page, and sends browsers from `/` to it.
pub struct PageLayer<E> {
    /// The endpoint behind this layer.
    pub inner: E,
    /// Whether the page is served.
    pub is_on: bool,
}

impl<E: Endpoint<Output = Response>> Endpoint for PageLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        if self.is_on && path == "/" && is_opened_by_browser(&request) {
            let mut response = Response::builder().status(StatusCode::SEE_OTHER).finish();
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(ROOT));
            return Ok(response);
        }
        if self.is_on && is_below_root(path) {
            return Ok(answer(&request)?);
        }
        self.inner.call(request).await
    }
}

/// A layer that says what the page and `/docs` may load and run.
pub struct PolicyLayer<E>(pub E);

impl<E: Endpoint<Output = Response>> Endpoint for PolicyLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        let policy = match path {
            "/docs" => Some(policy::DOCS.clone()),
            _ if path == "/" || is_below_root(path) => Some(policy::PAGE.clone()),
            _ => None,
        };
        let mut response = self.0.call(request).await?;
        if let Some(policy) = policy {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        Ok(response)
    }
}

fn is_below_root(path: &str) -> bool {
    path == ROOT || path.starts_with("/ui/")
}

/// Whether a person opens `/` in a browser; API clients get the name of the service there.
fn is_opened_by_browser(request: &Request) -> bool {
    let accepts_page = |accept: &str| accept.contains("text/html");
    request.method() == Method::GET && request.header(header::ACCEPT).is_some_and(accepts_page)
}

fn answer(request: &Request) -> Result<Response, Refusal> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Refusal::method_not_allowed("GET, HEAD"));
    }
    let path = request.uri().path();
    let file = match path.strip_prefix(FILES) {
        Some(name) => File::named(name).ok_or_else(Refusal::unknown_route)?,
        None => &PAGE,
    };
    Ok(send(request, file))
}

/// The file in the form that the client accepts, or that it has it already.
fn send(request: &Request, file: &File) -> Response {
    let is_small = request.headers().get_all(header::ACCEPT_ENCODING).iter().any(accepts_gzip);
    let (bytes, tag) = file.form(is_small);
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let tag = format!("\"{tag}\"");
    let is_known = known.filter_map(|tags| tags.to_str().ok()).any(|tags| tags.contains(&tag));
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = Response::builder()
        .status(status)
        .header(header::ETAG, tag)
        .header(header::VARY, "accept-encoding")
        // A browser asks each time, so that a new version is seen at once.
        .header(header::CACHE_CONTROL, "no-cache")
        .body(if is_known { bytes::Bytes::new() } else { bytes });
    let headers = response.headers_mut();
    if !is_known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type()));
        if is_small {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    response
}

/// Whether a value of `Accept-Encoding` names gzip, and not with weight 0.
fn accepts_gzip(value: &HeaderValue) -> bool {
    let codings = value.to_str().unwrap_or_default().split(',');
    codings.map(|coding| coding.replace([' ', '\t'], "").to_ascii_lowercase()).any(|coding| {
        let (name, weight) = coding.split_once(";q=").unwrap_or((&coding, "1"));
        name == "gzip" && weight.parse().is_ok_and(|weight: f32| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_accept_it() {
        for (accept, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("br;q=1.0, gzip; q=0", false),
            ("gzip;q=none", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&HeaderValue::from_static(accept)), expected, "{accept}");
        }
    }
}
