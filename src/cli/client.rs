//! A client of the public API: JSON in, JSON out, refusals as errors. It knows no call by name: paths and bodies
//! are its callers' business.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer may take: more than the longest long-poll, 60 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(75);

/// How long a stream of events may last: as good as for ever.
const STREAM_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// Why a call has no answer to give.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered. Whether the call was carried out is unknown.
    #[error("{url} is unreachable")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The service refused the call; nothing was changed.
    #[error("{status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The cause, a URI such as `urn:orchestrator:problem:lease-lost`; empty if the answer is no problem.
        kind: String,
        /// What happened and what to do.
        detail: String,
    },
    /// The answer is not what was expected: this is no orchestrator, or a much newer one.
    #[error("{url} answered with something else than expected")]
    Unreadable {
        /// What was called.
        url: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Calls one service in one caller's name. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl Client {
    /// A client of the service at `base`, such as `http://127.0.0.1:8000`; `key` is the caller's API key.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if the system has no means for a client at all.
    pub fn new(base: &str, key: Option<&str>) -> Result<Self, Error> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .tcp_nodelay(true);
        let http = builder
            .build()
            .map_err(|source| Error::Unreachable { url: base.to_owned(), source })?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key: key.map(str::to_owned) })
    }

    /// The same connections in another caller's name.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// Where the service is, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads `path`, such as `/tasks?limit=10`.
    ///
    /// # Errors
    ///
    /// [`Error`]; so for its siblings.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(reqwest::Method::GET, path, None::<&Value>).await
    }

    /// Posts `body` to `path`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(reqwest::Method::POST, path, Some(body)).await
    }

    /// Calls `path` by any method, with a body or without.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let mut request = self.http.request(method, self.url(path));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.send(path, request).await?;
        let bytes = answer.bytes().await.map_err(|source| self.unreachable(path, source))?;
        serde_json::from_slice(&bytes)
            .map_err(|source| Error::Unreadable { url: self.url(path), source })
    }

    /// Opens the stream of events at `path`, which lasts for as long as both sides want.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn follow(&self, path: &str) -> Result<Stream, Error> {
        let request = self
            .http
            .get(self.url(path))
            .header("Accept", "text/event-stream")
            .timeout(STREAM_LIMIT);
        Ok(Stream {
            answer: self.send(path, request).await?,
            client: self.clone(),
            path: path.to_owned(),
        })
    }

    /// The answer, unless it is a refusal.
    async fn send(
        &self,
        path: &str,
        mut request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Error> {
        if let Some(key) = &self.key {
            request = request.header("X-API-Key", key);
        }
        let answer = request.send().await.map_err(|source| self.unreachable(path, source))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|source| self.unreachable(path, source))?;
        Err(refusal(status, &bytes))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn unreachable(&self, path: &str, source: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url(path), source: source.without_url() }
    }
}

/// A stream of events that is being read.
#[derive(Debug)]
pub struct Stream {
    answer: reqwest::Response,
    client: Client,
    path: String,
}

impl Stream {
    /// The next piece as it comes, wherever the network cut it; none: the service has ended the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if the connection broke.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        self.answer.chunk().await.map_err(|source| self.client.unreachable(&self.path, source))
    }
}

/// Reads a problem by RFC 9457; an answer that is none speaks for itself.
fn refusal(status: u16, body: &[u8]) -> Error {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let faults = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let faults: Vec<_> = faults
        .iter()
        .map(|fault| {
            let part = |name: &str| fault[name].as_str().unwrap_or_default();
            format!("{} {}", part("pointer"), part("detail")).trim().to_owned()
        })
        .collect();
    let mut detail = text("detail").or_else(|| text("title")).unwrap_or_else(|| match body {
        [] => "the answer has no body".to_owned(),
        body => String::from_utf8_lossy(body).chars().take(200).collect(),
    });
    if !faults.is_empty() {
        detail = format!("{detail} ({})", faults.join("; "));
    }
    Error::Refused { status, kind: text("type").unwrap_or_default(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_its_status_its_detail_and_every_wrong_field() {
        let body = br#"{"type": "urn:orchestrator:problem:invalid-fields", "title": "Fields of the body are wrong",
            "status": 422, "detail": "2 fields are wrong", "errors": [{"pointer": "/type", "detail": "is missing"},
            {"pointer": "/priority", "detail": "must be one of P0, P1, P2, P3"}]}"#;

        let refused = refusal(422, body).to_string();

        let expected =
            "422: 2 fields are wrong (/type is missing; /priority must be one of P0, P1, P2, P3)";
        assert_eq!(refused, expected);
    }

    #[test]
    fn an_answer_of_somebody_else_is_shown_as_it_is() {
        assert_eq!(refusal(502, b"Bad gateway").to_string(), "502: Bad gateway");
        assert_eq!(refusal(500, b"").to_string(), "500: the answer has no body");
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_unreachable() {
        let client = Client::new("http://127.0.0.1:1/", None).unwrap();

        let error = client.get::<Value>("/stats").await.unwrap_err();

        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert_eq!(error.to_string(), "http://127.0.0.1:1/stats is unreachable");
    }
}
