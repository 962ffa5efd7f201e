//! How a request is refused: only this module knows which status a refusal has.
//!
//! An error of the engine or the framework, and a panic, becomes a [`Refusal`] and leaves as
//! `application/problem+json` (RFC 9457). A 5xx tells the client nothing about the inside; the log
//! does.

use std::time::Duration;

use poem::Response;
use poem::error::ResponseError;
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::domain::approval::ApprovalStatus;
use crate::domain::lifecycle::State;
use crate::domain::principal::{Role, Scope};
use crate::engine::{self, Fault, Standing};

mod cause;
mod refused;

use self::cause::Cause;
pub use self::cause::Denial;
use super::answer::{documented, respond};
use super::text::Time;

/// How many seconds after a 429 or 503 to try again: about as long as a failover of the store
/// takes.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Why a request was refused, as a problem document of RFC 9457.
#[derive(Clone, Debug, Default, Serialize, Object)]
pub struct Problem {
    /// The cause, a stable URI such as `urn:orchestrator:problem:lease-lost`.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// The title of the cause, the same for every occurrence.
    pub title: String,
    /// The HTTP status of the answer, or of the item that it belongs to.
    pub status: u16,
    /// What happened in this case and what the client can do about it.
    pub detail: String,
    /// The id of the request, which the log lines of the request carry too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every field of the body that is wrong, each with its place; empty for other causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[oai(default)]
    pub errors: Vec<FieldError>,
    /// The status of the task, if the cause is the task's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_status: Option<State>,
    /// The newest attempt of the task, if the caller's attempt is no longer current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_attempt: Option<u32>,
    /// The status of the approval, if the approval is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_status: Option<ApprovalStatus>,
    /// The digest of the content that the approval is now about, if that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Who decided, if the approval is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When the approval was decided, if it is already decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Time>,
}

/// One field of a body that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct FieldError {
    /// A JSON Pointer to the field in the body; empty if the whole body is wrong.
    pub pointer: String,
    /// What is wrong with the field and what is expected instead.
    pub detail: String,
}

/// A request that was refused: the cause, and the problem document that the client gets.
#[derive(Debug, thiserror::Error)]
#[error("{}", problem.detail)]
pub struct Refusal {
    cause: Cause,
    problem: Box<Problem>,
    allow: Option<String>,
    /// How many seconds to wait before trying again, for a 429.
    retry_after: Option<u32>,
}

/// Every type of problem, with its status and title.
pub fn known_problems() -> impl Iterator<Item = (String, u16, &'static str)> {
    Cause::KNOWN.iter().map(|cause| {
        let (word, title) = cause.word_and_title();
        (uri(word), cause.status().as_u16(), title)
    })
}

fn uri(word: &str) -> String {
    format!("urn:orchestrator:problem:{word}")
}

impl From<Vec<Fault>> for Refusal {
    fn from(faults: Vec<Fault>) -> Self {
        Self::invalid(faults)
    }
}

impl Refusal {
    fn new(cause: Cause, detail: impl Into<String>) -> Self {
        let (word, title) = cause.word_and_title();
        let problem = Problem {
            kind: uri(word),
            title: title.to_owned(),
            status: cause.status().as_u16(),
            detail: detail.into(),
            ..Problem::default()
        };
        Self { cause, problem: Box::new(problem), allow: None, retry_after: None }
    }

    /// Adds a member to the problem.
    fn with(mut self, add: impl FnOnce(&mut Problem)) -> Self {
        add(&mut self.problem);
        self
    }

    /// 400: the request cannot be read at all; `detail` says why.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Cause::Unreadable, detail)
    }

    /// 400: the query parameter or header `name` is wrong; `reason` continues the sentence that
    /// begins with its name.
    pub fn parameter(name: &str, reason: &str) -> Self {
        Self::unreadable(format!("The query parameter or header `{name}` {reason}."))
    }

    /// Turns an engine error into a refusal. An invalid field becomes a 400 for the query parameter
    /// or header `name`.
    pub fn of_parameter(name: &str, error: engine::Error) -> Self {
        let engine::Error::Invalid(faults) = error else { return error.into() };
        Self::parameter(name, faults.first().map_or("is not valid", |fault| &fault.detail))
    }

    /// 406: the client's `Accept` names none of the `offered` media types.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        let detail = format!("Send `Accept` with one of {}, or without.", offered.join(", "));
        Self::new(Cause::NotAcceptable, detail)
    }

    /// 401: the credential is missing or invalid; `detail` says which and what to send.
    pub fn unauthenticated(detail: &str) -> Self {
        Self::new(Cause::Unauthenticated, detail)
    }

    /// 403: the caller's role, or the restriction of the key, lacks the scope.
    pub fn missing_scope(role: Role, scope: Scope) -> Self {
        let who = if role.allows(scope) {
            "the key of this caller".to_owned()
        } else {
            format!("the role `{role}`")
        };
        let detail = format!(
            "This requires the scope `{scope}`, which {who} does not have. Use a credential that \
             has it."
        );
        Self::new(Cause::MissingScope, detail)
    }

    /// 413: the body has more than `most` bytes.
    pub fn too_large(most: usize) -> Self {
        let detail = format!("At most {most} bytes are read. Send less, or in several requests.");
        Self::new(Cause::TooLarge, detail)
    }

    /// 415: the `Content-Type` is not JSON; `found` is what the client sent.
    pub fn unsupported_media_type(found: &str) -> Self {
        let detail = format!("Send the body with `Content-Type: application/json`; found {found}.");
        Self::new(Cause::UnsupportedMediaType, detail)
    }

    /// 422: fields of the body are wrong, each of which `faults` describes.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = "Correct the fields in `errors` and send it again.";
        let errors =
            faults.into_iter().map(|Fault { pointer, detail }| FieldError { pointer, detail });
        Self::new(Cause::InvalidFields, detail).with(|problem| problem.errors = errors.collect())
    }

    /// 422: the body as a whole is not what the call expects.
    pub fn invalid_body(detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new("", detail)])
    }

    /// 500: a bug or a fault of the service, of which the client learns only the request id.
    pub fn internal() -> Self {
        let detail = "A fault of the service. Its log has more about it under this request's id.";
        Self::new(Cause::Internal, detail)
    }

    /// The problem document of a refused item in an answer of many. The pointers of its errors are
    /// prefixed with `base`, the item's place in the body.
    pub fn into_problem(mut self, base: &str) -> Problem {
        for error in &mut self.problem.errors {
            if !error.pointer.starts_with(base) {
                error.pointer.insert_str(0, base);
            }
        }
        *self.problem
    }

    /// No call has the path of the request.
    pub fn unknown_route() -> Self {
        Self::new(Cause::UnknownRoute, "No call has this path. `GET /openapi.json` lists them all.")
    }

    /// The path is not that of the metrics, on the address that has nothing else.
    pub fn only_metrics() -> Self {
        Self::new(Cause::UnknownRoute, "This address has `/metrics` only.")
    }

    /// The path takes the methods `allow` only.
    pub fn method_not_allowed(allow: &str) -> Self {
        let refusal = Self::new(Cause::MethodNotAllowed, format!("This path takes {allow}."));
        Self { allow: Some(allow.to_owned()), ..refusal }
    }

    /// A script of a web origin called that may not.
    pub fn origin_refused() -> Self {
        Self::new(Cause::OriginRefused, "Add the web origin to `http.cors_origins` if it is yours.")
    }

    /// A write with a session that a page of another origin may have caused.
    pub fn foreign_page() -> Self {
        let detail = "A session counts only in requests of the gateway's own page, as \
                      `Sec-Fetch-Site` or `Origin` and `Host` say. A proxy in front must pass on \
                      `Host`. Other clients send a token or an API key.";
        Self::new(Cause::OriginRefused, detail)
    }

    /// The framework refused the request with this status.
    pub fn other(status: StatusCode, detail: String) -> Self {
        Self::new(Cause::Other(status), detail)
    }

    /// 415: the header `name` says `found`, so the body is encoded and not plain JSON.
    pub fn encoded_body(name: &str, found: &str) -> Self {
        let detail = format!(
            "The header `{name}` says `{found}`. Send the JSON itself, without compression: \
             bodies are not decoded."
        );
        Self::new(Cause::UnsupportedMediaType, detail)
    }

    /// 408: the request's head did not arrive within `http.header_timeout_ms`.
    pub fn slow_head() -> Self {
        let detail = "The head of the request did not arrive within `http.header_timeout_ms`. \
                      Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// 408: the request's body did not arrive within its time, or at its minimum rate.
    pub fn slow_body() -> Self {
        let detail = "The body did not arrive within `http.body_timeout_ms`, or arrived at less \
                      than `http.min_bytes_per_second`. Send it again.";
        Self::new(Cause::RequestTimeout, detail)
    }

    /// The bytes received are not an HTTP request that can be answered; `status` is the reason that
    /// the HTTP library gives.
    pub fn no_request(status: u16) -> Self {
        match StatusCode::from_u16(status) {
            Ok(StatusCode::URI_TOO_LONG) => {
                Self::new(Cause::UriTooLong, "Send a shorter path and query.")
            }
            Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
                let detail = "Send at most 100 headers, whose bytes together with the request \
                              line are at most `http.max_header_bytes`.";
                Self::new(Cause::HeadTooLarge, detail)
            }
            Ok(StatusCode::HTTP_VERSION_NOT_SUPPORTED) => {
                Self::new(Cause::HttpVersion, "Send HTTP/1.1 requests; HTTP/2 is not supported.")
            }
            Ok(_) | Err(_) => Self::unreadable("The bytes received are not an HTTP/1.1 request."),
        }
    }

    /// 400: a request of plain HTTP on a port that speaks TLS.
    pub fn no_tls() -> Self {
        Self::new(Cause::HttpsRequired, "This port speaks TLS only. Call it with https://.")
    }

    /// 413: the answer has `found` bytes, and a NATS message takes `room`. `is_read` says whether
    /// the call changed nothing.
    pub fn answer_too_large(found: usize, room: usize, is_read: bool) -> Self {
        let advice = if is_read {
            "Request less, or use HTTP."
        } else {
            "The call is done; get its result over HTTP."
        };
        let detail = format!("The answer has {found} bytes; NATS takes {room} here. {advice}");
        Self::new(Cause::AnswerTooLarge, detail)
    }

    /// 429: too many long-polls and event streams of the caller are waiting.
    pub fn too_many_waits() -> Self {
        let detail = "The long-polls and event streams of one caller are limited by \
                      `http.max_waits_per_principal`. End some, or send `wait_ms` 0.";
        Self::new(Cause::TooManyWaits, detail)
    }

    /// 429: the bodies of the caller that are being read hold too many bytes together.
    pub fn too_many_bytes() -> Self {
        let detail = "The bodies of one caller that are read at once are limited to a quarter of \
                      `http.max_inflight_bytes`. Send fewer at once.";
        Self::new(Cause::TooManyBytes, detail)
    }

    /// 429: the caller has made as many calls of a class as its limit allows.
    pub fn rate_limited(standing: &Standing) -> Self {
        let Standing { class, quota, window_s, rest_ms, .. } = standing;
        let detail = format!(
            "The caller may make {quota} {class} calls within {window_s} s; each item of a call \
             with many counts. Wait as long as `Retry-After` says; the limit is \
             `limits.{class}_per_second`."
        );
        let retry_after = u32::try_from(rest_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Self { retry_after: Some(retry_after), ..Self::new(Cause::RateLimited, detail) }
    }

    /// 429: calls of the address have failed to authenticate too often; `wait` is for how long it
    /// must have a valid credential to be answered otherwise.
    pub fn too_many_failures(wait: Duration) -> Self {
        let detail = "Too many calls of this address had no valid credential; the limit is \
                      `http.max_failed_logins_per_minute`. A call with a valid one is answered at \
                      once; for others wait as long as `Retry-After` says.";
        let retry_after = Some(wait.as_secs() as u32 + 1);
        Self { retry_after, ..Self::new(Cause::TooManyFailures, detail) }
    }

    /// 503: the gateway has no room for the request at the moment.
    pub fn overloaded() -> Self {
        Self::new(
            Cause::Overloaded,
            "The gateway has no room for the request. Send it again later.",
        )
    }

    /// The answer to the client, with the id of its request as `instance`.
    pub fn into_response_for(mut self, request_id: &str) -> Response {
        self.problem.instance = Some(request_id.to_owned());
        let status = self.cause.status();
        let mut response = respond(status, CONTENT_TYPE, &self.problem);
        if let Some(denial) = Denial::of(self.cause) {
            response.extensions_mut().insert(denial);
        }
        let headers = response.headers_mut();
        let is_passing =
            matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = self.retry_after.or(is_passing.then_some(RETRY_AFTER_SECONDS));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"orchestrator\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

impl ResponseError for Refusal {
    fn status(&self) -> StatusCode {
        self.cause.status()
    }
}

/// The media type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One entry for any refusal; the document's repair replaces it by the statuses that each call can
/// have.
impl ApiResponse for Refusal {
    fn meta() -> MetaResponses {
        documented(None, "Refused", [(CONTENT_TYPE, Problem::schema_ref())])
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}
