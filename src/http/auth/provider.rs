//! Calls to an identity provider: only over TLS, bounded in time and size.

use std::time::Duration;

/// How long the provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Reads the URL of a provider.
///
/// # Errors
///
/// It is none over TLS or of this machine, or has a user or password; continues a sentence.
pub fn url(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let is_local = ["127.0.0.1", "localhost", "[::1]"].contains(&url.host_str().unwrap_or(""));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
        let why = "must be an https:// URL: who answers there can issue tokens";
        return Err(why.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must be a URL without a user or password".to_owned());
    }
    Ok(url)
}

/// Builds a client for calls to a provider, which follows no redirects.
///
/// # Errors
///
/// The certificates of the system cannot be used; continues a sentence.
pub fn client() -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder().timeout(PATIENCE);
    let client = client.redirect(reqwest::redirect::Policy::none()).build();
    client.map_err(|error| format!("cannot be called: {error}"))
}

/// Sends a request and returns the body of the answer.
///
/// # Errors
///
/// What is wrong, for the log: no answer, one that is no success, or one that is too large.
pub async fn read(request: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let mut answer = request.send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(format!("the answer is {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > MAX_BYTES {
            return Err(format!("the answer has more than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
