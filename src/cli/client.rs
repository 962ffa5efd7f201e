//! A client of the public API: JSON in, JSON out, refusals as errors. It knows no operation by
//! name: its callers give paths and bodies.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::runtime::secret::Secret;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer may take: more than the longest long-poll of 60 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(75);

/// How long a stream of events may last: practically without end.
const STREAM_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// The reason why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service did not answer. It is unknown whether the call was carried out.
    #[error("{url} is unreachable")]
    Unreachable {
        /// The URL of the call.
        url: String,
        /// The cause, as the HTTP library reports it.
        #[source]
        source: reqwest::Error,
    },
    /// The service refused the call and changed nothing.
    #[error("{status}: {detail}")]
    Refused {
        /// The HTTP status of the answer.
        status: u16,
        /// The type of the problem, a URI such as `urn:orchestrator:problem:lease-lost`. Empty if
        /// the answer is not a problem document.
        kind: String,
        /// What happened and what to do, with every wrong field.
        detail: String,
    },
    /// The answer cannot be read: the service is not an orchestrator, or a much newer one.
    #[error("{url} gave an unexpected answer; is it an orchestrator?")]
    Unreadable {
        /// The URL of the call.
        url: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// Returns whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Unreadable { .. } => false,
        }
    }

    /// Returns the error of a call without a key, which says how to give one if that is why.
    fn without_key(self) -> Self {
        match self {
            Self::Refused { status: 401, kind, detail } => {
                let detail = format!("{detail} {NO_KEY}");
                Self::Refused { status: 401, kind, detail }
            }
            other => other,
        }
    }
}

/// What to do about a refusal because there is no key.
const NO_KEY: &str = "No API key was given: set ORCHESTRATOR_API_KEY, or use a context that has \
    one (`orchestrator context add`).";

/// A client of one service for one caller. A clone is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<Secret>,
}

impl Client {
    /// Makes a client of the service at `base`, such as `http://127.0.0.1:8000`, that trusts the
    /// authorities of the system. `key` is the caller's API key; `None` for calls without one.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if the system cannot provide an HTTP client at all.
    pub fn new(base: &str, key: Option<&str>) -> Result<Self, Error> {
        Self::trusting(base, key, None)
    }

    /// Makes the same client, which trusts only the authorities of these PEM certificates, if they
    /// are given.
    pub fn trusting(base: &str, key: Option<&str>, pem: Option<&[u8]>) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable { url: base.to_owned(), source };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .tcp_nodelay(true)
            // The service redirects nothing, and the key must not follow to another host.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = pem {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(unreachable)?;
            http = http.tls_certs_only(authorities);
        } else if base.starts_with("http://") {
            // Reading the authorities of the system takes longer than a call.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(unreachable)?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key: key.map(Secret::new) })
    }

    /// Returns a client for another caller over the same connections.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(Secret::new(key)), ..self.clone() }
    }

    /// Sends a `GET` for `path`, such as `/tasks?limit=10`, and returns the answer.
    ///
    /// # Errors
    ///
    /// Every [`Error`] can occur, as for all calls.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.answer(path, self.http.get(self.url(path))).await
    }

    /// Posts `body` to `path` as JSON, and returns the answer.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.answer(path, self.http.post(self.url(path)).json(body)).await
    }

    /// Sends a `DELETE` for `path`, and returns the answer.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.answer(path, self.http.delete(self.url(path))).await
    }

    /// Sends a request and reads the answer.
    async fn answer<T: DeserializeOwned>(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Error> {
        let answer = self.send(path, request).await?;
        let bytes = answer.bytes().await.map_err(|source| self.unreachable(path, source))?;
        serde_json::from_slice(&bytes)
            .map_err(|source| Error::Unreadable { url: self.url(path), source })
    }

    /// Opens the stream of events at `path`, which lasts until one side closes it.
    pub async fn follow(&self, path: &str) -> Result<Stream, Error> {
        let request = self.http.get(self.url(path)).header("Accept", "text/event-stream");
        let answer = self.send(path, request.timeout(STREAM_LIMIT)).await?;
        Ok(Stream { answer, client: self.clone(), path: path.to_owned() })
    }

    /// Makes any call, and returns the answer to be read piece by piece, also that of a refusal.
    pub async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&RawValue>,
    ) -> Result<Stream, Error> {
        let mut request = self.http.request(method, self.url(path)).timeout(STREAM_LIMIT);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key.expose());
        }
        let answer = request.send().await.map_err(|source| self.unreachable(path, source))?;
        Ok(Stream { answer, client: self.clone(), path: path.to_owned() })
    }

    /// Sends a request and returns the answer, or a refusal as an error.
    async fn send(
        &self,
        path: &str,
        mut request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key.expose());
        }
        let answer = request.send().await.map_err(|source| self.unreachable(path, source))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|source| self.unreachable(path, source))?;
        let refused = refusal(status, &bytes);
        Err(if self.key.is_none() { refused.without_key() } else { refused })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn unreachable(&self, path: &str, source: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url(path), source: source.without_url() }
    }
}

/// An answer that is read piece by piece, such as a stream of events.
#[derive(Debug)]
pub struct Stream {
    answer: reqwest::Response,
    client: Client,
    path: String,
}

impl Stream {
    /// Returns whether the call was not refused.
    pub fn is_success(&self) -> bool {
        self.answer.status().is_success()
    }

    /// Waits for the next piece, which can begin and end in the middle of an event. `None` if the
    /// service has ended the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if the connection broke.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        self.answer.chunk().await.map_err(|source| self.client.unreachable(&self.path, source))
    }
}

/// Reads a problem document (RFC 9457). Any other body is quoted as the detail.
fn refusal(status: u16, body: &[u8]) -> Error {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut detail = match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(detail) => detail.to_owned(),
        None if body.is_empty() => "the answer has no body".to_owned(),
        None => String::from_utf8_lossy(body).chars().take(200).collect(),
    };
    let faults: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(fault).collect();
    if !faults.is_empty() {
        detail = format!("{detail} ({})", faults.join("; "));
    }
    let kind = problem["type"].as_str().unwrap_or_default().to_owned();
    Error::Refused { status, kind, detail }
}

/// Returns one wrong field of a problem document as its pointer and its detail.
fn fault(fault: &Value) -> String {
    let pointer = fault["pointer"].as_str().unwrap_or_default();
    let detail = fault["detail"].as_str().unwrap_or_default();
    format!("{pointer} {detail}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_status_detail_and_every_wrong_field() {
        let body = br#"{"type": "urn:orchestrator:problem:invalid-fields", "title": "Fields of the body are wrong",
            "status": 422, "detail": "2 fields are wrong", "errors": [{"pointer": "/type", "detail": "is missing"},
            {"pointer": "/priority", "detail": "must be one of P0, P1, P2, P3"}]}"#;

        let refused = refusal(422, body).to_string();

        let expected =
            "422: 2 fields are wrong (/type is missing; /priority must be one of P0, P1, P2, P3)";
        assert_eq!(refused, expected);
    }

    #[test]
    fn an_answer_without_a_problem_is_quoted() {
        assert_eq!(refusal(502, b"Bad gateway").to_string(), "502: Bad gateway");
        assert_eq!(refusal(500, b"").to_string(), "500: the answer has no body");
    }

    #[test]
    fn a_refusal_without_a_key_says_how_to_give_one() {
        let refused = refusal(401, br#"{"detail": "Authentication required."}"#).without_key();
        assert!(refused.to_string().contains("ORCHESTRATOR_API_KEY"), "{refused}");

        let other = refusal(403, b"no").without_key();
        assert_eq!(other.to_string(), "403: no");
    }

    #[tokio::test]
    async fn a_missing_service_is_unreachable() {
        let client = Client::new("http://127.0.0.1:1/", None).unwrap();

        let error = client.get::<Value>("/stats").await.unwrap_err();

        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert_eq!(error.to_string(), "http://127.0.0.1:1/stats is unreachable");
    }
}
