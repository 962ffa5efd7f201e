//! Requests and what comes back for them, in the words of the contract.

use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{key_of, within};

/// The head of a request with the API key of this name, and with these lines besides, each with its end.
pub fn head(line: &str, key: &str, lines: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n{lines}\r\n", key_of(key))
}

/// The lines of a head about JSON of so many bytes.
pub fn json_of(length: usize) -> String {
    format!("content-type: application/json\r\ncontent-length: {length}\r\n")
}

/// A request with JSON, byte for byte.
pub fn request(line: &str, key: &str, body: &str) -> String {
    head(line, key, &json_of(body.len())) + body
}

/// A request that is not sent yet.
pub struct Call(pub RequestBuilder);

impl Call {
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        Self(self.0.header(HeaderName::from_bytes(name.as_bytes()).unwrap(), value))
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// The same, if there is a body.
    pub fn json_if(self, body: Option<&Value>) -> Self {
        match body {
            Some(body) => self.json(body),
            None => self,
        }
    }

    /// These bytes, which are said to be JSON.
    pub fn body(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.of_type("application/json", bytes)
    }

    /// These bytes, which are said to be of that type.
    pub fn of_type(self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self(self.0.header("content-type", content_type).body(bytes.into()))
    }

    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// The whole answer, or that the connection failed before it was there.
    pub async fn try_send(self) -> reqwest::Result<Answer> {
        let exchange = async {
            let response = self.0.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok(Answer { status, headers, body: response.text().await? })
        };
        within("an answer", exchange).await
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// Reads a whole HTTP/1.1 response.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers
                .insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Self { status, headers, body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an accepted request.
    #[track_caller]
    pub fn accepted(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "{self:?}");
        self.json()
    }

    /// The problem of a refused request, in the form that every refusal has.
    #[track_caller]
    pub fn refused(&self, status: u16, cause: &str) -> Value {
        let problem = self.problem();
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(problem["type"], format!("urn:orchestrator:problem:{cause}"), "{self:?}");
        problem
    }

    /// The problem of any cause.
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert!(
            problem["type"].as_str().unwrap().starts_with("urn:orchestrator:problem:"),
            "{self:?}"
        );
        assert!(
            ["title", "detail"].iter().all(|name| !problem[name].as_str().unwrap().is_empty()),
            "{self:?}"
        );
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"), "{self:?}");
        assert_eq!(self.header("www-authenticate").is_some(), self.status == 401, "{self:?}");
        assert_eq!(self.header("allow").is_some(), self.status == 405, "{self:?}");
        problem
    }

    /// The pointers of a 422, in order.
    #[track_caller]
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.refused(422, "invalid-fields");
        let errors = problem["errors"].as_array().unwrap();
        let mut found: Vec<_> =
            errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
        assert!(
            errors.iter().all(|error| !error["detail"].as_str().unwrap().is_empty()),
            "{self:?}"
        );
        found.sort();
        found
    }
}
