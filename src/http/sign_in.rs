//! The paths by which an identity provider signs people in to the page.
//!
//! They are for browsers, which follow redirects, and no part of the API: the page learns of a
//! failure by a word in its address.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use serde::Serialize;

use super::answer::Json;
use super::auth::{CALLBACK, Failed, Guard};
use super::error::Refusal;

/// How a reader may sign in, for the page.
const WAYS: &str = "/ui/sign-in";

/// Sends the browser to the identity provider.
const BEGIN: &str = "/ui/sign-in/oidc";

/// How long a sign-in may take, in seconds.
const PATIENCE_SECONDS: u32 = 600;

/// The name of the cookie of a sign-in, where the page is not served over TLS.
const PLAIN: &str = "orchestrator_sign_in";

/// The name of the cookie on TLS: browsers accept it only for this host.
const SECURE: &str = "__Host-orchestrator_sign_in";

/// A layer that signs people in by the identity provider of the guard.
pub struct SignInLayer<E> {
    /// The endpoint behind this layer.
    pub inner: E,
    /// What verifies credentials, with the identity provider.
    pub guard: Arc<Guard>,
    /// Whether the page is served.
    pub is_on: bool,
}

/// How a reader may sign in besides by a key or token.
#[derive(Serialize)]
struct Ways {
    oidc: bool,
}

impl<E: Endpoint<Output = Response>> Endpoint for SignInLayer<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        if !self.is_on || ![WAYS, BEGIN, CALLBACK].contains(&path) {
            return self.inner.call(request).await;
        }
        if request.method() != Method::GET {
            return Err(Refusal::method_not_allowed("GET").into());
        }
        match path {
            WAYS => Ok(Json(Ways { oidc: self.guard.oidc().is_some() }).into_response()),
            BEGIN => Ok(self.begin().await?),
            _ => Ok(self.finish(&request).await?),
        }
    }
}

impl<E> SignInLayer<E> {
    async fn begin(&self) -> Result<Response, Refusal> {
        let oidc = self.guard.oidc().ok_or_else(Refusal::unknown_route)?;
        Ok(match oidc.begin().await {
            Ok((url, secret)) => {
                sent_to(&url, &[cookie(oidc.is_secure(), &secret, PATIENCE_SECONDS)])
            }
            Err(failed) => failed_by(failed, oidc.is_secure()),
        })
    }

    async fn finish(&self, request: &Request) -> Result<Response, Refusal> {
        let oidc = self.guard.oidc().ok_or_else(Refusal::unknown_route)?;
        let is_secure = oidc.is_secure();
        let query = request.uri().query().unwrap_or_default();
        let secret = secret_of(request.headers(), is_secure);
        let principal = match oidc.finish(query, secret).await {
            Ok(principal) => principal,
            Err(failed) => return Ok(failed_by(failed, is_secure)),
        };
        let session = self.guard.open_signed_in(&principal)?;
        tracing::info!(caller = %principal, "signed in by the identity provider");
        Ok(sent_to("/ui", &[session, cookie(is_secure, "", 0)]))
    }
}

/// Sends the browser to the page, which says what failed. Each sign-in can be finished only once.
fn failed_by(failed: Failed, is_secure: bool) -> Response {
    tracing::debug!(?failed, "sign-in failed");
    sent_to(&format!("/ui?sign-in={}", failed.word()), &[cookie(is_secure, "", 0)])
}

fn sent_to(url: &str, cookies: &[String]) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, url)
        .header(header::CACHE_CONTROL, "no-store")
        .finish();
    // Cookies are made of ASCII.
    for cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The `Set-Cookie` of a sign-in. The browser comes back from another site, to which `Strict` would
/// not apply.
fn cookie(is_secure: bool, secret: &str, seconds: u32) -> String {
    let (name, more) = if is_secure { (SECURE, "; Secure") } else { (PLAIN, "") };
    format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{more}")
}

/// Returns the secret that the cookie of a sign-in has. `None` if there is none.
fn secret_of(headers: &HeaderMap, is_secure: bool) -> Option<&str> {
    let name = if is_secure { SECURE } else { PLAIN };
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(known, value)| (known.trim() == name).then(|| value.trim()))
}
